"""
The sweeps: what nobody asks for any more is ended, and what nobody needs is removed.

Overdue holds come from Postgres' open rows, so that also those are found whose account no
request touches in this epoch; Redis decides, for a renewed hold it says EARLY. While Postgres
is down nothing expires: credit stays held, which is the safe side.
"""

import asyncio
import logging

from ledger import charges, shards
from ledger.database import Database, Queries
from ledger.journal import Reading, scan
from ledger.lines import ack_args, drop_session_args, settle_line
from ledger.loader import Loader
from ledger.ports import Clock
from ledger.poster import KEPT_FACTS
from ledger.reasons import Reason
from ledger.records import ClosedHold, SessionRecord, read_hold
from ledger.shard import Shard

log = logging.getLogger(__name__)

PAGE = 500
"""Rows per statement, and lines or accounts under way at the same time."""

IDLE_SESSION_MS = 3_600_000
"""A session unused for an hour; a gateway that comes back later is told NEWID and opens another."""

MARKS_AT_ONCE = 1_000

EPOCHS_AT_ONCE = 100
"""Older epochs per UNLINK, most of which are gone already."""

_SQL = Queries("sweeper")


class Sweeper:
    """Sweeps one shard. Every sweep may be cut off anywhere and simply runs again."""

    def __init__(
        self,
        database: Database,
        shard: Shard,
        loader: Loader,
        reading: Reading,
        clock: Clock,
    ) -> None:
        self._database = database
        self._shard = shard
        self._loader = loader
        self._reading = reading
        self._clock = clock
        self._dropped = 1  # epochs below this one are gone

    async def expire_holds(self) -> int:
        """End the holds whose deadline has passed; return how many."""
        now_ms, expired = self._clock.now_ms(), 0
        after: tuple[int, bytes] = (0, b"")
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(
                    _SQL.overdue, self._shard.number, now_ms, *after, PAGE
                )
            answers = await asyncio.gather(
                *(self._expire(row["id"], row["account_id"]) for row in rows)
            )
            expired += answers.count(True)
            if len(rows) < PAGE:
                return expired
            after = (rows[-1]["deadline_ms"], rows[-1]["id"])

    async def expire_lots(self) -> int:
        """Book what is left in lots whose time has come; return how many accounts had such."""
        now_ms, seen, after = self._clock.now_ms(), 0, 0
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(
                    _SQL.with_due_lots, self._shard.number, now_ms, after, PAGE
                )
            for row in rows:
                await self._expire_lots(row["account_id"])
            seen += len(rows)
            if len(rows) < PAGE:
                return seen
            after = rows[-1]["account_id"]

    async def tidy(self) -> None:
        """Remove closed marks that posting lost sight of, and idle sessions."""
        await self._drop_marks()
        await self._drop_sessions()

    async def drop_epochs(self) -> None:
        """UNLINK what older epochs left in Redis; no script can reach it any more."""
        async with self._database.connection() as connection:
            current = (await shards.read(connection, self._shard.number)).epoch
        keys, link = self._shard.keys, await self._reading.link()
        for first in range(self._dropped, current, EPOCHS_AT_ONCE):
            older = range(first, min(first + EPOCHS_AT_ONCE, current))
            names = [name for epoch in older for name in keys.of(epoch) if name != keys.meta]
            await link.call("UNLINK", *names)
        self._dropped = current

    async def _expire(self, hold: bytes, account: int) -> bool:
        line = settle_line(hold, 0, Reason.EXPIRED)
        answer = await self._shard.settle(line)
        if answer.words[0] in (b"NOHOLD", b"NOACCOUNT"):
            # Not in this epoch yet: loading the account brings its open holds.
            await self._loader.load(account)
            answer = await self._shard.settle(line)
        if answer.words[0] not in (b"DONE", b"NOHOLD", b"EARLY"):
            log.warning("hold %s: expiring it was answered %s", hold.hex(), answer.words)
        return bool(answer.words[0] == b"DONE")

    async def _expire_lots(self, account: int) -> None:
        args = [account.to_bytes(7, "little")]
        [answer] = await self._shard.run("expire_lots", args)
        if answer == b"NOTLOADED":
            await self._loader.load(account)
            [answer] = await self._shard.run("expire_lots", args)
        if answer != b"OK":
            log.warning("lots of account %d: expiring them was answered %s", account, answer)

    async def _drop_marks(self) -> None:
        """Name marks whose charge Postgres shows closed in an ACK of where posting stands."""
        async with self._database.connection() as connection:
            row = await shards.read(connection, self._shard.number)
        if row.last_q == 0:
            return
        marked: list[bytes] = []
        async for hold, raw in scan(await self._reading.link(), self._shard.keys.holds(row.epoch)):
            if isinstance(read_hold(raw), ClosedHold):
                marked.append(hold)
            if len(marked) == MARKS_AT_ONCE:
                await self._drop_closed(row.last_q, row.last_chain, marked)
                marked = []
        await self._drop_closed(row.last_q, row.last_chain, marked)

    async def _drop_closed(self, q: int, chain: str, marked: list[bytes]) -> None:
        async with self._database.connection() as connection:
            ended = await charges.ended_of(connection, marked)
        if ended:
            await self._shard.run("ack", ack_args(q, chain, ended, KEPT_FACTS))

    async def _drop_sessions(self) -> None:
        epoch, idle_since_ms = self._shard.epoch, self._clock.now_ms() - IDLE_SESSION_MS
        key = self._shard.keys.balances(epoch)
        async for field, raw in scan(await self._reading.link(), key, "s*"):
            if SessionRecord.unpack(raw).used_ms < idle_since_ms:
                number = int.from_bytes(field[1:], "little")
                await self._shard.run("drop_session", drop_session_args(number, raw))
