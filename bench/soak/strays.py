"""
The rest of the load: clients that come once, do one thing of many, and often leave amid it.

What a backend's failure costs when the client leaves too depends on which came first, so only
clients of routes that answer vanish after their head is out.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bench.soak.backend import LIMIT
from tests.websockets import TEXT, connected

PATIENCE_S = 30
MOST_AT_ONCE = 300
"""Strays that are about: more wait, so that a gateway that hangs does not take our memory."""

PIECE = 16_384
UPLOAD_BYTES = 40_000

_SEARCH = b'{"limit": %d, "for": "%b"}' % (LIMIT, b"x" * 2_000)


@dataclass
class Strays:
    """
    What became of them.

    Attributes:
        ended: How each ended: the status it read, or where it left.
        wrong: What none of them may see, in words.
    """

    url: str
    key: str
    poor_key: str
    chance: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def one(self) -> None:
        """Do one thing of many."""
        kinds, weights = zip(*KINDS.items(), strict=True)
        (kind,) = self.chance.choices(kinds, weights)
        try:
            async with asyncio.timeout(PATIENCE_S):
                if kind == "/socket":
                    await self._socket()
                elif kind in REFUSED:
                    await self._refused(kind)
                else:
                    await self._call(kind)
        except TimeoutError:
            self.wrong.append(f"{kind}: no end within {PATIENCE_S} s")
        except (ConnectionError, asyncio.IncompleteReadError):
            # Where the backend breaks off, the gateway does.
            if kind == "/cut":
                self.ended["/cut: broken off"] += 1
            else:
                self.wrong.append(f"{kind}: the connection was broken off")

    async def _call(self, path: str) -> None:
        body = {"/search": _SEARCH, "/upload": b"x" * UPLOAD_BYTES}.get(path, b"")
        method = "POST" if body else "GET"
        about = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {self.key}\r\n{about}\r\n"
        request = head.encode()
        fails = path in ("/fail", "/cut", "/reset")
        leaves = "nowhere"
        if self.chance.random() < VANISHING:
            leaves = self.chance.choice(["head"] if fails else ["head", "body", "wait", "answer"])
        async with _connection(self.url) as (reader, writer):
            if leaves == "head":
                writer.write(request[: self.chance.randrange(len(request))])
            elif leaves == "body" and body:
                writer.write(request + body[: self.chance.randrange(len(body))])
            else:
                writer.write(request)
                for start in range(0, len(body), PIECE):
                    writer.write(body[start : start + PIECE])
                    await writer.drain()
            if leaves == "answer":
                await reader.read(1)
            if leaves in ("nowhere", "answer"):
                status = await reader.readuntil(b"\r\n")
            if leaves == "nowhere":
                await _rest(reader)
                expected = {"/fail": b" 500 ", "/reset": b" 502 "}.get(path, b" 200 ")
                self._note(path, expected, status)
                return
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.003, 0.01, 0.03, 0.1]))
            self.ended[f"left: {leaves}"] += 1

    async def _refused(self, kind: str) -> None:
        request, expected = REFUSED[kind]
        async with _connection(self.url) as (reader, writer):
            key = self.poor_key if kind == "poor" else self.key
            writer.write(request.replace(b"KEY", key.encode()))
            status = await reader.readuntil(b"\r\n")
            self._note(kind, expected, status)

    async def _socket(self) -> None:
        async with connected(self.url, "/socket", {"x-api-key": self.key}) as client:
            if client.status != 101:
                self.wrong.append(f"/socket: {client.status}")
                return
            # Each message is read back, so that both sides have counted the same when we leave.
            for _ in range(self.chance.randrange(6)):
                await client.send(TEXT, b"x" * self.chance.randrange(2_000))
                await client.frame()
            if self.chance.random() < VANISHING:
                self.ended["left: socket"] += 1
                return
            await client.close()
            self.ended["socket"] += 1

    def _note(self, kind: str, expected: bytes, status_line: bytes) -> None:
        if expected in status_line:
            self.ended[f"{kind}: {expected.decode().strip()}"] += 1
        else:
            self.wrong.append(f"{kind}: {status_line.decode('latin-1').strip()}")


VANISHING = 0.5
"""Of the strays, those that leave before they are done."""

KINDS = {
    "/fixed": 4,
    "/slow": 4,
    "/upload": 3,
    "/search": 3,
    "/metered": 4,
    "/events": 4,
    "/socket": 2,
    "/fail": 1,
    "/cut": 1,
    "/reset": 1,
    "no key": 1,
    "no route": 1,
    "not HTTP": 1,
    "poor": 1,
}
"""How often each is done, as weights."""

REFUSED = {
    "no key": (b"GET /fixed HTTP/1.1\r\nhost: a\r\n\r\n", b" 401 "),
    "no route": (b"GET /nowhere HTTP/1.1\r\nhost: a\r\nx-api-key: KEY\r\n\r\n", b" 404 "),
    "not HTTP": (b"GET /fixed HTTP/1.1\r\nhost : a\r\n\r\n", b" 400 "),
    "poor": (b"GET /fixed HTTP/1.1\r\nhost: a\r\nx-api-key: KEY\r\n\r\n", b" 402 "),
}
"""By name: what is sent, and the status it gets."""


async def _rest(reader: asyncio.StreamReader) -> None:
    """Read an answer to its end, as its head says."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length: " in head:
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    else:
        await reader.readuntil(b"\r\n0\r\n\r\n")


@asynccontextmanager
async def _connection(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def straying(strays: Strays, *, per_s: float) -> AsyncIterator[None]:
    """Have so many of them come each second while the block runs; then wait for the last."""
    about: set[asyncio.Task[None]] = set()
    room = asyncio.Semaphore(MOST_AT_ONCE)

    def ended(task: asyncio.Task[None]) -> None:
        about.discard(task)
        room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            strays.wrong.append(repr(error))

    async def come() -> None:
        while True:
            await asyncio.sleep(strays.chance.expovariate(per_s))
            await room.acquire()
            task = asyncio.create_task(strays.one())
            about.add(task)
            task.add_done_callback(ended)

    coming = asyncio.create_task(come())
    try:
        yield
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError):
            await coming
        if about:
            await asyncio.wait(about)
