"""
Windows: how many units of a credit type may be held or spent beyond what is posted.

Postgres keeps them, Redis is told. One that is not said as a number grows and shrinks with what
passes at the peak.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from ledger import credit_types, shards
from ledger.database import Database
from ledger.errors import LedgerUnavailable
from ledger.facts import MAX_AMOUNT
from ledger.lines import dials_args
from ledger.peaks import Peaks
from ledger.ports import Clock
from ledger.records import Meta, TypeMeta
from ledger.shard import Shard

log = logging.getLogger(__name__)


class Windows:
    """The windows of one shard. `state`: reads its counters; None if Redis has none."""

    def __init__(
        self,
        database: Database,
        shard: Shard,
        state: Callable[[], Awaitable[Meta | None]],
        clock: Clock,
    ) -> None:
        self._database = database
        self._shard = shard
        self._state = state
        self._peaks = Peaks(clock)
        self._least: dict[int, int] = {}

    async def choose(
        self, windows: Mapping[int, int], growing: Collection[int] = frozenset()
    ) -> None:
        """
        Say how many units of a credit type may be held or spent beyond what is posted.

        Kept in Postgres, so that every process opens an epoch with them. Known to Redis on
        return if it answers now, else as soon as the steward finds it answering. Those of
        other types stay.

        Args:
            windows: Credit type -> units of it, at least its largest ceiling.
            growing: Types of these whose window is larger where ten seconds at the last hour's
                peak are more; the elected steward sees to that.

        """
        self._least = {number: windows[number] for number in growing}
        fixed = {number: units for number, units in windows.items() if number not in growing}
        async with self._database.connection() as connection:
            await credit_types.set_windows(connection, fixed)
            await credit_types.raise_windows(connection, self._least)
        try:
            await self.tell()
        except LedgerUnavailable as away:
            log.warning("the windows are told to Redis later: %s", away)

    async def resize(self) -> None:
        """Give growing windows the room of their peak, take back what it needs no more, tell."""
        state = await self._state()
        if state is not None:
            self._peaks.see(state)
        sizes = {
            number: min(max(least, self._peaks.of(number)), MAX_AMOUNT)
            for number, least in self._least.items()
        }
        if sizes:
            async with self._database.connection() as connection:
                await credit_types.set_windows(connection, sizes)
        await self.tell()

    async def tell(self) -> None:
        """
        Make Redis' windows those that Postgres has; types that are new to it are added.

        Raises:
            LedgerUnavailable: Redis does not answer; it has those that it had.

        """
        async with self._database.connection() as connection:
            wanted = await credit_types.windows(connection)
        await self._shard.ready()
        state = await self._state()
        known = {} if state is None else {each.credit_type: each for each in state.types}
        told = {
            number: _not_below_use(units, known.get(number)) for number, units in wanted.items()
        }
        if {number: each.window for number, each in known.items()} != told:
            await self._shard.run("dials", dials_args(shards.JOURNAL_CAP, told.items()))


def _not_below_use(units: int, known: TypeMeta | None) -> int:
    """
    Return the window to tell: the one in force for as long as more than `units` is out.

    Lowered below that, it would refuse calls that it let pass a moment ago. 0 is told at once: a
    finding halts the shard.
    """
    if known is None or units == 0 or known.held - known.posted <= units:
        return units
    return max(units, known.window)
