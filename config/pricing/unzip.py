"""Reading a compressed answer for its usage: within a size and a ratio, or not at all."""

import zlib

LARGEST_RATIO = 100
"""JSON and events shrink to a tenth, rarely to a thirtieth; zlib can reach 1,000: a bomb."""

FREE_BYTES = 64 * 1024
"""Below this much the ratio says nothing: a few bytes of repetition are no bomb."""

_PIECE = 64 * 1024
_GZIP, _ZLIB = 31, 15
_CODINGS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}


class Unzip:
    """
    Decompresses what passes, a piece at a time; never more than a piece is held.

    Attributes:
        failed: It is malformed or a bomb; nothing more comes out.
    """

    def __init__(self, window_bits: int) -> None:
        self._bits = window_bits
        self._stream = zlib.decompressobj(window_bits)
        self._in_bytes = 0
        self._out_bytes = 0
        self.failed = False

    @classmethod
    def for_coding(cls, coding: bytes) -> "Unzip | None":
        """Return what reads this content coding; None for one that is not known here."""
        bits = _CODINGS.get(coding.lower())
        return None if bits is None else cls(bits)

    def feed(self, data: bytes) -> "list[bytes]":
        """Take compressed bytes, give what they hold, in pieces."""
        self._in_bytes += len(data)
        pieces = []
        while data and not self.failed:
            if self._stream.eof:  # a gzip file may have several parts, one after the other
                self._stream = zlib.decompressobj(self._bits)
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                self.failed = True
                break
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self._out_bytes += len(piece)
            if self._out_bytes > max(FREE_BYTES, self._in_bytes * LARGEST_RATIO):
                self.failed = True
                break
            if piece:
                pieces.append(piece)
            elif not self._stream.eof:
                break
        return pieces
