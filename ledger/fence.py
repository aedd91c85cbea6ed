"""
Whether a Redis connection may be trusted, and what to do when it may not: a new epoch.

A fence has five steps, and a crash after any of them leaves a state from which any other
process goes on:

1. read the shard's row: epoch, incarnation, how far Postgres has posted
2. FREEZE the shard and read the journal's tail, which nobody can add to from here on
3. salvage: post what of the tail continues Postgres' own chain
4. compare-and-set the row to the next epoch; who loses here begins again
5. OPEN that epoch in Redis; everything of older epochs is out of reach by its key names

Nothing here decides what is true: Postgres follows one chain per epoch, whoever fences, and
however often.
"""

import enum
import logging

from ledger import credit_types, shards
from ledger.checks import read_info
from ledger.database import PROMPT_LIMIT_S, Database
from ledger.errors import CorruptRecord, LedgerUnavailable, PostgresBehind
from ledger.journal import read_meta, read_tail
from ledger.keys import Keys
from ledger.lines import open_args, session_args
from ledger.link import Link, ResponseError
from ledger.ports import Clock
from ledger.posting import Posted, post
from ledger.records import Meta
from ledger.scripts import Scripts
from ledger.shards import ShardRow
from ledger.standing import Standing

log = logging.getLogger(__name__)

UNKNOWN_INCARNATION = "unknown"
"""Of a server that does not answer INFO: then only watermark and chain see that it changed."""

ATTEMPTS = 10
"""A round is lost only to another process that got further; so many in a row is a fault."""


SALVAGE_ENTRIES = 200
"""Journal entries per transaction while salvaging; what is posted stays, should it be cut off."""


class Verdict(enum.Enum):
    """What Redis and Postgres together say about a connection."""

    STANDS = "same server, same epoch, not behind"
    UNOPENED = "Postgres is in an epoch that Redis has not opened yet"
    BROKEN = "Redis was restarted or replaced, or lost something; going on from what Postgres has"
    AHEAD = "Redis knows what Postgres does not, and cannot tell it again"


def judge(row: ShardRow, incarnation: str, meta: Meta | None) -> Verdict:
    """
    Decide what a connection is good for.

    Args:
        row: Postgres' row, read before `meta`, so a lower q in `meta` is a loss and not a race.
        incarnation: Of the server at the other end, see `incarnation_of`.
        meta: The shard's state in Redis; None when there is none.

    """
    if meta is not None and meta.epoch > row.epoch:
        return Verdict.AHEAD
    if row.epoch == 0 or row.incarnation != incarnation:
        return Verdict.BROKEN
    if meta is None or meta.epoch < row.epoch:
        # Nothing of this epoch is posted: opening it, also once more, starts from what
        # Postgres has. Later on the same sight means that Redis lost what it had.
        return Verdict.UNOPENED if row.last_q == 0 else Verdict.BROKEN
    if meta.frozen or meta.q < row.last_q:
        return Verdict.BROKEN
    return Verdict.STANDS


