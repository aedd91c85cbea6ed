"""The upstream client in use: HTTP/1.1 over asyncio and httptools; a small request is one write."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from gateway.upstream.connection import Connection
from gateway.upstream.door import Headers, UpstreamAddress, UpstreamRequest
from gateway.upstream.errors import UpstreamRefused, UpstreamReset
from gateway.upstream.limits import UpstreamLimits
from gateway.upstream.pool import Pool
from gateway.upstream.request_head import request_head

# RFC 9110 9.2.2. What may be repeated when a kept connection dies without an answer.
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})

# A body up to this size goes out in one write with the head; above it the copy costs more.
_JOIN_BYTES = 64 * 1024


# Where an upstream is and all else that a pool is made for: a changed price file makes another.
_Place = tuple[str, str, int, str | None, int, int]


class H1Client:
    """
    Keeps connections to each upstream by where it is. To be used in one event loop.

    Certificates are verified, against `ca_file` where the upstream has one.
    """

    websockets = True

    def __init__(self, limits: UpstreamLimits | None = None) -> None:
        self._limits = limits or UpstreamLimits()
        self._pools: dict[_Place, Pool] = {}
        # By address object: kept while it is, and until the next sweep, so that no id is another's.
        self._found: dict[int, tuple[UpstreamAddress, Pool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._drained: asyncio.Event | None = None

    def send(self, request: UpstreamRequest, upstream: UpstreamAddress) -> "Exchange":
        """Send a request; see the door."""
        return Exchange(self, request, upstream)

    def resume(
        self, request: UpstreamRequest, upstream: UpstreamAddress, lent: "Lent"
    ) -> "Exchange":
        """Go on with a request that was written to a lent connection; otherwise as `send`."""
        return Exchange(self, request, upstream, lent)

    async def aclose(self, drain_ms: int = 0) -> None:
        """Take no more, wait for what is under way, close everything. A repeat is harmless."""
        self._closing = True
        self._found.clear()
        for pool in self._pools.values():
            pool.drain()
        if drain_ms > 0 and self._busy():
            self._drained = asyncio.Event()
            try:
                async with asyncio.timeout(drain_ms / 1000):
                    await self._drained.wait()
            except TimeoutError:
                pass  # what is still under way is cut below; its callers are told
        for pool in self._pools.values():
            pool.close(idle_only=False)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pool_of(self, upstream: UpstreamAddress) -> Pool:
        """Find the connections to an upstream, and see that their time limits are watched."""
        found = self._found.get(id(upstream))
        if found is not None:
            return found[1]
        if self._closing:
            raise UpstreamRefused("the client is closing")
        place = (
            upstream.scheme,
            upstream.host,
            upstream.port,
            upstream.ca_file,
            upstream.max_connections,
            upstream.connect_timeout_ms,
        )
        pool = self._pools.get(place)
        if pool is None:
            tls = None
            if upstream.scheme == "https":
                try:
                    tls = ssl.create_default_context(cafile=upstream.ca_file)
                except OSError as error:
                    raise UpstreamRefused(f"no certificates to trust: {error}") from error
            pool = Pool(upstream, self._limits, asyncio.get_running_loop(), tls, self._emptied)
            self._pools[place] = pool
        if self._timer is None:
            self._watch()
        self._found[id(upstream)] = upstream, pool
        return pool

    def _emptied(self) -> None:
        if self._drained is not None and not self._busy():
            self._drained.set()

    def _busy(self) -> bool:
        return any(pool.busy for pool in self._pools.values())

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.sweep_ms / 1000, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._found.clear()
        now = loop.time()
        # A pool without connections goes too: the price file may have moved its upstream.
        self._pools = {place: pool for place, pool in self._pools.items() if pool.sweep(now)}
        if self._pools:
            self._watch()


class Lent:
    """A connection in somebody's use, until it is given back or another takes it over."""

    __slots__ = ("connection", "pool", "taken")

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self.pool = pool
        self.connection = connection
        self.taken = False

    def take(self) -> Connection:
        """Take it over: who does so gives it back."""
        self.taken = True
        return self.connection

    def give_back(self) -> None:
        """Give it back, unless it was taken over; with an unfinished exchange it is closed."""
        if not self.taken:
            self.taken = True
            self.pool.give_back(self.connection)


