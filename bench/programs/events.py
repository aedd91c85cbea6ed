"""
A backend of server-sent events: `python -m bench.programs.events COUNT EVERY_MS UNITS`.

Every event carries the time of its writing, in nanoseconds of the machine's monotonic clock; the
last one says how many units the stream was worth.
"""

import asyncio
import json
import sys
import time
from typing import cast

from bench.programs.served import serve

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Events(asyncio.Protocol):
    def __init__(self, count: int, every_s: float, units: int) -> None:
        self._count = count
        self._every_s = every_s
        self._units = units
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            self._head = b""
            self._transport.write(HEAD)
            self._event(1)

    def _event(self, number: int) -> None:
        if self._transport.is_closing():
            return
        last = number == self._count
        told: dict[str, object] = {"n": number, "text": "wireless ", "at": 0}
        if last:
            told["usage"] = {"total_tokens": self._units}
        told["at"] = time.monotonic_ns()
        event = b"data: %b\n\n" % json.dumps(told).encode()
        self._transport.write(
            b"%x\r\n%b\r\n%b" % (len(event), event, b"0\r\n\r\n" if last else b"")
        )
        if not last:
            asyncio.get_running_loop().call_later(self._every_s, self._event, number + 1)


if __name__ == "__main__":
    count, every_ms, units = map(int, sys.argv[1:])
    serve(lambda: Events(count, every_ms / 1000, units))
