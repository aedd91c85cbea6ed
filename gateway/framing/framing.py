"""
Where a client's requests begin and end: one whole head at a time, and the bytes of its body.

No I/O and no clock. The verdict never depends on how the bytes were split on their way: each
rule has a position in the stream at which it is decided, and the first position wins.
"""

import re
from enum import Enum

from gateway.framing.chunks import Chunks
from gateway.framing.head import HEAD, Head, judge, read_head
from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal

REPEATED_BYTES = 4 * 1024
"""A longer request is not kept to be compared with the next: connections are many."""

_BARE_LF = re.compile(rb"(?<!\r)\n")
_FIRST_BYTE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")


class Phase(Enum):
    """Where in the exchange a connection is."""

    IDLE = "idle"  # nothing of a request has come
    HEAD = "head"  # a head is on its way
    BODY = "body"  # a body is on its way
    COMPLETE = "complete"  # the request is whole; what follows is kept back until `next`
    REFUSED = "refused"


_IDLE, _HEAD, _BODY, _COMPLETE, _REFUSED = Phase


class Framing:
    """
    Follows the requests of one connection.

    Attributes:
        phase: What is awaited; a time limit may hang on it.
        head: Of the request that was begun last.
        refusal: Why nothing more is read. Final.
    """

    __slots__ = (
        "_blank",
        "_chunks",
        "_kept",
        "_left",
        "_limits",
        "_whole",
        "head",
        "phase",
        "refusal",
    )

    def __init__(self, limits: FramingLimits) -> None:
        self._limits = limits
        self._kept = b""
        self._blank = 0
        self._left = 0
        self._chunks: Chunks | None = None
        self._whole = b""  # what `head` was read of, where it was all that came, and has no body
        self.phase: Phase = _IDLE
        self.head: Head | None = None
        self.refusal: Refusal | None = None

    @property
    def kept_bytes(self) -> int:
        """How much is kept back of a head, or of requests to come."""
        return len(self._kept)

    def feed(self, data: bytes) -> bytes:
        """
        Take bytes from the client, give those of a body.

        Where a new request begins, `head` is another one afterwards.
        """
        phase = self.phase
        if phase is _BODY:
            return self._body(data)
        if phase is _REFUSED or (phase is _COMPLETE and self._is_last()):
            if self._has_left_http():
                self._kept += data
            return b""
        if self._kept:
            data = self._kept + data
        if phase is _COMPLETE:
            self._kept = data
            return b""
        return self._head(data)

    def again(self, data: bytes) -> Head | None:
        """
        Take the request that came last once more, if these are its very bytes and nothing else.

        Then this is its head. Clients ask for the same thing again and again on a connection: it
        was judged before.
        """
        if self.phase is not _IDLE or data != self._whole or not data:
            return None
        self.phase = _COMPLETE
        return self.head

    def rest(self) -> bool:
        """
        Wait for the next request, the one before being answered.

        False, and nothing is done, where something of it is here already, or none may follow.
        """
        head = self.head
        if self.phase is not _COMPLETE or self._kept or head is None or head.block.last:
            return False
        self._blank = 0
        self.phase = _IDLE
        return True

    def next(self) -> bytes:
        """Go on to the next request, the one before being answered; give as `feed` does."""
        if self.phase is not _COMPLETE or self._is_last():
            return b""
        self._blank = 0
        self.phase = _IDLE
        if not self._kept:
            return b""
        data, self._kept = self._kept, b""
        return self._head(data)

    def _is_last(self) -> bool:
        return self.head is not None and self.head.block.last

    def _has_left_http(self) -> bool:
        return self.head is not None and self.head.block.upgrade and self.refusal is None

    def give_up(self) -> bytes:
        """Follow the connection no more: it has left HTTP. Give what was kept back."""
        data, self._kept = self._kept, b""
        return data

    def _head(self, data: bytes) -> bytes:
        # Only what came in one piece is tried at once, as nearly all heads do: trying again at
        # each piece would let a client that sends single bytes buy much work for little.
        match = None if self._kept else HEAD.match(data)
        self._kept = self._whole = b""
        if (
            match is not None
            and match.end() <= self._limits.head_bytes
            and match.start(5) <= self._limits.request_line_bytes
        ):
            # Whole and well-formed: no position before its end can have refused it.
            before = None if self.head is None else self.head.block
            end = match.end()
            self._whole = data if end == len(data) <= REPEATED_BYTES else b""
            return self._judged(judge(match, self._limits, before), data, end)
        if data[:1] == b"\r":
            data = self._skip_blank_lines(data)
        if not data or self.refusal is not None:
            return b""
        self.phase = _HEAD
        end = self._head_end(data)
        if end == 0:
            self._kept = data
            return b""
        if self.refusal is not None:
            return b""
        return self._judged(read_head(data[:end], self._limits), data, end)

    def _judged(self, head: Head | Refusal, data: bytes, end: int) -> bytes:
        if isinstance(head, Refusal):
            return self._refuse(head)
        self.head = head
        body_bytes = head.block.body_bytes
        if body_bytes == 0:
            self.phase = _COMPLETE
            if end < len(data):
                self._keep(data[end:])
            return b""
        self.phase = _BODY
        self._whole = b""
        if body_bytes < 0:
            self._chunks = Chunks(self._limits)
        self._left = body_bytes
        return self._body(data[end:]) if end < len(data) else b""

    def _body(self, data: bytes) -> bytes:
        if self._chunks is not None:
            return self._chunked(self._chunks, data)
        if len(data) < self._left:
            self._left -= len(data)
            return data
        self.phase = _COMPLETE
        if len(data) == self._left:
            return data
        self._keep(data[self._left :])
        return data[: self._left]

    def _chunked(self, chunks: Chunks, data: bytes) -> bytes:
        body = chunks.feed(data)
        if chunks.refusal is not None:
            self._refuse(chunks.refusal)
        elif chunks.done:
            self.phase = _COMPLETE
            self._chunks = None
            self._keep(chunks.rest)
        return body

    def _keep(self, rest: bytes) -> None:
        self._kept = b"" if self._is_last() and not self._has_left_http() else rest

    def _skip_blank_lines(self, data: bytes) -> bytes:
        while data[:2] == b"\r\n":
            data = data[2:]
            self._blank += 1
            if self._blank > self._limits.blank_lines:
                self._refuse(Refusal(400, "bad-request", "Empty lines come before the request."))
                return b""
        if data == b"\r":
            self._kept = data
            return b""
        return data

    def _head_end(self, data: bytes) -> int:
        """Find where the head ends; 0 if it has not come whole. Refuses what cannot become one."""
        limits = self._limits
        if not _FIRST_BYTE.match(data):
            self._refuse(Refusal(400, "bad-request", "This is not the beginning of a request."))
            return -1
        found = data.find(b"\r\n\r\n", 0, limits.head_bytes)
        seen = data[: found + 4 if found >= 0 else limits.head_bytes]
        line = seen.find(b"\r\n", 0, limits.request_line_bytes)
        if seen.count(b"\n") != seen.count(b"\r\n"):
            bare = _BARE_LF.search(seen)
            if bare and (line >= 0 or bare.start() < limits.request_line_bytes):
                self._refuse(Refusal(400, "bad-request", "A line ends in a bare line feed."))
                return -1
        if line < 0 and len(data) >= limits.request_line_bytes:
            sentence = f"The request line has more than {limits.request_line_bytes} bytes."
            self._refuse(Refusal(414, "uri-too-long", sentence))
            return -1
        if found >= 0:
            return found + 4
        if len(data) >= limits.head_bytes:
            sentence = f"The head has more than {limits.head_bytes} bytes."
            self._refuse(Refusal(431, "headers-too-large", sentence))
            return -1
        return 0

    def _refuse(self, refusal: Refusal) -> bytes:
        self.refusal = refusal
        self.phase = _REFUSED
        self._kept = b""
        return b""
