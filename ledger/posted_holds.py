"""
Waiting until Postgres has a hold: what a strict route does before it forwards.

A hold that Redis alone knows is gone with Redis. One that Postgres shows open outlives it, and
the gateway too. One question each 10 ms serves all who wait, and nobody waiting asks nothing. It
asks for the charge's own row: another history can reach the same position, never the same id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from ledger.charges import OpenAmong
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.outage import OUTAGE, told
from ledger.ports import Clock

log = logging.getLogger(__name__)

ASK_EVERY_S: Final = 0.01
"""A commit and the poster's rest take longer than this; more questions would not be quicker."""

POSTED_LIMIT_S: Final = 5.0
"""Far more than posting lags when all is well, and half of the shortest life of a hold."""

MAX_WAITING: Final = 10_000
"""Each question names all who wait; as many as may wait for a tick."""

AWAY: Final[tuple[type[Exception], ...]] = (LedgerError, *OUTAGE)


class PostedHolds:
    """Tells those who wait that Postgres has their hold."""

    def __init__(
        self, open_among: Callable[[Collection[bytes]], Awaitable[OpenAmong]], clock: Clock
    ) -> None:
        """`open_among` says which of these charges Postgres shows open, and in which epoch."""
        self._open_among = open_among
        self._clock = clock
        self._waiting: dict[bytes, tuple[int, asyncio.Future[None]]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._away = False

    async def wait(self, hold_id: bytes, epoch: int) -> None:
        """
        Return when Postgres shows this hold, granted in this epoch, open.

        Raises:
            LedgerUnavailable: Not within `POSTED_LIMIT_S`, or never: another epoch has begun and
                the hold is not in it. The hold is untouched; leaving its block gives it back.

        """
        if len(self._waiting) >= MAX_WAITING:
            raise LedgerUnavailable("too many requests wait for Postgres")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[hold_id] = epoch, waiter
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(), name="posted holds")
            self._asking.add_done_callback(_say_if_failed)
        try:
            async with asyncio.timeout(POSTED_LIMIT_S):
                await waiter
        except TimeoutError:
            raise LedgerUnavailable("Postgres did not get the hold in time") from None
        finally:
            self._waiting.pop(hold_id, None)

    async def aclose(self) -> None:
        """Stop asking; who waits is told LedgerUnavailable. A repeat is harmless."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for _, waiter in self._waiting.values():
            _refuse(waiter, "the ledger is closing")

    async def _ask_all(self) -> None:
        """Ask for as long as somebody waits."""
        while True:
            await self._clock.sleep(ASK_EVERY_S)
            asked = dict(self._waiting)
            if not asked:
                return
            try:
                answer = await self._open_among(asked)
            except AWAY as error:
                if not self._away:
                    log.warning("strict requests wait for Postgres: %s", told(error))
                self._away = True
                continue
            self._away = False
            for hold_id, (epoch, waiter) in asked.items():
                if hold_id in answer.ids:
                    _let_go(waiter)
                elif answer.epoch != epoch:
                    # What could be saved of that epoch was posted before this one began.
                    _refuse(waiter, "another epoch has begun without the hold")


def _let_go(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _refuse(waiter: "asyncio.Future[None]", why: str) -> None:
    if not waiter.done():
        waiter.set_exception(LedgerUnavailable(why))


def _say_if_failed(task: "asyncio.Task[None]") -> None:
    """Say what nobody expected; who waits is refused at the limit, and the next one asks anew."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the question for posted holds failed", exc_info=error)
