"""Time limits of all connections of a server, looked at by one timer instead of one each."""

import asyncio
from collections.abc import Collection
from typing import Protocol


class Swept(Protocol):
    """A connection that knows what it waits for."""

    def expire(self, now: float) -> None:
        """Act on the limits that have passed by loop time `now`, in seconds."""


class Sweep:
    """
    Visits the connections every so often, while there are any.

    Attributes:
        now: Loop time of the last visit: the clock that deadlines are counted from, which
            spares the fast path a system call. Behind by up to the interval.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: Collection[Swept], interval_s: float
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._interval_s = interval_s
        self._running = False
        self.now = loop.time()

    def start(self) -> None:
        """See that visits are made; a repeat is harmless."""
        if not self._running:
            self._running = True
            self.now = self._loop.time()
            self._loop.call_later(self._interval_s, self._visit)

    def _visit(self) -> None:
        self.now = self._loop.time()
        for connection in tuple(self._connections):
            connection.expire(self.now)
        self._running = False
        if self._connections:
            self.start()
