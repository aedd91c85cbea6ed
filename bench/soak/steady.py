"""The steady part of the load: kept connections, one request on each at a time, at a given rate."""

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

TICK_S = 0.01
MOST_BEHIND = 1_000
"""Requests that were due while no connection was free: more are forgotten, not caught up with."""

REST_S = 3
"""A connection that was idle for longer is given up."""

PATIENCE_S = 30
"""For the last answers."""

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass
class Steady:
    """
    What became of it.

    Attributes:
        per_s: Requests a second over all connections; None: as many as will go.
        answered: Whole answers, by status.
        took_s: How long each took since somebody last looked.
        broken: Connections that ended with a request under way.
    """

    host: str
    port: int
    request: bytes
    per_s: float | None = None
    answered: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    broken: int = 0
    stopping: bool = False
    free: deque["_Connection"] = field(default_factory=deque)
    open: set["_Connection"] = field(default_factory=set)

    async def connect(self) -> None:
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Connection(self), self.host, self.port)

    async def keep(self, connections: int) -> None:
        """Have so many connections, and send at the rate, until cancelled."""
        loop = asyncio.get_running_loop()
        due, before = 0.0, loop.time()
        while True:
            for _ in range(connections - len(self.open)):
                await self.connect()
            await asyncio.sleep(TICK_S)
            now = loop.time()
            if self.per_s is not None:
                due = min(due + (now - before) * self.per_s, MOST_BEHIND)
            before = now
            # In turn, so that none is idle for long: the gateway closes those after 5 s, and what
            # is sent at that moment is lost to any client.
            while due >= 1 and self.free:
                connection = self.free.popleft()
                if now - connection.resting_since > REST_S:
                    connection.leave()
                    continue
                due -= 1
                connection.send()

    def latencies_s(self) -> list[float]:
        """Return how long the answers took since the last time, in order."""
        took, self.took_s = sorted(self.took_s), []
        return took


class _Connection(asyncio.Protocol):
    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._since: float | None = None
        self.resting_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._steady.open.add(self)
        self._rest()

    def connection_lost(self, _error: Exception | None) -> None:
        self._steady.broken += self._since is not None
        self._steady.open.discard(self)
        if self in self._steady.free:
            self._steady.free.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._transport.close()  # told that nobody asked anything for too long
            return
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._steady.answered[int(head[9:12])] += 1
        self._steady.took_s.append(self._loop.time() - self._since)
        self._received, self._since = b"", None
        self._rest()

    def _rest(self) -> None:
        """Go on at once where there is no rate; else wait for one's turn."""
        if self._steady.stopping:
            self._transport.close()
        elif self._steady.per_s is None:
            self.send()
        else:
            self.resting_since = self._loop.time()
            self._steady.free.append(self)

    def send(self) -> None:
        self._since = self._loop.time()
        self._transport.write(self._steady.request)

    def abort(self) -> None:
        """Wait no longer; what is under way counts as broken off."""
        self._transport.abort()

    def leave(self) -> None:
        """Close, unless an answer is under way: then as soon as it is there."""
        if self._since is None:
            self._transport.close()


@asynccontextmanager
async def steady(
    url: str, path: str, key: str, *, connections: int, per_s: float | None
) -> AsyncIterator[Steady]:
    """Call while the block runs; then let what is under way be answered, and hang up."""
    host, port = url.removeprefix("http://").split(":")
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\n\r\n".encode()
    load = Steady(host, int(port), request, per_s)
    keeping = asyncio.create_task(load.keep(connections))
    try:
        yield load
        if keeping.done():
            keeping.result()
    finally:
        keeping.cancel()
        load.stopping = True
        for connection in tuple(load.open):
            connection.leave()
        limit = asyncio.get_running_loop().time() + PATIENCE_S
        while load.open and asyncio.get_running_loop().time() < limit:  # noqa: ASYNC110
            await asyncio.sleep(TICK_S)
        for connection in tuple(load.open):
            connection.abort()
        await asyncio.sleep(TICK_S)  # their ends are counted in the next turn of the loop