class Fence:
    """Verifies the connections of one process to one shard, and fences when it must."""

    def __init__(self, database: Database, keys: Keys, scripts: Scripts, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._scripts = scripts
        self._clock = clock
        self._verified: int | None = None

    async def verify(self, link: Link) -> Standing:
        """
        Make sure that `link` leads to the epoch that Postgres follows, and open a session.

        Raises:
            PostgresBehind: Postgres went back: see `accept`.
            LedgerUnavailable: A store is away, or others keep fencing; ask again.

        """
        for _ in range(ATTEMPTS):
            epoch = await self.mend(link)
            session = await self._open_session(link, epoch)
            if session is not None:
                self._verified = epoch
                return Standing(epoch=epoch, session=session)
        raise LedgerUnavailable("no session could be opened")

    async def mend(self, link: Link) -> int:
        """
        Bring Redis and Postgres to the same epoch, if they are not, and return that.

        Raises:
            PostgresBehind: Postgres went back: see `accept`.
            LedgerUnavailable: See `verify`.

        """
        for _ in range(ATTEMPTS):
            row, verdict = await self._look(link)
            if verdict is Verdict.STANDS:
                return row.epoch
            await self._act(link, row, verdict)
        raise LedgerUnavailable("the shard is being fenced again and again")

    async def fence(self, link: Link, why: str) -> None:
        """End the epoch that `verify` gave last, because a script answered NOMETA or REGRESS."""
        if self._verified is not None:
            await self.end(link, self._verified, why)

    async def end(self, link: Link, epoch: int, why: str) -> None:
        """
        Go on to a new epoch because of what was seen in `epoch`.

        Harmless when another process did so already: then nothing happens.
        """
        row, verdict = await self._look(link)
        if row.epoch != epoch:
            return
        if verdict is Verdict.AHEAD:
            await self._act(link, row, verdict)
        else:
            log.warning("shard %d: fencing epoch %d: %s", self._keys.shard, epoch, why)
            await self._rebuild(link, row, await incarnation_of(link))

    async def renew(self, link: Link, why: str) -> int:
        """
        Begin a new epoch because a person wants one, and return it; what Redis knows is kept.

        Raises:
            PostgresBehind: Nothing was changed: see `accept`.
            LedgerUnavailable: See `verify`.

        """
        await self.end(link, await self.mend(link), why)
        return await self.mend(link)

    async def halt(self, link: Link) -> bool:
        """Stop the epoch Redis is in if Postgres went back, and say whether it did."""
        _, verdict = await self._look(link)
        meta = await read_meta(link, self._keys)
        if verdict is not Verdict.AHEAD or meta is None:
            return False
        await self._freeze(link, meta.epoch)
        return True

    async def accept(self, link: Link, why: str) -> int:
        """
        Begin an epoch from what Postgres has and return it, whatever only Redis knows.

        The epoch is later than every one Redis has seen, so that nothing of what is given up
        can be reached any more. Where Postgres did not go back, this is `renew`.

        Raises:
            LedgerUnavailable: See `verify`.

        """
        row, meta = await self._row(), await read_meta(link, self._keys)
        if meta is None or not await self.halt(link):
            return await self.renew(link, why)
        log.warning("shard %d: giving up epoch %d: %s", self._keys.shard, meta.epoch, why)
        opened = await self._advance(row.epoch, await incarnation_of(link), above=meta.epoch)
        if opened is not None:
            await self._open(link, opened)
        return await self.mend(link)

    async def _look(self, link: Link) -> tuple[ShardRow, Verdict]:
        incarnation = await incarnation_of(link)
        row = await self._row()
        try:
            meta = await read_meta(link, self._keys)
        except CorruptRecord as corrupt:
            log.warning("shard %d: %s", self._keys.shard, corrupt)
            return row, Verdict.BROKEN
        if meta is not None and await self._left_behind(link, row, meta):
            return row, Verdict.AHEAD
        return row, judge(row, incarnation, meta)

    async def _left_behind(self, link: Link, row: ShardRow, meta: Meta) -> bool:
        """
        Whether Redis was told that Postgres has more than it has, and no longer has that itself.

        A Postgres that lost its last commits is told them again by posting, as long as the
        journal goes back so far. Beyond that a new epoch would quietly drop what was charged.
        """
        if meta.epoch != row.epoch or meta.posted_q <= row.last_q:
            return False
        try:
            tail = await read_tail(link, self._keys, row.epoch, row.last_q, 1)
        except CorruptRecord:
            return True
        place = (row.last_q + 1, row.last_chain)
        return not tail or (tail[0].first_q, tail[0].previous) != place

    async def _act(self, link: Link, row: ShardRow, verdict: Verdict) -> None:
        if verdict is Verdict.UNOPENED:
            await self._open(link, row)
        elif verdict is Verdict.BROKEN:
            if row.epoch > 0:
                log.warning("shard %d: epoch %d: %s", self._keys.shard, row.epoch, verdict.value)
            await self._rebuild(link, row, await incarnation_of(link))
        elif await self._row() == row:  # else somebody only was quicker
            raise PostgresBehind(
                f"{verdict.value} (epoch {row.epoch}, fact {row.last_q}): Postgres lost commits, "
                "or is another database than the one this Redis was used with; "
                "see `farebox rebuild`"
            )

    async def _rebuild(self, link: Link, row: ShardRow, incarnation: str) -> None:
        """Take the steps 2 to 5; every one of them may be the last, see the top of the file."""
        if row.epoch > 0:
            await self._freeze(link, row.epoch)
            await self._salvage(link, row)
        opened = await self._advance(row.epoch, incarnation)
        if opened is not None:
            await self._open(link, opened)

    async def _freeze(self, link: Link, epoch: int) -> None:
        # Any word will do: a shard that is in another epoch, or in none, writes nothing either.
        await self._scripts.run(link, "freeze", self._keys, epoch, [])

    async def _salvage(self, link: Link, row: ShardRow) -> None:
        """Post what continues Postgres' chain. What does not is another history, or broken."""
        after_q = row.last_q
        try:
            while tail := await read_tail(link, self._keys, row.epoch, after_q, SALVAGE_ENTRIES):
                async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
                    posted = await post(connection, self._keys.shard, tail)
                if not isinstance(posted, Posted):
                    log.warning(
                        "shard %d: what follows fact %d is not salvaged: %s",
                        self._keys.shard,
                        after_q,
                        posted,
                    )
                    return
                after_q = posted.last_q
        except CorruptRecord as corrupt:
            log.warning("shard %d: the rest is not salvaged: %s", self._keys.shard, corrupt)

    async def _advance(self, epoch: int, incarnation: str, *, above: int = 0) -> ShardRow | None:
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await shards.advance(
                connection, self._keys.shard, epoch, incarnation, above=above
            )

    async def _open(self, link: Link, row: ShardRow) -> None:
        """Open the row's epoch in Redis; harmless when it is open, or a later one is."""
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            windows = await credit_types.windows(connection)
        units = {opened.credit_type_id: opened.units for opened in row.open_at_start}
        types = [
            (credit_type, units.get(credit_type, 0), window)
            for credit_type, window in windows.items()
        ]
        args = open_args(
            row.epoch,
            shards.JOURNAL_CAP,
            types,
            sum(count for _, count, _ in row.open_at_start),
        )
        await self._scripts.run(link, "open", self._keys, row.epoch, args)
        log.info("shard %d: epoch %d is open", self._keys.shard, row.epoch)

    async def _open_session(self, link: Link, epoch: int) -> int | None:
        """Return a new session's number; None when the shard changed under our feet."""
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            session = await shards.next_session(connection)
        reply = await self._scripts.run(
            link,
            "session",
            self._keys,
            epoch,
            session_args(session),
            clock_ms=self._clock.now_ms(),
        )
        if reply.word == "SKEW":
            raise LedgerUnavailable("this machine's clock and Redis' are more than 5 s apart")
        return session if reply.word == "OK" and reply.answers == [b"OK"] else None

    async def _row(self) -> ShardRow:
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await shards.read(connection, self._keys.shard)


async def incarnation_of(link: Link) -> str:
    """
    Return what changes when the server behind `link` restarts or becomes another's copy.

    Raises:
        LedgerUnavailable: It is a replica, which cannot keep money.

    """
    try:
        info = read_info(await link.call("INFO", "server") + await link.call("INFO", "replication"))
    except ResponseError:
        return UNKNOWN_INCARNATION
    if info.get("role", "master") != "master":
        raise LedgerUnavailable("this Redis is a replica, waiting for the master")
    return f"{info.get('run_id', '')}{info.get('master_replid', '')}" or UNKNOWN_INCARNATION
