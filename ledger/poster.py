"""
Posting: the journal's facts into Postgres, then the word to Redis that they are there.

One step reads what follows the last posted fact, posts it in one transaction, and
acknowledges it by position and chain. The position lives in Postgres, in that very
transaction, so a crash anywhere costs only a repeated read, and a second poster at
work is harmless.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from ledger import shards
from ledger.database import PROMPT_LIMIT_S, Database
from ledger.errors import CorruptRecord
from ledger.fence import Fence
from ledger.journal import Reading, read_meta, read_tail
from ledger.journal_entry import Entry
from ledger.lines import ack_args
from ledger.link import Link
from ledger.ports import Clock
from ledger.posting import Fenced, Forked, post
from ledger.shard import Shard
from ledger.shards import ShardRow

log = logging.getLogger(__name__)

MOST_FACTS = 16_000
"""
Per transaction, when so many wait: long enough to be cheap (each account that occurs is read and
written once, and half as much of it falls on a charge as with eight thousand), short enough to
leave the row's lock soon, after some 100 ms.
"""

MOST_ENTRIES = 1_000
"""Read at once; an entry has one fact at rest and sixteen or more under load: a transaction's."""

GATHER_S = 0.05
"""Rest under load, so that the next transaction finds more: each costs the steward and Postgres
a few milliseconds, whatever is in it."""

ENOUGH_FACTS = 4_000
"""What makes a transaction cheap. Where fewer come, the rest becomes longer: on a small machine the
steward's work is in the way of the very requests that it posts."""

LOW_WINDOW = 10
"""Of a window, one part in so many may be used before posting rests no longer than under load:
a full one refuses calls."""

PROMPT_S = 0.02
"""Rest where strict routes wait for what there is to post."""

LONGEST_REST_S = 0.2
"""Rest when little happens; a charge is in Postgres well within two seconds."""

KEPT_FACTS = 20_000
"""Acknowledged facts that stay in the journal, for a Postgres that lost its last commits."""

MOST_UNTOLD = 100_000
"""Closed ids kept for an ACK that fails again and again; the hourly sweep finds the rest."""


MOST_TOLD = 5_000
"""Closed ids per ACK: a millisecond or two of Redis."""


class Poster:
    """Posts one shard's journal."""

    def __init__(
        self, database: Database, shard: Shard, reading: Reading, fence: Fence, clock: Clock
    ) -> None:
        self._database = database
        self._shard = shard
        self._reading = reading
        self._fence = fence
        self._clock = clock
        self._row: ShardRow | None = None
        self._told_q: int | None = None
        self._closed: list[bytes] = []
        self.prompt = False
        """Look every `PROMPT_S`, also at rest: strict routes wait for what there is to post."""
        self.behind = 0
        """Facts that were in the journal and not in Postgres when last looked at."""
        self._low = False  # some window, when last looked at

    async def run(self) -> None:
        """
        Post until cancelled, which is safe at any point.

        Raises:
            LedgerUnavailable, or what a store raises when it is away: call again later.

        """
        rest_s = PROMPT_S
        while True:
            facts = await self.step()
            if facts and self.behind:
                continue
            if self.prompt:
                rest_s = PROMPT_S
            elif facts >= ENOUGH_FACTS or (facts and self._low):
                rest_s = GATHER_S
            else:
                rest_s = min(rest_s * 2, LONGEST_REST_S)
            await self._clock.sleep(rest_s)

    async def step(self) -> int:
        """Post and acknowledge what is there, at most `MOST_FACTS`; return how many facts."""
        row = self._row or await self._look()
        link = await self._reading.link()
        try:
            meta, tail = await asyncio.gather(
                read_meta(link, self._shard.keys),
                read_tail(
                    link,
                    self._shard.keys,
                    row.epoch,
                    row.last_q,
                    MOST_ENTRIES,
                    enough_facts=MOST_FACTS,
                ),
            )
        except CorruptRecord as corrupt:
            await self._fork(link, row, str(corrupt))
            return 0
        if meta is None or meta.epoch != row.epoch or meta.frozen or meta.q < row.last_q:
            # Another process has begun an epoch, or Redis lost something: this finds out.
            await self._fence.mend(link)
            await self._look()
            return 0
        self.behind = meta.q - row.last_q
        self._low = any((one.held - one.posted) * LOW_WINDOW > one.window for one in meta.types)
        facts = 0
        if tail:
            facts = await self._post(link, row, tail)
        elif self.behind:
            await self._fork(link, row, f"the journal has nothing behind fact {row.last_q}")
        await self._acknowledge(link)
        return facts

    async def _post(self, link: Link, row: ShardRow, tail: list[Entry]) -> int:
        batch = whole_batch(tail)
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            outcome = await post(connection, self._shard.number, batch)
        if isinstance(outcome, Fenced):
            self._row = None
            return 0
        if isinstance(outcome, Forked):
            await self._fork(link, row, outcome.why)
            return 0
        if outcome.dead:
            log.error(
                "shard %d: %d facts up to %d broke a rule: see dead_facts",
                self._shard.number,
                outcome.dead,
                outcome.last_q,
            )
        self._row = replace(row, last_q=outcome.last_q, last_chain=outcome.chain)
        self._closed = (self._closed + list(outcome.closed_ids))[-MOST_UNTOLD:]
        self.behind = max(self.behind - (outcome.last_q - row.last_q), 0)
        return outcome.last_q - row.last_q

    async def _acknowledge(self, link: Link) -> None:
        """Tell Redis how far Postgres is, unless it was told; absolute, so repeats are harmless."""
        row = self._row
        if row is None or row.last_q == 0 or (row.last_q == self._told_q and not self._closed):
            return
        telling = self._closed[:MOST_TOLD]
        args = ack_args(row.last_q, row.last_chain, telling, KEPT_FACTS)
        [answer] = await self._shard.run("ack", args)
        if answer == b"FORK":
            await self._fork(link, row, f"fact {row.last_q} is another one than was posted")
            return
        self._told_q = row.last_q
        self._closed = self._closed[len(telling) :]

    async def _fork(self, link: Link, row: ShardRow, why: str) -> None:
        """Fence, unless what looked like a fork is another poster that was quicker."""
        now = await self._look()
        if (now.epoch, now.last_q) == (row.epoch, row.last_q):
            await self._fence.end(link, row.epoch, why)
            await self._look()

    async def _look(self) -> ShardRow:
        """Read how far Postgres is. That is acknowledged anew: a crash may have come between."""
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            row = await shards.read(connection, self._shard.number)
        if self._row is None or self._row.epoch != row.epoch:
            self._closed = []
        self._row, self._told_q = row, None
        return row


def whole_batch(entries: Sequence[Entry]) -> list[Entry]:
    """Return the first entries that together have at most `MOST_FACTS`, at least one."""
    batch: list[Entry] = []
    facts = 0
    for entry in entries:
        facts += entry.fact_count
        if batch and facts > MOST_FACTS:
            break
        batch.append(entry)
    return batch
