"""
Bring an account from Postgres into the running epoch: LOAD_BEGIN, snapshot, LOAD_END.

An account enters an epoch once. The token that LOAD_BEGIN leaves proves that nobody else
loaded between the reading of the snapshot and its writing; the snapshot's epoch proves
that it holds every fact of older epochs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from ledger.errors import CorruptRecord, LedgerUnavailable
from ledger.facts import Control
from ledger.lines import load_begin_args, load_end_args, load_limits_args
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.shard import Shard
from ledger.snapshot import Snapshot

MOST_AT_ONCE = 64
"""Accounts loaded at the same time; after a new epoch every account comes asking."""

LIMIT_S = 1.0
"""How long a request waits for its account; it is answered 503 then. The load goes on."""

FIRST_RETRY_S = 0.005
LONGEST_RETRY_S = 0.1
"""Waits after another process stepped in between; it is nearly done then."""

GIVE_UP_S = 5.0
"""How long a load goes on trying; whoever asked has given up by then."""

TOKEN_BYTES = 16

FIELDS_AT_ONCE = 1_000
"""Of what limits have counted, in one call: a thousand keys with limits on ten routes have more."""


class Loader:
    """Loads accounts, each once however many ask."""

    def __init__(
        self,
        shard: Shard,
        snapshot: Callable[[int], Awaitable[Snapshot]],
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._shard = shard
        self._snapshot = snapshot
        self._clock = clock
        self._chance = chance
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._running: dict[int, asyncio.Task[None]] = {}

    async def load(self, account: int) -> None:
        """
        Return when the account is in Redis, in the epoch of that moment.

        A repeat is harmless. Pending controls are applied by the load itself.

        Raises:
            NotFound: Postgres has no such account.
            LedgerUnavailable: Not done in `LIMIT_S`, or a store is away.

        """
        task = self._running.get(account)
        if task is None:
            task = asyncio.create_task(self._load(account), name=f"load {account}")
            self._running[account] = task
            task.add_done_callback(lambda done: self._finished(account, done))
        try:
            # Shielded: who asks may go away; others wait for the same load. Not `wait_for`: before
            # Python 3.12 it forgets a cancellation that comes in the turn in which the load ends.
            async with asyncio.timeout(LIMIT_S):
                await asyncio.shield(task)
        except TimeoutError:
            raise LedgerUnavailable(f"account {account} was not loaded in time") from None
        except OUTAGE as away:
            raise LedgerUnavailable(f"account {account} could not be loaded: {away}") from away

    async def aclose(self) -> None:
        """Stop the loads under way; each is safe to stop at any point."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, account: int, task: asyncio.Task[None]) -> None:
        del self._running[account]
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, nothing is lost

    async def _load(self, account: int) -> None:
        until = self._clock.monotonic() + GIVE_UP_S
        retry_s = FIRST_RETRY_S
        async with self._room:
            while True:
                try:
                    if await self._try(account):
                        return
                except OUTAGE:
                    # Often an epoch has just begun, and the shard is being verified anew.
                    if self._clock.monotonic() >= until:
                        raise
                if self._clock.monotonic() >= until:
                    raise LedgerUnavailable(f"account {account} could not be loaded")
                await self._clock.sleep(retry_s * self._chance.uniform(0.5, 1.5))
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def _try(self, account: int) -> bool:
        token = self._chance.randbytes(TOKEN_BYTES)
        [begun] = await self._shard.run(
            "load_begin", load_begin_args(account, token), account=account
        )
        if begun == b"LOADED":
            return True
        # Read after LOAD_BEGIN, never before: the token vouches for this order.
        snapshot = await self._snapshot(account)
        fields = list(snapshot.limits.items())
        # While the account is not there nobody can use them; what is there already is newer.
        for first in range(0, len(fields), FIELDS_AT_ONCE):
            some = dict(fields[first : first + FIELDS_AT_ONCE])
            limits = load_limits_args(snapshot.epoch, some)
            [written] = await self._shard.run("load_limits", limits)
            if written != b"OK":
                return _done(account, written)
        args = load_end_args(
            snapshot.epoch,
            account,
            token,
            record=snapshot.record,
            keys=snapshot.keys,
            holds=snapshot.holds,
            lent=snapshot.lent,
            controls=map(Control.unpack, snapshot.controls),
            reaches=snapshot.reaches,
        )
        [ended] = await self._shard.run("load_end", args, account=account)
        return _done(account, ended)


def _done(account: int, answer: bytes) -> bool:
    """
    Return whether the account is there.

    TOKEN: another process began after us. STALE: Postgres and Redis are not in the same epoch just
    now. Both pass.
    """
    if answer == b"CORRUPT":
        raise CorruptRecord(f"what Postgres has of account {account} does not add up")
    return answer == b"LOADED"
