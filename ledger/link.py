"""
The coalescing Redis client: many callers, one connection, few writes.

Commands given in one turn of the event loop are written together; replies come back in
order. Nothing is ever sent twice: when the connection ends, or a reply takes too long,
every call under way raises LinkLost, which means that its outcome is unknown.

* RedisError (`ledger.redis_errors`)
  - ResponseError, NoScriptError, ReadOnlyError...  the server said no
  - LinkLost    no reply: the command may or may not have run
  - LinkFull    too many calls wait; this one was not sent
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

import hiredis

from ledger.ports import Clock
from ledger.redis_address import RedisAddress, parse_address
from ledger.redis_errors import RedisError, ResponseError, error_of

__all__ = ["Link", "LinkFull", "LinkLost", "RedisError", "ResponseError", "packed"]

Word: TypeAlias = str | bytes | float

MAX_WAITING: Final = 10_000
SWEEPS_PER_LIMIT: Final = 4  # a late reply is noticed at most a quarter too late

_NOTHING: Final = object()


class LinkLost(RedisError):
    """No reply came and none will: the command may have run or not."""


class LinkFull(RedisError):
    """Too many calls wait already; this one was not sent."""


class Replied(Protocol):
    """Is told a reply like a future, in the turn of the event loop that brings it."""

    def done(self) -> bool:
        """Whether it was told, or wants to hear nothing any more."""

    def set_result(self, reply: Any, /) -> None:
        """Take the reply; raises nothing, for the replies behind it belong to others."""

    def set_exception(self, error: RedisError, /) -> None:
        """Take the error; raises nothing."""


def packed(*args: Word) -> bytes:
    """Return a command as it is sent."""
    command: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]
    return command


class Link(asyncio.Protocol):
    """
    One connection, made by `connect`.

    Attributes:
        closed: It has ended, and is of no use any more.
    """

    def __init__(self, clock: Clock, timeout_ms: int) -> None:
        self._clock = clock
        self._timeout_s = timeout_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(replyError=error_of, notEnoughData=_NOTHING)
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[Replied | asyncio.Future[Any], float]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.closed = False

    @classmethod
    async def connect(cls, url: str, *, clock: Clock, timeout_ms: int = 2_000) -> "Link":
        """
        Connect, and authenticate where the address says so.

        Args:
            url: redis://, rediss:// (verified TLS) or unix://, see `RedisAddress`.
            clock: Where time comes from.
            timeout_ms: Longest wait for the connection, and then for each reply.

        Raises:
            RedisError: Refused by the server.
            OSError: Not reached; TimeoutError is one of these.
            InvalidInput: The address is none.

        """
        address = parse_address(url)
        link = cls(clock, timeout_ms)
        async with asyncio.timeout(timeout_ms / 1000):
            await link._open(address)
            try:
                await link._greet(address)
            except BaseException:
                link.close()
                raise
        return link

    async def call(self, *args: Word) -> Any:
        """
        Run one command; replies are bytes, ints, None and lists of these.

        Raises:
            LinkLost: The outcome is unknown.
            LinkFull: Not sent.
            RedisError: The server refused.

        """
        return await self.send(*args)

    def send(self, *args: Word) -> "asyncio.Future[Any]":
        """Queue one command for the write at the end of this turn; see `call`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue(future, packed(*args))
        return future

    def ask(self, taker: "Replied", command: bytes) -> None:
        """
        Send one command now; `taker` is told what `call` returns or raises, when it comes.

        `command` is what `packed` returns.
        """
        self._queue(taker, command, now=True)
        self._flush()

    def _queue(
        self, taker: "Replied | asyncio.Future[Any]", command: bytes, *, now: bool = False
    ) -> None:
        if self.closed:
            # Certainly not sent, but callers treat a lost connection in one way only.
            taker.set_exception(LinkLost("the connection has ended"))
            return
        if len(self._waiting) >= MAX_WAITING:
            taker.set_exception(LinkFull(f"{MAX_WAITING} calls wait already"))
            return
        if not (self._unsent or now):
            self._loop.call_soon(self._flush)
        self._unsent.append(command)
        self._waiting.append((taker, self._clock.monotonic()))
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._timeout_s / SWEEPS_PER_LIMIT, self._look)

    def close(self) -> None:
        """End the connection; calls under way raise LinkLost. A repeat is harmless."""
        self._end("closed")

    async def wait_closed(self) -> None:
        """Return when the connection has ended, for whatever reason."""
        await asyncio.shield(self._ended)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        # uvloop's transport is one in all but its base class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call."""
        self._end(str(exc) if exc else "the server closed the connection")

    def eof_received(self) -> bool:
        """Asyncio's call: a half-closed connection is of no use."""
        return False

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                if not self._waiting:
                    self._end("a reply that nobody asked for")
                    return
                future, _ = self._waiting.popleft()
                if future.done():
                    continue  # its caller went away
                if isinstance(reply, RedisError):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except hiredis.ProtocolError as error:
            self._end(f"not a Redis reply: {error}")

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent and self._transport is not None and not self.closed:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))
        unsent.clear()

    def _look(self) -> None:
        """Return replies come in order, so the first in the queue is the one that waits longest."""
        self._sweep = None
        if not self._waiting:
            return
        if self._clock.monotonic() - self._waiting[0][1] >= self._timeout_s:
            self._end(f"no reply within {self._timeout_s:g} s")
        else:
            self._sweep = self._loop.call_later(self._timeout_s / SWEEPS_PER_LIMIT, self._look)

    def _end(self, why: str) -> None:
        if self.closed:
            return
        self.closed = True
        self._ended.set_result(None)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._transport is not None:
            # What the system still has to send is not worth waiting for, and could not be trusted.
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_exception(LinkLost(why))

    async def _open(self, address: RedisAddress) -> None:
        factory: Callable[[], Link] = lambda: self  # noqa: E731 - asyncio asks for a factory
        if address.socket:
            await self._loop.create_unix_connection(factory, address.socket)
            return
        context = ssl.create_default_context() if address.secure else None
        await self._loop.create_connection(factory, address.host, address.port, ssl=context)

    async def _greet(self, address: RedisAddress) -> None:
        if address.password:
            user = [address.username] if address.username else []
            await self.call("AUTH", *user, address.password)
        if address.database:
            await self.call("SELECT", address.database)
