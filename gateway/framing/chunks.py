"""A chunked body, followed byte by byte: what is left is the body itself."""

import re

from gateway.framing.head import TRAILER_LINE
from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?\r\n")
_LARGEST = 2**53

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class Chunks:
    """
    Follows one body.

    Extensions and trailers are checked and dropped: nobody needs them, and a trailer must not
    join the headers that the request was priced by.

    Attributes:
        done: The body is complete; `rest` is what came after it.
        refusal: Set when the body is malformed; what comes after is dropped.
    """

    def __init__(self, limits: FramingLimits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._left = 0
        self._trailer_bytes = 0
        self._kept = b""
        self.refusal: Refusal | None = None
        self.rest = b""

    @property
    def done(self) -> bool:
        """The body has ended."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give those of the body."""
        data = self._kept + data
        self._kept = b""
        out: list[bytes] = []
        at = 0
        while self.refusal is None:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = _DATA_END
            line = self._line(data, at)
            if line is None:
                break
            at += len(line)
            self._take(line)
            if self._state == _DONE:
                self.rest = data[at:]
                return b"".join(out)
        self._kept = data[at:]
        return b"".join(out)

    def _line(self, data: bytes, at: int) -> bytes | None:
        """Find the next line, its end included; None if it has not come whole."""
        if self._state == _TRAILER:
            limit = self._limits.trailer_bytes - self._trailer_bytes
        elif self._state == _DATA_END:
            limit = 2
        else:
            limit = self._limits.chunk_line_bytes
        end = data.find(b"\n", at, at + limit)
        if end >= 0:
            return data[at : end + 1]
        if len(data) - at >= limit:
            self._refuse("A line of the chunked body is too long.")
        return None

    def _take(self, line: bytes) -> None:
        if self._state == _SIZE:
            self._begin_chunk(line)
        elif self._state == _DATA_END:
            if line != b"\r\n":
                self._refuse("A chunk is longer than it says.")
                return
            self._state = _SIZE
        elif line == b"\r\n":
            self._state = _DONE
        else:
            self._trailer_bytes += len(line)
            if not TRAILER_LINE.fullmatch(line):
                self._refuse("A trailer is malformed.")

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        size = int(match[1], 16) if match else _LARGEST
        if size >= _LARGEST:
            self._refuse("A chunk does not begin with a plain hexadecimal size.")
        elif size:
            self._left = size
            self._state = _DATA
        else:
            self._state = _TRAILER

    def _refuse(self, sentence: str) -> None:
        self.refusal = Refusal(400, "bad-chunk", sentence)
