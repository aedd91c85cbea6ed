"""
A WebSocket client that can misbehave, and a backend of which every rule of the protocol is kept.

    async with ws_backend() as backend, connected(url, "/live", customer.headers) as client:
        await client.send(TEXT, b"hello")
        assert await client.frame() == (TEXT, True, 0, b"hello")

The client writes frames by hand, so it can send what no library would; the backend is `websockets`,
which knows nothing of us.
"""

import asyncio
import base64
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LIMIT_S = 10


class Frame(NamedTuple):
    """What came."""

    opcode: int
    fin: bool
    rsv: int
    payload: bytes


def frame_bytes(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"abcd",
    length: bytes | None = None,
) -> bytes:
    """A frame as bytes; `length` overrides what its head says."""
    head = bytes((fin << 7 | rsv << 4 | opcode,))
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes((size,))
        elif size < 0x10000:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    if mask is None:
        return head + length + payload
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    masked = number.to_bytes(size, "big")
    return head + bytes((length[0] | 0x80,)) + length[1:] + mask + masked


@dataclass
class WsClient:
    """One connection, from its handshake on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(self, opcode: int, payload: bytes = b"", **more: object) -> None:
        await self.raw(frame_bytes(opcode, payload, **more))  # type: ignore[arg-type]

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> Frame:
        """The next frame; raises IncompleteReadError where the connection has ended."""
        async with asyncio.timeout(LIMIT_S):
            first, second = await self.reader.readexactly(2)
            assert second < 0x80, "a server masks nothing"
            size = second
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            payload = await self.reader.readexactly(size)
        return Frame(first & 15, first >= 128, first >> 4 & 7, payload)

    async def message(self) -> bytes:
        """The next message, put together; control frames between are not expected."""
        pieces = []
        while True:
            frame = await self.frame()
            assert frame.opcode < CLOSE, frame
            pieces.append(frame.payload)
            if frame.fin:
                return b"".join(pieces)

    async def closing(self) -> tuple[int | None, str]:
        """Read up to a Close; its code and reason. None where the connection ended without."""
        try:
            while (frame := await self.frame()).opcode != CLOSE:
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return None, ""
        return int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode()

    async def end(self) -> None:
        """Answer a Close, and wait until the connection ends."""
        with suppress(ConnectionError):
            await self.send(CLOSE, (1000).to_bytes(2, "big"))
        async with asyncio.timeout(LIMIT_S):
            with suppress(ConnectionError):
                await self.reader.read()

    async def close(self, code: int = 1000) -> tuple[int | None, str]:
        """Close in order; what the other side said."""
        await self.send(CLOSE, code.to_bytes(2, "big"))
        said = await self.closing()
        async with asyncio.timeout(LIMIT_S):
            await self.reader.read()
        return said

    def vanish(self) -> None:
        self.writer.transport.abort()


KEY = base64.b64encode(bytes(range(16))).decode()


@asynccontextmanager
async def connected(
    url: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    early: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WsClient]:
    """Do the handshake; a refusal is left in `status` and `body`."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    reader, writer = await asyncio.open_connection(
        place.hostname, place.port, ssl=tls, limit=1 << 22
    )
    client = WsClient(reader, writer)
    lines = {
        "host": place.netloc,
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        **(headers or {}),
    }
    try:
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        await client.raw(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode() + early)
        async with asyncio.timeout(LIMIT_S):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = answer[:-4].split("\r\n")
            client.status = int(first.split(" ")[1])
            pairs = [line.split(": ", 1) for line in rest]
            client.headers = {name.lower(): value for name, value in pairs}
            if client.status != 101:
                client.body = await reader.readexactly(int(client.headers["content-length"]))
        yield client
    finally:
        writer.transport.abort()


@dataclass
class WsBackend:
    """
    What the backend has seen.

    Attributes:
        heads: Of every handshake, header names in lower case.
        messages: Of all connections, by the path of each.
        closes: With which code each connection was closed; None where it just ended.
    """

    url: str = ""
    heads: list[dict[str, str]] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    closes: list[int | None] = field(default_factory=list)
    open: set[ServerConnection] = field(default_factory=set)

    def kill(self) -> None:
        """Break every connection, as a process does that is killed."""
        for connection in tuple(self.open):
            connection.transport.abort()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.heads.append({name.lower(): value for name, value in request.headers.raw_items()})
        if request.path.startswith("/no"):
            return connection.respond(int(request.path[4:7]), "not today")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path.partition("?")[0]
        self.open.add(connection)
        try:
            if path == "/bye":
                await connection.close(4321, "so long")
            if path == "/flood":
                for number in range(2_000):
                    await connection.send(number.to_bytes(4, "big") * 4_096)
            async for message in connection:
                self.messages[path] += 1
                if path not in ("/deaf", "/stream"):
                    await connection.send(message)
        except ConnectionClosed:
            pass  # seen below
        finally:
            await connection.wait_closed()
            self.open.discard(connection)
            self.closes.append(
                connection.protocol.close_rcvd and connection.protocol.close_rcvd.code
            )


@asynccontextmanager
async def ws_backend(tls: ssl.SSLContext | None = None, **more: object) -> AsyncIterator[WsBackend]:
    """Run the echo on a free port of loopback."""
    backend = WsBackend()
    options: dict[str, object] = {
        "max_size": 1 << 24, "ping_interval": None, "close_timeout": 2, "ssl": tls,
        "select_subprotocol": _subprotocol, **more,
    }  # fmt: skip
    async with serve(
        backend.serve,
        "127.0.0.1",
        0,
        process_request=backend.answer,
        **options,  # type: ignore[arg-type]
    ) as server:
        port = server.sockets[0].getsockname()[1]
        backend.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield backend
        backend.kill()


def _subprotocol(_connection: ServerConnection, offered: list[str]) -> str | None:  # type: ignore[type-arg]
    return "chat.v2" if "chat.v2" in offered else None


def random_payload(size: int) -> bytes:
    return os.urandom(size)
