"""
Gateways that can be killed, and a backend that never answers twice the same: for repeats under one key.

Each gateway is a whole application behind a real socket. `kill` ends it in one turn of the loop:
nothing more is sent, to clients, to Redis or to Postgres.
"""

import asyncio
import itertools
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from billing.billing import Billing
from config import Settings
from gateway.app import App
from ledger import accounts, api_keys, grants
from ledger.controls import Grant
from ledger.ledger import Ledger, LedgerOptions
from tests.charging import SECRET, Customer, Stores, published
from tests.gateway.serving import address_of, raw_client

LIFETIME_MS = 300
"""Of holds: they expire while their requests go on, as those of a gateway that was paused."""

PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 20s, max_connections: 512 } }
routes:
  - { path: /once, upstream: api, price: 3 }
  - { path: /replay, upstream: api, price: 3, idempotency: replay }
"""


@dataclass
class Backend:
    """Does what the header `x-play` says; no two of its answers are the same."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: Any = field(default_factory=itertools.count)
    served: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway may leave, or die, at any time
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        play = head.partition(b"x-play: ")[2].partition(b"\r\n")[0].decode()
        self.served += 1
        body = b"answer %d" % next(self.numbers)
        status = 200
        match play:
            case "fail":
                status = 500
            case "hang":
                await self.gate.wait()
            case "large":
                body = body.ljust(70_000, b".")
            case "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
                return False
            case "half":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + body)
                await writer.drain()
                return False
            case "pieces":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                for piece in (body[:3], body[3:]):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                    await asyncio.sleep(0.002)
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                return True
        writer.write(
            b"HTTP/1.1 %d Some\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
        )
        await writer.drain()
        return True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    def install_signal_handlers(self) -> None:
        """The test's process handles its own signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


class Gateway:
    """One gateway of several."""

    def __init__(self, ledger: Ledger, server: _Server, serving: "asyncio.Task[None]", url: str):
        self.ledger = ledger
        self.url = url
        self._server = server
        self._serving = serving

    @classmethod
    async def start(cls, stores: Stores, backend: Backend) -> "Gateway":
        ledger = await Ledger.open(_options(stores), "worker")
        live, _ = await published(
            ledger, PRICES.replace("{api}", f"http://127.0.0.1:{backend.port}")
        )
        for route in live.now.list.routes:  # the price file allows no such short life
            object.__setattr__(route, "lifetime_ms", LIFETIME_MS)

        async def open_billing() -> Billing:
            raise AssertionError("nobody asks for one of our own routes")

        app = App(
            ledger=ledger,
            open_billing=open_billing,
            prices=live,
            settings=Settings.from_environment({}),
            link_secret=SECRET,
            write_log=lambda _: None,
        )
        config = uvicorn.Config(
            app,
            http=app.protocol(),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
        )
        listening = socket.create_server(("127.0.0.1", 0))
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await server.listens.wait()
        return cls(ledger, server, serving, address_of(listening))

    async def kill(self) -> None:
        """End without a word to anyone, as kill -9 does: up to the first await it is one turn."""
        self.ledger.shard.stop()
        for connection in tuple(self._server.server_state.connections):
            connection._transport.abort()  # type: ignore[union-attr]
        for task in tuple(self._server.server_state.tasks):
            task.cancel()
        await self.ledger.settler.aclose()
        await self.stop()

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._serving
        await self.ledger.aclose()


@dataclass
class Fleet:
    """Two gateways, one of which may be dead, and somebody who looks after the ledger."""

    stores: Stores
    backend: Backend
    gateways: list[Gateway]
    keeper: Ledger
    kills: int = 0
    losses: int = 0

    async def customer(self, units: int) -> Customer:
        async with self.keeper.database.connection() as connection:
            account = await accounts.create(connection, actor="test")
            made = await api_keys.create(
                connection,
                account.id,
                actor="test",
                random_bytes=secrets.token_bytes,
            )
            await grants.give(connection, account.id, Grant(1, units), actor="test")
        assert await self.keeper.pusher.push(account.id, limit_s=30) == "applied"
        return Customer(account.id, made.key.id, made.secret)

    async def kill(self, number: int) -> None:
        """One gateway dies, and another takes its place."""
        self.kills += 1
        await self.gateways[number].kill()
        self.gateways[number] = await Gateway.start(self.stores, self.backend)

    async def lose_redis(self) -> None:
        """All that Redis has of this fleet is gone at once."""
        self.losses += 1
        link = await self.keeper._connect()
        names = await link.call("KEYS", f"{self.stores.namespace}:*")
        if names:
            await link.call("DEL", *names)
        link.close()

    async def expire(self) -> None:
        """Let what is overdue expire, as the steward does: it finds it in Postgres."""
        await self.keeper.post_all()
        await asyncio.sleep(1.2 * LIFETIME_MS / 1000)
        await self.keeper.sweeper.expire_holds()


async def whole_answer(url: str, request: bytes) -> tuple[int, bytes] | None:
    """Status and body, to the last byte; None where that never came."""
    try:
        async with asyncio.timeout(30), raw_client(url) as client:
            await client.send(request)
            head = (await client.head()).lower()
            return int(head[9:12]), await _body(client.reader, head)
    except (OSError, asyncio.IncompleteReadError):
        return None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    if length:
        return await reader.readexactly(int(length))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def _options(stores: Stores) -> LedgerOptions:
    return LedgerOptions(stores.postgres_url, stores.redis_url, namespace=stores.namespace)


@asynccontextmanager
async def fleet(stores: Stores) -> AsyncIterator[Fleet]:
    """Two gateways on these stores, before one backend."""
    backend = Backend()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await backend.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    keeper = await Ledger.open(_options(stores), "steward")
    gateways = [await Gateway.start(stores, backend) for _ in range(2)]
    try:
        yield Fleet(stores, backend, gateways, keeper)
    finally:
        backend.gate.set()
        for gateway in gateways:
            await gateway.stop()
        await keeper.aclose()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
