"""Server-sent events, split as they pass: bounded, and never parsed twice."""

from collections.abc import Iterator

LONGEST_EVENT = 1024 * 1024
"""Bytes of one event's data. Usage is a few hundred; a larger event is passed on but not read."""


class EventSplitter:
    """Bytes in any portions to the data of each event (WHATWG HTML 9.2)."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data = bytearray()
        self._too_long = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take bytes, give the data of each event that they complete."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk, self._after_cr = chunk[1:], False
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for index, part in enumerate(lines):
            if index:
                yield from self._end_line()
            self._extend(part)

    def close(self) -> Iterator[bytes]:
        """Give the last event too where the upstream left out the empty line behind it."""
        if self._line:
            yield from self._end_line()
        yield from self._end_event()

    def _extend(self, part: bytes) -> None:
        if len(self._line) + len(self._data) + len(part) > LONGEST_EVENT:
            # One byte stays, so that the line does not look like the empty one that ends events.
            self._too_long = True
            self._data.clear()
            self._line[:] = b":"
        elif not (self._too_long and self._line):
            self._line += part

    def _end_line(self) -> Iterator[bytes]:
        line = self._line
        if not line:
            yield from self._end_event()
        elif line.startswith(b"data:"):
            self._data += line[6 if line.startswith(b"data: ") else 5 :] + b"\n"
        line.clear()

    def _end_event(self) -> Iterator[bytes]:
        if self._data and not self._too_long:
            yield bytes(self._data[:-1])
        self._data.clear()
        self._too_long = False
