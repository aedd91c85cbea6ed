"""
Backends that misbehave, over real sockets.

    async with misbehaving_upstream([read_request(), b"HTTP/1.1 200 OK\\r\\n...", cut()]) as upstream:
        client.get(upstream.url)

A script is a list of steps: bytes are sent as they are, the functions below make the others.
Every connection runs it from the start; `scripts=[...]` gives the first connection the first
script, and so on, the last one being used for all that follow. When a script is over, the
connection is kept open until the client closes it. `async def play(connection)` may be given instead of a script.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal


class Connection:
    """One accepted connection, as steps see it."""

    def __init__(
        self, upstream: "Upstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write, and wait until the client takes it."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_head(self) -> bytes:
        """The next request head; raises IncompleteReadError when the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.upstream.note(head)
        return head

    async def read_body(self, head: bytes) -> bytes:
        """The body that belongs to this head, its chunks joined."""
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        elif b"content-length: " in lower:
            length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await self.reader.readexactly(length)
        else:
            body = b""
        self.upstream.bodies.append(body)
        return body


Step = bytes | Callable[[Connection], Awaitable[None]]
Script = Sequence[Step] | Callable[[Connection], Awaitable[None]]


@dataclass
class Upstream:
    """
    A running backend, and what it has seen. Also an address for the upstream clients.

    Attributes:
        heads: Every request head read, in order.
        bodies: Every request body read.
        connections: How many were accepted.
        ended: Set when a client has closed a connection.
    """

    port: int
    scheme: Literal["http", "https"] = "http"
    host: str = "127.0.0.1"
    timeout_ms: int = 5_000
    connect_timeout_ms: int = 5_000
    max_connections: int = 256
    ca_file: str | None = None
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    _arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def saw(self, count: int = 1) -> None:
        """Wait until this many request heads have been read."""
        while len(self.heads) < count:
            self._arrival.clear()
            await self._arrival.wait()

    def note(self, head: bytes) -> None:
        """Keep a head that was read."""
        self.heads.append(head)
        self._arrival.set()

    @property
    def authority(self) -> bytes:
        """What the Host header says."""
        return f"{self.host}:{self.port}".encode()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"{self.scheme}://{self.host}:{self.port}"


def read_request() -> Step:
    """Read one whole request, body included."""

    async def step(connection: Connection) -> None:
        await connection.read_body(await connection.read_head())

    return step


def read_head() -> Step:
    """Read a request's head and leave its body unread."""

    async def step(connection: Connection) -> None:
        await connection.read_head()

    return step


def answer(status: int = 200, body: bytes = b"", *headers: bytes) -> bytes:
    """A well-formed response with a Content-Length, to be used as a step."""
    lines = [b"HTTP/1.1 %d Some" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def pause(seconds: float) -> Step:
    """Be silent; for time limits that are to be met, not for luck."""

    async def step(connection: Connection) -> None:
        await asyncio.sleep(seconds)

    return step


def wait_for(event: asyncio.Event) -> Step:
    """Be silent until the test says so."""

    async def step(connection: Connection) -> None:
        await event.wait()

    return step


def silence() -> Step:
    """Never do anything again."""

    async def step(connection: Connection) -> None:
        await asyncio.Event().wait()

    return step


def cut() -> Step:
    """End the connection in an orderly way (FIN), wherever the response stands."""

    async def step(connection: Connection) -> None:
        connection.writer.close()
        await connection.writer.wait_closed()

    return step


def reset() -> Step:
    """End the connection rudely (RST)."""

    async def step(connection: Connection) -> None:
        sock = connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.writer.transport.abort()

    return step


def trickle(data: bytes, size: int = 1) -> Step:
    """Send a few bytes at a time, each its own piece for the client."""

    async def step(connection: Connection) -> None:
        connection.writer.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for at in range(0, len(data), size):
            await connection.send(data[at : at + size])
            await asyncio.sleep(0)

    return step


def huge(size: int, piece: int = 64 * 1024) -> Step:
    """Send this many bytes of body without ever holding them."""

    async def step(connection: Connection) -> None:
        block = bytes(piece)
        left = size
        while left:
            await connection.send(block[: min(piece, left)])
            left -= min(piece, left)

    return step


def swallow() -> Step:
    """Read and forget whatever comes, until the client closes."""

    async def step(connection: Connection) -> None:
        while await connection.reader.read(256 * 1024):
            pass

    return step


def forever(*steps: Step) -> Step:
    """Repeat these steps until the connection ends: a backend that keeps connections alive."""

    async def step(connection: Connection) -> None:
        while not connection.writer.is_closing():
            for each in steps:
                await _run(each, connection)

    return step


async def _run(step: Step, connection: Connection) -> None:
    if isinstance(step, bytes):
        await connection.send(step)
    else:
        await step(connection)


@asynccontextmanager
async def misbehaving_upstream(
    script: Script = (),
    *,
    scripts: Sequence[Script] = (),
    timeout_ms: int = 5_000,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Upstream]:
    """Run a backend that plays the script on each connection, on a free port of loopback."""
    plays = list(scripts) or [script]
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        number = min(upstream.connections, len(plays) - 1)
        upstream.connections += 1
        connection = Connection(upstream, reader, writer)
        play = plays[number]
        try:
            if callable(play):
                await play(connection)
            else:
                for step in play:
                    await _run(step, connection)
            while not writer.is_closing() and await reader.read(64 * 1024):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client may leave at any time: that is often the test
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            upstream.ended.set()
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(port, "https" if tls else "http", timeout_ms=timeout_ms)
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()
