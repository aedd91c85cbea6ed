"""
The audit that never ends: what `verify` checks all at once, a bounded part in each beat.

Two cursors go round for as long as this steward is elected, one over accounts and charges, one
over batches. Each beat reads one snapshot and records what it finds (`ledger.findings` says what
a finding does); it never corrects. A beat that fails is begun again where it was.
"""

import logging

from ledger import findings, verify
from ledger.batch_walk import Walk
from ledger.database import Database
from ledger.ports import Clock

log = logging.getLogger(__name__)

FACTS_PER_BEAT = 20_000
"""Of accounts whose history is replayed: about half a second of Postgres and Python a minute."""

MOST_FACTS_OF_ONE = 1_000_000
"""An account with more is left to `farebox verify`: its sums alone would take seconds."""

CHARGES_PER_BEAT = 50_000
BATCH_FACTS_PER_BEAT = 50_000
STEPS_PER_BEAT = 20
"""So many facts a minute are read again. A gateway that makes more is audited in its quiet hours;
`farebox verify` reads all."""

BOOKS_EVERY_MS = 3_600_000
WALK_EVERY_MS = 24 * 3_600_000
"""All pools are added up each hour, all batches recomputed each day (or as soon as it can be)."""


class Auditor:
    """Audits one shard's Postgres in beats."""

    def __init__(self, database: Database, shard: int, clock: Clock) -> None:
        self._database = database
        self._shard = shard
        self._clock = clock
        self._account = 0
        self._charge = b""
        self._walk = Walk(shard)
        self._walk_began_ms = clock.now_ms()
        self._books_ms: int | None = None

    async def accounts(self) -> None:
        """Check the next accounts, from the first again after the last (I2-I4, I7, I15-I18)."""
        async with self._database.connection() as connection:
            async with verify.one_snapshot(connection):
                some = await verify.next_accounts(connection, self._account, FACTS_PER_BEAT)
                found = []
                if some is not None and some.facts <= MOST_FACTS_OF_ONE:
                    found = await verify.of_accounts(connection, some, FACTS_PER_BEAT)
            await findings.record(connection, found)
        self._account = 0 if some is None else some.last

    async def charges(self) -> None:
        """Check that the next charges, from the first again after the last, are of a batch."""
        async with self._database.connection() as connection:
            async with verify.one_snapshot(connection):
                some = await verify.next_charges(connection, self._charge, CHARGES_PER_BEAT)
                found = [] if some is None else await verify.strays(connection, *some)
            await findings.record(connection, found)
        self._charge = b"" if some is None else some[1]

    async def batches(self) -> None:
        """
        Recompute the next batches, those posted meanwhile too (I1, I6, I14, I17).

        Where Postgres lost its last commits, they are posted again in other batches: the walk
        then begins anew. What it had seen is no evidence; a head that was copied away is.
        """
        now_ms = self._clock.now_ms()
        if self._walk.ended and now_ms - self._walk_began_ms >= WALK_EVERY_MS:
            self._walk, self._walk_began_ms = Walk(self._shard), now_ms
        walk, books_ms = self._walk.copy(), self._books_ms
        async with self._database.connection() as connection:
            async with verify.one_snapshot(connection):
                if not await walk.still_there(connection):
                    log.warning(
                        "batch %d-%d is not there any more: all are recomputed", walk.epoch, walk.q
                    )
                    walk, self._walk_began_ms = Walk(self._shard), now_ms
                enough = walk.facts + BATCH_FACTS_PER_BEAT
                found = await verify.dead_facts(connection)
                for _ in range(STEPS_PER_BEAT):
                    found += await walk.step(connection, enough - walk.facts)
                    if walk.ended or walk.facts >= enough:
                        break
                if walk.ended and self._books_are_due(now_ms):
                    found += await walk.books(connection)
                    books_ms = now_ms
            await findings.record(connection, found)
        self._walk, self._books_ms = walk, books_ms

    def _books_are_due(self, now_ms: int) -> bool:
        return self._books_ms is None or now_ms - self._books_ms >= BOOKS_EVERY_MS