class Exchange:
    """One request and its response: the block that `H1Client.send` returns, and what it yields."""

    __slots__ = ("_address", "_client", "_connection", "_lent", "_pool", "_pump", "_request")

    def __init__(
        self,
        client: H1Client,
        request: UpstreamRequest,
        address: UpstreamAddress,
        lent: Lent | None = None,
    ) -> None:
        self._client = client
        self._lent = lent
        self._request = request
        self._address = address
        self._pool: Pool | None = None
        self._connection: Connection | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def status(self) -> int:
        """The response's status."""
        return self._open().response.status

    @property
    def headers(self) -> Headers:
        """The response's headers."""
        return self._open().response.headers

    @property
    def arrived(self) -> bool:
        """Some of the body is here."""
        return self._open().response.buffered > 0

    def whole(self, most_bytes: int) -> bytes | None:
        """Give a body that is here to its end; see the door."""
        response = self._open().response
        return response.take() if response.done and response.buffered <= most_bytes else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it comes; see the door."""
        connection = self._open()
        while piece := await connection.read():
            yield piece

    def switch(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Give the connection away; see the door."""
        return self._open().switch(successor)

    async def __aenter__(self) -> Self:
        """Send, and wait for the response head."""
        request, lent = self._request, self._lent
        pool = self._pool = self._client.pool_of(self._address) if lent is None else lent.pool
        # To a lent connection it was written; it is written again only where that proves dead.
        head = b"" if lent is not None else request_head(request, self._address.authority)
        if request.websocket:
            await self._try(await pool.fresh(), head)
            return self
        may_repeat = request.method in IDEMPOTENT and not request.body
        connection = pool.kept(surely=not may_repeat) if lent is None else lent.take()
        if connection is None:
            connection = await pool.connection(surely=not may_repeat)
        try:
            await self._try(connection, head)
        except UpstreamReset as error:
            stale = connection.reused and not connection.response.started
            if error.sent and not (stale and may_repeat):
                raise
            head = head or request_head(request, self._address.authority)
            await self._try(await pool.fresh(), head)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the connection back; one with an unfinished exchange is closed."""
        self._end()

    async def _try(self, connection: Connection, head: bytes) -> None:
        """Send on this connection until the response head is there; on any error give it back."""
        self._connection = connection
        try:
            written = self._lent is not None and connection is self._lent.connection
            if not (written or connection.usable(surely=False)):
                raise UpstreamReset("closed before the request", sent=False, head_sent=False)
            self._request.head_sent = True
            if not written:
                self._write(connection, head)
            while not connection.response.head_done:
                if connection.error is not None:
                    raise connection.error
                await connection.news()
        except BaseException:
            self._end()
            raise
        if self._pool is not None:
            self._pool.responses.came = True
        if connection.refused:
            # Its mind is made up; the rest of the body is of no use. RFC 9112 9.3 and 9.5.
            self._stop_pump()

    def _write(self, connection: Connection, head: bytes) -> None:
        request, body = self._request, self._request.body
        connection.begin(
            head_only=request.method == b"HEAD",
            timeout_s=self._address.timeout_ms / 1000,
            websocket=request.websocket,
        )
        if body is None or isinstance(body, bytes):
            if not body:
                connection.write(head)
            elif len(body) <= _JOIN_BYTES:
                connection.write(head + body)
            else:
                connection.write(head)
                connection.write(body)
            connection.request_written()
            return
        connection.write(head)
        loop = asyncio.get_running_loop()
        self._pump = loop.create_task(pump(connection, body, request.body_bytes))

    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("a response is good only inside its block")
        return self._connection

    def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    def _end(self) -> None:
        self._stop_pump()
        connection, self._connection = self._connection, None
        if connection is not None and self._pool is not None:
            self._pool.give_back(connection)


async def pump(connection: Connection, body: AsyncIterator[bytes], body_bytes: int | None) -> None:
    """
    Send a streamed body at the pace the upstream takes it.

    What the iterator raises ends the exchange with that very error, as does a body that is not
    as long as it was said to be (ValueError): the upstream must not take a part for the whole.
    """
    sent = 0
    connection.waiting_for_body = True
    try:
        async for piece in body:
            if not piece:
                continue
            sent += len(piece)
            if body_bytes is None:
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif sent <= body_bytes:
                connection.write(piece)
            else:
                raise ValueError("the request body is longer than it was said to be")
            await connection.drain()
            connection.waiting_for_body = True
        if body_bytes is None:
            connection.write(b"0\r\n\r\n")
        elif sent < body_bytes:
            raise ValueError("the request body is shorter than it was said to be")
        connection.request_written()
    except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the response
        connection.fail(error)
