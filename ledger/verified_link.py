"""
The connection of a shard: made, verified before anything is said on it, and made again.

"Verified" belongs to a connection. Any sign that the server behind it changed (guard words,
NOSCRIPT, READONLY...) ends it, and the next one is verified anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from ledger.asks import HOLD_LIMIT_S
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.link import Link
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.scripts import Scripts
from ledger.standing import Standing, Verifier

log = logging.getLogger(__name__)

VERIFY_LIMIT_S: Final = 60.0
"""A fence posts what it can save first; a store that takes longer than this is away."""

FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 1.0

STORE_ERRORS: Final[tuple[type[Exception], ...]] = (
    LedgerError,
    asyncpg.PostgresError,
    *OUTAGE,
)
"""What a store that is away, or half there, raises while a connection is verified."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A connection, and what it may speak for."""

    link: Link
    standing: Standing


class VerifiedLink:
    """
    One connection, kept and verified.

    Attributes:
        last: What the connection verified last stands for; (0, 0) before the first.
        watermark: The highest fact number seen in that epoch.
    """

    def __init__(
        self,
        number: int,
        connect: Callable[[], Awaitable[Link]],
        verifier: Verifier,
        clock: Clock,
        scripts: Scripts,
        *,
        found: Callable[[], None],
    ) -> None:
        """
        Build it; `seek` makes the first connection.

        Args:
            number: The shard's, for the log.
            connect: Makes a connection.
            verifier: Decides whether it may be trusted.
            clock: Where time comes from.
            scripts: Loaded into each server.
            found: Called when there is a verified connection again.

        """
        self.last = Standing(0, 0)
        self.watermark = 0
        self._number = number
        self._connect = connect
        self._verifier = verifier
        self._clock = clock
        self._scripts = scripts
        self._found = found
        self._link: Link | None = None
        self._now: Verified | None = None
        self._doubt: str | None = None
        self._away = False
        self._retry_s = 0.0  # before the next attempt; the first after something worked is at once
        self._waiters: list[tuple[asyncio.Future[None], float]] = []
        self._seeking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def now(self) -> Verified | None:
        """The connection that is verified right now."""
        now = self._now
        return now if now is not None and not now.link.closed else None

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits to be told that it is there."""
        return bool(self._waiters)

    async def ready(self, limit_s: float = HOLD_LIMIT_S) -> Standing:
        """
        Return what the connection stands for, once there is a verified one.

        Raises:
            LedgerUnavailable: Not within `limit_s`; `expire` looks whether that is over.

        """
        if self.now is None:
            self.seek()  # first: a closed one refuses, and would leave the waiter behind
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((waiter, self._clock.monotonic() + limit_s))
            await waiter
        return self.last

    def seek(self) -> None:
        """
        See that there is a verified connection soon; await nothing. A repeat is harmless.

        Raises:
            LedgerUnavailable: Closed.

        """
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        if self._seeking is None:
            loop = asyncio.get_running_loop()
            self._seeking = loop.create_task(self._seek(), name=f"connection {self._number}")
            self._seeking.add_done_callback(self._sought)

    def saw(self, standing: Standing, q: int) -> None:
        """Note that something worked, and how far the shard was; a smaller `q` changes nothing."""
        self._retry_s = 0.0
        if standing.epoch == self.last.epoch and q > self.watermark:
            self.watermark = q

    def drop(self, link: Link) -> None:
        """End a connection; the next one is verified anew. A repeat is harmless."""
        link.close()
        if link is self._link:
            self._link = self._now = None
            if not self._closed:
                self.seek()

    def distrust(self, link: Link, word: str) -> None:
        """Verify the connection again because of a guard word."""
        if link is not self._link or word == "SKEW":
            return
        log.warning("shard %d: %s", self._number, word)
        self._now = None
        if word in ("NOMETA", "REGRESS"):
            self._doubt = word
        elif word == "FROZEN":  # somebody is at it: leave them a moment
            self._retry_s = max(self._retry_s, FIRST_RETRY_S)
        if not self._closed:
            self.seek()

    def say_away(self, why: str) -> None:
        """Say once per outage that there is one: an attempt each second would fill the log."""
        level = logging.DEBUG if self._away else logging.WARNING
        log.log(level, "shard %d: %s", self._number, why)
        self._away = True

    def expire(self, now: float) -> None:
        """Tell those who have waited long enough for a connection."""
        still = []
        for waiter, until in self._waiters:
            if now >= until and not waiter.done():
                waiter.set_exception(LedgerUnavailable("no verified connection to Redis"))
            if not waiter.done():
                still.append((waiter, until))
        self._waiters = still

    def stop(self) -> None:
        """End the connection and make no other one; tell who waits. A repeat is harmless."""
        self._closed = True
        if self._seeking is not None:
            self._seeking.cancel()
        if self._link is not None:
            self.drop(self._link)
        for waiter, _ in self._waiters:
            if not waiter.done():
                waiter.set_exception(LedgerUnavailable("the ledger is closing"))

    async def aclose(self) -> None:
        """Stop, and wait until it has. A repeat is harmless."""
        self.stop()
        seeking = [] if self._seeking is None else [self._seeking]
        await asyncio.gather(*seeking, return_exceptions=True)

    async def _seek(self) -> None:
        """Try until a connection is verified."""
        while self.now is None:
            if self._retry_s:
                await self._clock.sleep(self._retry_s)
            self._retry_s = min(max(self._retry_s * 2, FIRST_RETRY_S), LONGEST_RETRY_S)
            try:
                await self._verify()
            except STORE_ERRORS as error:
                self.say_away(f"{type(error).__name__}: {error}")
                if self._link is not None:
                    self.drop(self._link)

    async def _verify(self) -> None:
        """Verify the connection; make one first where there is none."""
        link = self._link
        if link is None or link.closed:
            link = self._link = await self._connect()
        async with asyncio.timeout(VERIFY_LIMIT_S):
            await self._scripts.load(link)
            if self._doubt is not None:
                await self._verifier.fence(link, self._doubt)
                self._doubt = None
            standing = await self._verifier.verify(link)
        if standing.epoch != self.last.epoch:
            self.watermark = 0
        self._now, self.last = Verified(link, standing), standing
        if self._away:
            self._away = False
            log.warning("shard %d: verified again, in epoch %d", self._number, standing.epoch)

    def _sought(self, seeking: asyncio.Task[None]) -> None:
        """Say what was found; loudly what nobody expected, and whoever needs it seeks again."""
        self._seeking = None
        if seeking.cancelled():
            return
        if (error := seeking.exception()) is not None:
            log.critical("shard %d: its connection is lost", self._number, exc_info=error)
            return
        for waiter, _ in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        self._found()
