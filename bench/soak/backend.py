"""
The backend of a soak, which keeps account of what the gateway has earned with each head it got.

It grows by nothing but counters, however long it runs. What it does depends on the path; `PRICES`
says the same to the gateway, and `EARNED` what each is worth.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

TOKENS = 7
"""What every metered answer says was used."""

LIMIT = 250
"""What every search asks for: 1 + 250 / 100, rounded up."""

PRICES = """
version: 1
upstreams:
  api: { url: "${API}", timeout: 10s }
  echo: { url: "${ECHO}", timeout: 10s }
credit_types:
  credits: { window: 10000000 }
routes:
  - { path: /fixed, methods: [GET], upstream: api, price: 1 }
  - { path: /slow, methods: [GET], upstream: api, price: 2 }
  - { path: /upload, methods: [POST], upstream: api, price: 3 }
  - path: /search
    methods: [POST]
    upstream: api
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1 }], max: 50 }
  - path: /metered
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/tokens, cost: 1 }, missing: 40 }
  - path: /events
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/tokens, cost: 1 }, missing: 40 }
  - { path: /fail, methods: [GET], upstream: api, price: 5 }
  - { path: /cut, methods: [GET], upstream: api, price: 5 }
  - { path: /reset, methods: [GET], upstream: api, price: 5 }
  - path: /socket
    upstream: echo
    websocket: true
    price: { hold: 50, per: [{ connection: true, cost: 4 }, { messages: true, cost: 1 }] }
"""

EARNED = {
    "/fixed": 1,
    "/slow": 2,
    "/upload": 3,
    "/search": 4,
    "/metered": TOKENS,
    "/events": TOKENS,
    "/fail": 0,
    "/cut": 0,
    "/reset": 0,
}
"""For a head that arrived: a client that left after that pays, a failure of the backend is free."""

SLOW_S = 0.05
EVENT_S = 0.02
EVENTS = 5

_USAGE = json.dumps({"usage": {"tokens": TOKENS}}).encode()
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


OK = _answer(b"200 OK", json.dumps({"answer": "x" * 177}).encode())
FAILED = _answer(b"500 Broken", b'{"error": "broken"}')
METERED = _answer(b"200 OK", _USAGE)
CUT = OK[:-20]
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


@dataclass
class Backend:
    """
    What has arrived.

    Attributes:
        heads: By path.
        connections: Open ones.
    """

    url: str = ""
    heads: Counter[str] = field(default_factory=Counter)
    connections: set["_Connection"] = field(default_factory=set)

    def earned(self) -> dict[str, int]:
        """Return what the gateway must have charged, by path."""
        return {path: count * EARNED[path] for path, count in self.heads.items()}


class _Connection(asyncio.Protocol):
    """One of the gateway's: a request after the other."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._body_bytes = 0
        self._path = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._backend.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._backend.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._path:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._received = rest
            self._path = head.split(b" ", 2)[1].decode()
            self._backend.heads[self._path] += 1
            length = _LENGTH.search(head)
            self._body_bytes = int(length[1]) if length else 0
        if len(self._received) >= self._body_bytes:
            self._received = self._received[self._body_bytes :]
            path, self._path = self._path, ""
            self._serve(path)

    def _serve(self, path: str) -> None:
        match path:
            case "/slow":
                self._timer = self._loop.call_later(SLOW_S, self._transport.write, OK)
            case "/events":
                self._transport.write(STREAM_HEAD)
                self._event(EVENTS)
            case "/metered":
                self._transport.write(METERED)
            case "/fail":
                self._transport.write(FAILED)
            case "/cut":
                self._transport.write(CUT)
                self._transport.close()
            case "/reset":
                self._transport.abort()
            case _:
                self._transport.write(OK)

    def _event(self, left: int) -> None:
        """Send one of a stream's events; the last has the usage."""
        event = b"data: %b\n\n" % (b'{"usage": null}' if left > 1 else _USAGE)
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        if left > 1:
            self._timer = self._loop.call_later(EVENT_S, self._event, left - 1)
        else:
            self._transport.write(b"0\r\n\r\n")


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """Run it on a free port of loopback."""
    kept = Backend()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(kept), "127.0.0.1", 0, backlog=2_048)
    kept.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield kept
    finally:
        server.close()
        for connection in tuple(kept.connections):
            connection._transport.abort()  # noqa: SLF001 - of this module
