"""
The oracle of a chaos run: a backend that writes down what it served, and what that costs.

    /paid     1 unit         /metered?units=N   N units, told in the answer
    /dear     7 units        /stream            5 units, told in the last of its events
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

PRICES = """
version: 1
credit_types: {{ credits: {{ window: {window} }} }}
upstreams: {{ api: {{ url: "${{BACKEND}}", timeout: 5m }} }}
routes:
  - {{ path: /paid, methods: [GET], upstream: api, price: 1, lifetime: {lifetime_s}s }}
  - {{ path: /dear, methods: [GET], upstream: api, price: 7, lifetime: {lifetime_s}s }}
  - path: /metered
    methods: [GET]
    upstream: api
    price: {{ hold: 12, settle: {{ response: /units, unit: 1, cost: 1 }} }}
    lifetime: {lifetime_s}s
  - path: /stream
    methods: [GET]
    upstream: api
    price: {{ hold: 20, settle: {{ response: /units, unit: 1, cost: 1 }}, missing: 5 }}
    lifetime: {lifetime_s}s
"""
DEAREST = 20
FLAT = {"/paid": 1, "/dear": 7, "/stream": 5}
EVENTS = 6
EVENT_S = 0.02  # between two events of a stream: time for a client to leave, or a fault to begin


@dataclass(frozen=True, slots=True)
class Service:
    """What was done for one request: its price, and through which gateway it came."""

    units: int
    gateway: str


@dataclass
class Backend:
    """What was served, by request id; `repeated` has ids that came more than once."""

    url: str = ""
    total: int = 0
    served: dict[str, Service] = field(default_factory=dict)
    """Of those that nobody has judged yet."""
    repeated: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await self._answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a gateway may leave whenever its client does
        finally:
            writer.transport.abort()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        first, *lines = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        url = urlsplit(first.split(" ")[1])
        units = FLAT.get(url.path)
        if units is None:
            units = int(parse_qs(url.query)["units"][0])
        request = headers["farebox-request-id"]
        if request in self.served:
            self.repeated.add(request)
        self.total += 1
        self.served[request] = Service(units, headers["x-gateway"])
        if url.path == "/stream":
            await _stream(writer, units)
            return
        body = b'{"units": %d}' % units
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        await writer.drain()


async def _stream(writer: asyncio.StreamWriter, units: int) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for number in range(EVENTS):
        last = number == EVENTS - 1
        event = b'data: {"units": %d}\n\n' % units if last else b"data: {}\n\n"
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        if not last:
            await asyncio.sleep(EVENT_S)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """Run it on a free port of loopback."""
    oracle = Backend()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await oracle.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=2_048)
    oracle.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield oracle
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
