"""The connections of one client to one upstream: kept, lent, waited for, closed."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

from gateway.busy_poll import Awaited
from gateway.upstream.connection import Connection
from gateway.upstream.door import UpstreamAddress
from gateway.upstream.errors import UpstreamBusy, UpstreamRefused, UpstreamTimeout
from gateway.upstream.limits import UpstreamLimits

_Place = asyncio.Future[Connection | None]


class Pool:
    """
    Lends connections. The one used last is lent first, so that spare ones grow old and go.

    A place is the right to have one connection; there are `max_connections` of them. A waiter
    is given either a connection or (None) a place to open its own. `emptied` is called when the
    last place is free again.

    Attributes:
        responses: Whether they come so soon that it pays to stay awake for them.
    """

    def __init__(
        self,
        address: UpstreamAddress,
        limits: UpstreamLimits,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None,
        emptied: Callable[[], None],
    ) -> None:
        self._address = address
        self._limits = limits
        self._loop = loop
        self._tls = tls
        self._emptied = emptied
        self.responses = Awaited()
        self._keep_s = limits.keep_ms / 1000
        self._early_s = limits.early_ms / 1000
        self._places = 0
        self._idle: list[Connection] = []
        self._connections: set[Connection] = set()
        self._waiting: deque[tuple[float, _Place]] = deque()
        self._closed = False

    @property
    def busy(self) -> int:
        """How many connections are in use or being made."""
        return self._places - len(self._idle)

    @property
    def places(self) -> int:
        """How many connections there are, or are being made."""
        return self._places

    def kept(self, *, surely: bool) -> Connection | None:
        """Lend a kept connection without waiting, if there is one that still stands."""
        while self._idle:
            connection = self._idle.pop()
            # As `usable`; one that was lost is here no more.
            if not connection.transport.is_closing() and (not surely or connection.silent()):
                return connection
            self._drop(connection)
        return None

    async def fresh(self) -> Connection:
        """Lend a connection nobody has used, making room among the kept ones."""
        if self._places >= self._address.max_connections and self._idle:
            self._drop(self._idle.pop(0))
        if self._places < self._address.max_connections:
            self._places += 1
            return await self._open()
        return await self._renewed(await self._queue())

    async def connection(self, *, surely: bool) -> Connection:
        """
        Lend a kept connection, a new one, or the next that comes free.

        Raises:
            UpstreamBusy: Too many wait already, or it took `limits.wait_ms`.
            UpstreamRefused: It could not be opened.
            UpstreamTimeout: Opening took `connect_timeout_ms`.
        """
        kept = self.kept(surely=surely)
        if kept is not None:
            return kept
        if self._places < self._address.max_connections:
            self._places += 1
            return await self._open()
        given = await self._queue()
        if given is not None and given.usable(surely=surely):
            return given
        return await self._renewed(given)

    def give_back(self, connection: Connection) -> None:
        """Take back a lent connection: lend it to the next, keep it, or close it."""
        if not connection.finish():
            self._drop(connection)
            return
        place = self._next_waiting() if self._waiting else None
        if place is not None:
            place.set_result(connection)
            return
        # Our limit, or shortly before the upstream closes it.
        kept_s, told_s = self._keep_s, connection.keep_s
        if told_s is not None:
            kept_s = min(kept_s, told_s - self._early_s)
        if kept_s <= 0:
            self._drop(connection)
            return
        connection.keep_until = connection.heard_at + kept_s
        self._idle.append(connection)

    def sweep(self, now: float) -> bool:
        """Apply the time limits; True while there is anything left to watch."""
        for connection in tuple(self._connections):
            connection.expire(now)  # the kept ones wait for nothing
        # Not in order of time: an upstream may tell each connection another.
        for connection in [each for each in self._idle if each.keep_until <= now]:
            self._idle.remove(connection)
            self._drop(connection)
        while self._waiting and (self._waiting[0][0] <= now or self._waiting[0][1].done()):
            place = self._waiting.popleft()[1]
            if not place.done():
                place.set_exception(UpstreamBusy("no connection came free in time"))
        return self._places > 0

    def drain(self) -> None:
        """Keep none from now on: what is in use is closed when it is given back."""
        self._keep_s = 0
        self.close(idle_only=True)

    def close(self, *, idle_only: bool) -> None:
        """Close the kept connections, and those in use unless told otherwise."""
        while self._idle:
            self._drop(self._idle.pop())
        if idle_only:
            return
        self._closed = True
        while self._waiting:
            place = self._waiting.popleft()[1]
            if not place.done():
                place.set_exception(UpstreamRefused("the client is closing"))
        for connection in tuple(self._connections):
            connection.fail(UpstreamRefused("the client is closing"))
            connection.abort()

    async def _queue(self) -> Connection | None:
        if len(self._waiting) >= self._limits.waiting:
            raise UpstreamBusy("too many requests wait for a connection")
        place: _Place = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._limits.wait_ms / 1000, place))
        try:
            return await place
        except asyncio.CancelledError:
            # It may have been given something in the very moment it was cancelled.
            if place.done() and not place.cancelled() and place.exception() is None:
                given = place.result()
                if given is None:
                    self._free_place()
                else:
                    self._drop(given)
            raise

    async def _renewed(self, given: Connection | None) -> Connection:
        """Open a connection in the place of this one, or in the place that was given."""
        if given is not None:
            self._connections.discard(given)
            given.abort()
        return await self._open()

    async def _open(self) -> Connection:
        """Connect, on a place already taken."""
        try:
            async with asyncio.timeout(self._address.connect_timeout_ms / 1000):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._limits, self._lost),
                    self._address.host,
                    self._address.port,
                    ssl=self._tls,
                )
        except TimeoutError as error:
            self._free_place()
            raise UpstreamTimeout("the upstream did not accept in time", phase="connect") from error
        except OSError as error:
            self._free_place()
            raise UpstreamRefused(f"no connection to the upstream: {error}") from error
        except BaseException:
            self._free_place()
            raise
        if self._closed:
            self._drop(connection)
            raise UpstreamRefused("the client is closing")
        self._connections.add(connection)
        return connection

    def _lost(self, connection: Connection) -> None:
        """Forget a connection that closed by itself; one that is lent is given back by its user."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._connections.discard(connection)
            self._free_place()

    def _drop(self, connection: Connection) -> None:
        self._connections.discard(connection)
        connection.abort()
        self._free_place()

    def _free_place(self) -> None:
        self._places -= 1
        place = self._next_waiting()
        if place is not None:
            self._places += 1
            place.set_result(None)
        elif self._places == 0:
            self._emptied()

    def _next_waiting(self) -> _Place | None:
        while self._waiting:
            place = self._waiting.popleft()[1]
            if not place.done():
                return place
        return None
