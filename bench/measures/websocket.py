"""
WebSocket messages: CPU per message through Farebox, beside what only passes bytes on.

Every connection sends a message, waits for it to come back, and sends the next. A round trip is two
messages. Farebox reads frames to count messages and holds a slice of the connection's price ahead;
the peers, a relay of a few lines on the same event loop and nginx, look at nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import cast

from bench.found import Count, Found, Table
from bench.peers.farebox import captured, gateway, price_file
from bench.processes import children_of, cpu_s
from bench.programs import program
from bench.run import Run
from bench.upstream import free_port, nginx, nginx_missing
from tests.websockets import CLOSE, KEY, TEXT, frame_bytes

CONNECTIONS = 32
PAYLOAD = b"x" * 64
MESSAGE = frame_bytes(TEXT, PAYLOAD)
ANSWER = frame_bytes(TEXT, PAYLOAD, mask=None)
END = frame_bytes(CLOSE, (1000).to_bytes(2, "big"))
LIMIT_S = 30
ROUTES = """
  - { path: /flat, upstream: api, websocket: true, price: 3 }
  - path: /counted
    upstream: api
    websocket: true
    price: { hold: 100000, per: [{ messages: true, cost: 1 }] }"""
FLAT_PRICE = 3


@dataclass
class Way:
    """One way to the echo, the processes that stand there, and what was measured."""

    url: str
    pids: list[int]
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    us: list[float] = field(default_factory=list)
    trips: int = 0
    connections: int = 0

    @property
    def us_per_message(self) -> float:
        return median(self.us)


class Talker(asyncio.Protocol):
    """A client that sends a message whenever the last one has come back, until told to stop."""

    def __init__(self, way: Way) -> None:
        self.trips = 0
        self.stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lines = "".join(f"{name}: {value}\r\n" for name, value in way.headers.items())
        self._hello = (
            f"GET {way.path} HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\n"
            f"connection: upgrade\r\nsec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\n"
            f"{lines}\r\n"
        ).encode()
        self._rest = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._open:
            head, end, self._rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._fail(f"no handshake: {head!r}")
            self._open = True
            self._transport.write(MESSAGE)
            return
        if len(self._rest) < len(ANSWER) or self.ended.done():
            return
        if self._rest[: len(ANSWER)] != ANSWER:
            self._fail(f"another answer: {self._rest!r}")
            return
        self._rest = self._rest[len(ANSWER) :]
        self.trips += 1
        if self.stopping:
            self._transport.write(END)
            self.ended.set_result(None)
        else:
            self._transport.write(MESSAGE)

    def connection_lost(self, why: Exception | None) -> None:
        self._fail(f"the connection ended: {why}")

    def close(self) -> None:
        self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(why))


async def websocket(run: Run) -> Found:
    """Let the clients talk each way in turns."""
    async with (
        program("bench.programs.ws_echo") as echo,
        program("bench.programs.relay", *echo.url.removeprefix("http://").split(":")) as relay,
        gateway(run.folder, price_file(echo.url, ROUTES)) as (served, key),
        _nginx(run.folder / "nginx", echo.url) as by_nginx,
    ):
        worker = [pid for name, pid in served.children().items() if "worker" in name]
        ours = {
            "farebox, messages counted": Way(served.url, worker, "/counted", key),
            "farebox, flat price": Way(served.url, worker, "/flat", key),
        }
        ways = {**ours, "byte relay": Way(relay.url, [relay.pid]), **by_nginx}
        run.say(f"{CONNECTIONS} connections")
        for way in ways.values():
            await _talk(way, 1.0)
            way.us.clear()
        for _ in range(run.rounds):
            for way in ways.values():
                await _talk(way, run.seconds / 2)
        taken = await captured(served)
    counted, flat = ours.values()
    table = Table(
        f"WebSocket, {CONNECTIONS} connections",
        ("way", "CPU µs/message", "rounds", "messages"),
    )
    for name, way in ways.items():
        shown = " ".join(f"{us:.1f}" for us in way.us)
        table.lines.append((name, f"{way.us_per_message:.1f}", shown, f"{2 * way.trips:,}"))
    relayed = ways["byte relay"].us_per_message
    return Found(
        said=f"Messages of {len(PAYLOAD)} bytes that an echo sends back, counted in both"
        " directions; CPU of the process between. The byte relay is a few lines of Python on the"
        " same event loop.",
        tables=[table],
        counts=[
            Count(
                "units charged, one per message from a client, and per connection where flat",
                counted.trips + flat.connections * FLAT_PRICE,
                taken,
            )
        ],
        notes=[f"Farebox is {counted.us_per_message / relayed:.2f} x the byte relay"],
    )


async def _talk(way: Way, seconds: float) -> None:
    """Talk on every connection for so long; add what a message cost."""
    loop = asyncio.get_running_loop()
    host, port = way.url.removeprefix("http://").split(":")
    talkers = [
        (await loop.create_connection(lambda: Talker(way), host, int(port)))[1]
        for _ in range(CONNECTIONS)
    ]
    way.connections += CONNECTIONS
    before = cpu_s(way.pids), sum(talker.trips for talker in talkers)
    await asyncio.sleep(seconds)
    after = cpu_s(way.pids), sum(talker.trips for talker in talkers)
    for talker in talkers:
        talker.stopping = True
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(talker.ended for talker in talkers))
    for talker in talkers:
        talker.close()
    way.trips += sum(talker.trips for talker in talkers)
    messages = 2 * (after[1] - before[1])
    way.us.append((after[0] - before[0]) / max(messages, 1) * 1e6)


@asynccontextmanager
async def _nginx(folder: Path, url: str) -> AsyncIterator[dict[str, Way]]:
    """The same by nginx, where it is installed."""
    if nginx_missing():
        yield {}
        return
    port = free_port()
    http = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        f" proxy_pass {url}; }} }}"
    )
    async with nginx(folder, "", http, port=port) as master:
        yield {"nginx": Way(f"http://127.0.0.1:{port}", children_of(master))}
