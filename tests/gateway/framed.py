"""What a framing has read, written down again as one request after another."""

import re

from gateway.framing import Framing
from gateway.framing.framing import Phase
from gateway.framing.head import Head

_LINE = re.compile(rb"\r\n([^:\r\n]+):[ \t]*")


class Reading:
    """One request: its head, and what came of its body."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.body = b""
        self.complete = False

    def written(self) -> bytes:
        """As a client would send it that writes all things in the plainest way."""
        head = self.head
        lines = [b"%b %b HTTP/1.%d\r\n" % (head.method, head.target, not head.block.old)]
        lines += [b"%b: %b\r\n" % header for header in head.block.headers]
        if head.block.body_bytes >= 0:
            return b"".join([*lines, b"\r\n", self.body])
        chunk = b"%x\r\n%b\r\n" % (len(self.body), self.body) if self.body else b""
        return b"".join([*lines, b"\r\n", chunk, b"0\r\n\r\n" if self.complete else b""])


class Reader:
    """A framing whose every request is answered at once."""

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self.readings: list[Reading] = []

    def feed(self, data: bytes) -> None:
        self._take(self.framing.feed(data))
        while self.framing.phase is Phase.COMPLETE and self.framing.kept_bytes:
            if self.framing.head is not None and self.framing.head.block.last:
                break
            self.next()

    def next(self) -> None:
        self._take(self.framing.next())

    def _take(self, body: bytes) -> None:
        head = self.framing.head
        if head is not None and (not self.readings or self.readings[-1].head is not head):
            self.readings.append(Reading(head))
        if self.readings:
            self.readings[-1].body += body
            self.readings[-1].complete |= self.framing.phase is Phase.COMPLETE

    def written(self) -> bytes:
        return b"".join(reading.written() for reading in self.readings)


def plain(request: bytes) -> bytes:
    """Write a request's names in lower case, with one space behind the colon."""
    head, end, body = request.partition(b"\r\n\r\n")
    return _LINE.sub(lambda line: b"\r\n%b: " % line[1].lower(), head) + end + body
