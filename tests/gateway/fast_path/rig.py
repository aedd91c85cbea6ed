"""
A gateway over raw sockets whose backend plays what a test wants of each path.

    async with client_of(gateway) as client:
        answer = await client.ask(get(customer, "/ok"))

The first request of a key goes through the main flow, because nobody remembers its caller;
`warm` sends it. `Passages` counts what the fast path did, so that a test can show that it served.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.fast_path.passage import Passage
from gateway.upstream.limits import UpstreamLimits
from tests.charging import Charging, Customer
from tests.gateway.serving import RawClient, raw_client, until
from tests.upstreams import Connection, Upstream, answer, misbehaving_upstream

LIMIT_S = 20.0
CREDITS = 1_000

Play = bytes | Callable[[Connection], Awaitable[None]]


@dataclass
class Passages:
    """How often a passage served a request, left one to the main flow, or dropped one."""

    served: int = 0
    left: int = 0
    dropped: int = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.served, self.left, self.dropped

    def clear(self) -> None:
        self.served = self.left = self.dropped = 0


@contextmanager
def counted_passages() -> Iterator[Passages]:
    """Count what all passages of this process do."""
    counts = Passages()

    def counting(name: str, counted: str) -> None:
        usual = getattr(Passage, name)

        def count(self: Passage, *args: Any) -> Any:
            setattr(counts, counted, getattr(counts, counted) + 1)
            return usual(self, *args)

        patch.setattr(Passage, name, count)

    with pytest.MonkeyPatch.context() as patch:
        counting("_finish", "served")
        counting("leave", "left")
        counting("_drop", "dropped")
        yield counts


@dataclass
class Played:
    """
    The running backend.

    Attributes:
        plays: What it does with a request, by path; `ok` where nothing is said.
        writers: Of the connections that are open.
        upstream: Its address, and the heads it has read.
    """

    upstream: Upstream
    plays: dict[str, Play] = field(default_factory=dict)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.upstream.url

    @property
    def heads(self) -> list[bytes]:
        return self.upstream.heads


@asynccontextmanager
async def played_backend() -> AsyncIterator[Played]:
    """Run a backend that keeps its connections."""
    plays: dict[str, Play] = {}
    writers: set[asyncio.StreamWriter] = set()

    async def serve(connection: Connection) -> None:
        writers.add(connection.writer)
        try:
            await go_on(connection)
        finally:
            writers.discard(connection.writer)

    async def go_on(connection: Connection) -> None:
        while not connection.writer.is_closing():
            head = await connection.read_head()
            await connection.read_body(head)
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
            play = plays.get(path, answer(200, b"ok"))
            if isinstance(play, bytes):
                await connection.send(play)
            else:
                await play(connection)

    async with misbehaving_upstream(serve) as upstream:
        yield Played(upstream, plays, writers)


@dataclass
class Answer:
    """One answer, as it came."""

    status: int
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    def value(self, name: str) -> str:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            known, _, value = line.partition(": ")
            if known == name:
                return value
        return ""


class Client:
    """One connection to the gateway."""

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw

    async def ask(self, request: bytes) -> Answer:
        await self.raw.send(request)
        return await self.answer(bodiless=request.startswith(b"HEAD "))

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one final answer."""
        async with asyncio.timeout(LIMIT_S):
            head = await self.raw.head()
            read = Answer(int(head.split(b" ", 2)[1]), head, b"")
            if bodiless:
                return read
            if read.value("transfer-encoding") == "chunked":
                while not read.body.endswith(b"0\r\n\r\n"):
                    read.body += await self.raw.reader.readuntil(b"\r\n")
            else:
                read.body = await self.raw.reader.readexactly(
                    int(read.value("content-length") or 0)
                )
            return read

    async def closed(self) -> bytes:
        """Wait for the gateway to close; give what came before."""
        async with asyncio.timeout(LIMIT_S):
            try:
                return await self.raw.rest()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def client_of(gateway: Charging) -> AsyncIterator[Client]:
    """Connect to a gateway."""
    async with raw_client(gateway.url) as raw:
        yield Client(raw)


@contextmanager
def ledger_waits(gateway: Charging) -> Iterator[None]:
    """Nothing is sent to Redis meanwhile."""
    shard = gateway.ledger.shard
    send = shard._next
    shard._next = lambda: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        shard._next = send  # type: ignore[method-assign]
        shard._next_comes = False
        shard._soon()


def get(customer: Customer | None, target: str, *lines: str, method: str = "GET") -> bytes:
    """A request without a body."""
    key = [f"x-api-key: {customer.secret}"] if customer else []
    head = [f"{method} {target} HTTP/1.1", "host: api.example", *key, *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


def keep_connections(gateway: Charging) -> None:
    """Have backend connections kept for longer than any test takes."""
    gateway.app._upstreams._limits = UpstreamLimits(keep_ms=600_000)


@dataclass
class Warm:
    """A gateway, its backend, what its passages did, and what customers spent to become warm."""

    gateway: Charging
    backend: Played
    passages: Passages
    before: dict[int, int] = field(default_factory=dict)

    async def customer(self, amount: int = CREDITS, *, at_once: int = 1) -> Customer:
        """Make a customer whom the gateway remembers; so many backend connections are kept."""
        customer = await self.gateway.customer(credits=amount + at_once)
        self.backend.heads.clear()

        async def together(connection: Connection) -> None:
            await self.backend.upstream.saw(at_once)
            await connection.send(answer(200, b"ok"))

        async def ask() -> None:
            async with client_of(self.gateway) as client:
                assert (await client.ask(get(customer, "/ok"))).status == 200

        self.backend.plays["/ok"] = together
        await asyncio.gather(*(ask() for _ in range(at_once)))
        self.before[customer.account] = at_once
        await self.gateway.quiet()
        self.forget()
        return customer

    def forget(self) -> None:
        self.passages.clear()
        self.backend.heads.clear()
        self.backend.plays.clear()

    async def held(self) -> None:
        """Wait until a request is under way in a passage."""
        await until(lambda: self.fast.under_way, LIMIT_S)

    @property
    def fast(self) -> Any:
        return self.gateway.app._fast

    async def spent(self, customer: Customer, amount: int, *, of: int = CREDITS) -> None:
        """So much is captured, all charges are closed, and nothing is held."""
        await self.gateway.quiet()
        await self.gateway.settled()
        async with self.gateway.ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT captured, closed_at FROM charges WHERE account_id = $1", customer.account
            )
        assert all(row["closed_at"] for row in rows)
        assert sum(row["captured"] or 0 for row in rows) == amount + self.before[customer.account]
        assert await self.gateway.available(customer) == of - amount
        assert self.gateway.app.open_requests == 0
        assert not self.fast.under_way
        assert self.busy == 0

    @property
    def busy(self) -> int:
        """Connections to the backend that are lent."""
        return sum(pool.busy for pool in self.gateway.app._upstreams._pools.values())
