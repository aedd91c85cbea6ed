"""
A backend that knows what it got: it counts request heads by their Farebox-Request-Id.

    async with counting_backend() as backend:
        ...
        backend.served[request_id]      # how often that request's head arrived here

Paths decide what it does: /ok /echo /fail /slow /reset /cut /half /chat /sse /gated /pieces /hang and some more;
others are 404.
"""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Head = tuple[str, str, list[tuple[str, str]]]


@dataclass
class CountingBackend:
    """
    What the backend has seen.

    Attributes:
        served: Heads that arrived, by request id; "" for those that had none.
        heads: The heads, as (method, target, headers).
        gate: `/hang` answers, and `/gated` ends, once this is set.
    """

    port: int = 0
    served: Counter[str] = field(default_factory=Counter)
    heads: list[Head] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, number: int = -1) -> dict[str, str]:
        """The headers of a request seen, the last one if nothing is said."""
        return dict(self.heads[number][2])

    def kill(self) -> None:
        """Break every connection and accept no more, as a process does that is killed."""
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway may leave whenever its client does
        finally:
            self.writers.discard(writer)
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False ends the connection."""
        raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [line.split(": ", 1) for line in lines]
        headers = [(name.lower(), value) for name, value in pairs]
        self.heads.append((method, target, headers))
        known = dict(headers)
        self.served[known.get("farebox-request-id", "")] += 1
        body = await _body(reader, known)
        path = target.partition("?")[0]
        match path:
            case "/reset":
                _reset(writer)
                return False
            case "/cut":
                return False
            case "/half":
                await _write(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                return False
            case "/hang":
                await self.gate.wait()
                await _write(writer, _answer(200, b"late"))
            case "/slow":
                await asyncio.sleep(0.05)
                await _write(writer, _answer(200, b"slow"))
            case "/pieces" | "/metered":
                await _write_in_pieces(writer)
            case "/sse":
                await _stream(writer)
            case "/gated":
                await _stream(writer, self.gate)
            case _:
                status, content = _content(path, method, target, headers, body)
                await _write(writer, _answer(status, b"" if method == "HEAD" else content))
        return True


def _content(
    path: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> tuple[int, bytes]:
    match path:
        case "/ok" | "/calls" | "/free" | "/open" | "/watched" | "/search":
            return 200, b"ok"
        case "/fail":
            return 500, b"broken"
        case "/chat":
            return 200, body
        case "/echo":
            seen = {"method": method, "target": target, "headers": headers, "body": body.decode()}
            return 200, json.dumps(seen).encode()
        case _:
            return 404, b"nothing here"


def _answer(status: int, body: bytes) -> bytes:
    head = b"HTTP/1.1 %d Some\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _write_in_pieces(writer: asyncio.StreamWriter) -> None:
    """Send a head, and a while later each half of a body."""
    whole = _answer(200, b'{"usage": {"total_tokens": 7}}')
    head, end, body = whole.partition(b"\r\n\r\n")
    for piece in (head + end, body[:9], body[9:]):
        await _write(writer, piece)
        await asyncio.sleep(0.02)


async def _stream(writer: asyncio.StreamWriter, gate: asyncio.Event | None = None) -> None:
    """Send ten events; the last one carries the usage, and waits for the gate if there is one."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    await _write(writer, head)
    for number in range(10):
        usage = b'{"usage": {"total_tokens": 7}}' if number == 9 else b'{"usage": null}'
        event = b"data: %b\n\n" % usage
        if gate is not None and number == 9:
            await gate.wait()
        await _write(writer, b"%x\r\n%b\r\n" % (len(event), event))
        await asyncio.sleep(0.002)
    await _write(writer, b"0\r\n\r\n")


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@asynccontextmanager
async def counting_backend() -> AsyncIterator[CountingBackend]:
    """Run the backend on a free port of loopback."""
    backend = CountingBackend()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await backend.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=2_048)
    backend.server = server
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
