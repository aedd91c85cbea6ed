"""A real server on a free port in the test's own event loop, and a client that speaks raw bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from gateway.framing import StrictHttpProtocol


async def until(condition: Callable[[], object], limit_s: float = 10) -> None:
    """Wait for what has no event of its own; fails the test when it does not come about."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0.005)


def address_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def serving(
    app: Any,
    *,
    lifespan: str = "off",
    listening: socket.socket | None = None,
    http: type[asyncio.Protocol] = StrictHttpProtocol,
) -> AsyncIterator[str]:
    """Serve an ASGI application as the workers do; gives its address without a path."""
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan=lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
    )
    listening = listening or socket.create_server(("127.0.0.1", 0))
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await server.listens.wait()
    try:
        yield address_of(listening)
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    def install_signal_handlers(self) -> None:
        """The test's process handles its own signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@dataclass
class RawClient:
    """One connection to a server under test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """Read up to the end of an answer's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        return await self.reader.read()

    async def leave(self) -> None:
        """Close the connection, as a client does that loses its patience."""
        self.writer.close()
        await self.writer.wait_closed()

    def vanish(self) -> None:
        """Break the connection, as a client does that loses its network."""
        self.writer.transport.abort()


@asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    """Connect to a server; the connection is closed at the end whatever happened to it."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
