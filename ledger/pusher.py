"""
Control push: what Postgres has ordered reaches Redis.

A command that orders something pushes it itself and waits; what it could not push, the
steward does. The poll is level-triggered: it looks at what is not applied, not at what was
ordered, so nothing is forgotten. Redis applies each number once, so repeats are harmless.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Literal

from ledger import accounts, controls, dead_facts, grants, shards
from ledger.database import Database
from ledger.errors import CorruptRecord
from ledger.facts import Control, ControlFact
from ledger.journal import Reading, read_tail
from ledger.loader import Loader
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.shard import Shard

log = logging.getLogger(__name__)

Outcome = Literal["applied", "pending"]

LIMIT_S = 5.0
"""How long a command waits for its change by default; then it says `pending`."""

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 1.0

MOST_AT_ONCE = 16
"""Accounts the poll pushes at the same time, so that it leaves connections for requests."""

PAGE = 500
"""Accounts asked for at once by the poll."""

ENTRIES_AT_ONCE = 500
"""Journal entries per read, while looking for what Redis applied and Postgres does not have."""


class Pusher:
    """Brings controls to one shard."""

    def __init__(
        self, database: Database, shard: Shard, loader: Loader, reading: Reading, clock: Clock
    ) -> None:
        self._database = database
        self._shard = shard
        self._loader = loader
        self._reading = reading
        self._clock = clock

    async def push(self, account: int, limit_s: float = LIMIT_S) -> Outcome:
        """
        Return `applied` once Redis has every control of the account ordered before this call.

        `pending` after `limit_s`: nothing is lost, the steward will apply it.

        Raises:
            NotFound: There is no such account.

        """
        until = self._clock.monotonic() + limit_s
        retry_s = FIRST_RETRY_S
        while True:
            try:
                if await self._push(account):
                    return "applied"
            except OUTAGE as away:
                log.debug("controls of account %d are pending: %s", account, away)
            left_s = until - self._clock.monotonic()
            if left_s <= 0:
                return "pending"
            await self._clock.sleep(min(retry_s, left_s))
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def poll(self) -> None:
        """Push what is waiting, of every account; call it again and again."""
        room = asyncio.Semaphore(MOST_AT_ONCE)

        async def push(account: int) -> None:
            async with room:
                await self._push(account)

        after = 0
        while True:  # every page: accounts that are stuck must not keep the others waiting
            async with self._database.connection() as connection:
                waiting = await controls.waiting_accounts(
                    connection, self._shard.number, after=after, limit=PAGE
                )
            results = await asyncio.gather(*map(push, waiting), return_exceptions=True)
            for account, result in zip(waiting, results, strict=True):
                if isinstance(result, BaseException):
                    log.warning("controls of account %d are pending: %s", account, result)
            if len(waiting) < PAGE:
                return
            after = waiting[-1]

    async def enter_due(self) -> int:
        """Order that grants whose time has come, or whose place is free, enter; how many."""
        now = datetime.fromtimestamp(self._clock.now_ms() / 1_000, UTC)
        async with self._database.connection() as connection:
            due = await grants.due(connection, self._shard.number, now)
            for grant in due:
                await grants.enter(connection, grant)
        for account in {grant.account_id for grant in due}:
            await self._push(account)
        return len(due)

    async def _push(self, account: int) -> bool:
        """Send what Postgres has not seen applied; return whether Redis now has all of it."""
        async with self._database.connection() as connection:
            waiting = await controls.pending(connection, account)
            status = (await accounts.get(connection, account)).status if waiting else None
        if not waiting:
            return True
        words = await self._send(account, waiting)
        if b"NOTLOADED" in words:
            await self._loader.load(account)
            # Somebody else may have loaded it from before the latest order: look once more.
            words = await self._send(account, waiting)
        if status is accounts.Status.QUARANTINED and b"OLD" in words:
            await self._block(account)
        for control, word in zip(waiting, words, strict=True):
            if word not in (b"OK", b"OLD"):
                log.warning("account %d: control %s answered %s", account, control, word)
                return False
        known = [line for line, word in zip(waiting, words, strict=True) if word == b"OLD"]
        if known and not await self._are_applied(account, known):
            log.warning("account %d: Redis has other controls under these numbers", account)
            return False
        return True

    async def _are_applied(self, account: int, lines: list[bytes]) -> bool:
        """
        Whether what Redis applied under the numbers of these controls are these controls.

        It compares numbers only, and a Postgres that lost commits gives numbers out again. The
        journal has every control that is applied and not posted; posting compared the others.
        """
        ordered = {control.cseq: control for control in map(Control.unpack, lines)}
        async with self._database.connection() as connection:
            row = await shards.read(connection, self._shard.number)
        found = await self._unposted(account, row.epoch, row.last_q)
        missing = [cseq for cseq in ordered if cseq not in found]
        if any(found[cseq] != ordered[cseq] for cseq in ordered.keys() & found.keys()):
            return False
        async with self._database.connection() as connection:
            return not missing or await controls.applied(connection, account, max(missing))

    async def _unposted(self, account: int, epoch: int, after_q: int) -> dict[int, Control]:
        """Return the account's controls in the journal behind `after_q`, by their numbers."""
        link, found = await self._reading.link(), dict[int, Control]()
        try:
            while tail := await read_tail(link, self._shard.keys, epoch, after_q, ENTRIES_AT_ONCE):
                for entry in tail:
                    for fact in entry.facts:
                        if isinstance(fact, ControlFact) and fact.account == account:
                            found[fact.control.cseq] = fact.control
                after_q = tail[-1].last_q
        except CorruptRecord:
            pass  # what follows is not known to be applied
        return found

    async def _block(self, account: int) -> None:
        """
        Refuse a quarantined account if its freeze may be one that Redis takes for a repeat.

        A Postgres that lost commits orders the freeze under a number that Redis has used. Its
        facts of this epoch broke a rule then, so nobody can release it before the next one: only
        in this epoch is it blocked. In another it may have been released a moment ago, and be
        OLD because it was loaded.
        """
        epoch = (await self._shard.ready()).epoch
        async with self._database.connection() as connection:
            blame = await dead_facts.blame(connection, account)
        if blame.in_this_epoch:
            await self._shard.run("block", [account.to_bytes(7, "little")], epoch=epoch)

    async def _send(self, account: int, waiting: list[bytes]) -> list[bytes]:
        return await self._shard.run("control", [account.to_bytes(7, "little"), *waiting])
