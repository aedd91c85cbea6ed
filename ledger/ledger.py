"""
The ledger, built: everything above two stores that a worker, a steward or a command needs.

The only place where the parts of this package are put together. Nothing here decides.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal, Self

from ledger import (
    admins,
    charges,
    claims,
    findings,
    gateways,
    partitions,
    replies,
)
from ledger.audit_jobs import Auditor
from ledger.claims import Claims
from ledger.database import PROMPT_LIMIT_S, Database
from ledger.election import Election
from ledger.errors import LedgerUnavailable
from ledger.fence import Fence
from ledger.findings import Finding
from ledger.holds import Holds
from ledger.journal import Reading, read_meta
from ledger.key_directory import KeyDirectory
from ledger.keys import Keys
from ledger.link import Link, RedisError
from ledger.loader import Loader
from ledger.outage import OUTAGE, told
from ledger.plans import PlanDirectory
from ledger.ports import Clock, SystemClock
from ledger.posted_holds import PostedHolds
from ledger.poster import Poster
from ledger.pusher import Pusher
from ledger.quick_hold import QuickHolds
from ledger.reaches import Reaches, reader
from ledger.rebuild import Rebuilding, Rebuilt, Reloading, rebuild, reload
from ledger.reconcile import POSITIONS, Stores, reconcile
from ledger.records import Meta
from ledger.replies import Replies
from ledger.scripts import Scripts
from ledger.settler import Settler
from ledger.shard import Shard
from ledger.snapshot import read_snapshot
from ledger.steward import Job, Steward
from ledger.sweeper import Sweeper
from ledger.windows import Windows

Role = Literal["worker", "steward", "command"]

POLL_S = 1.0
SWEEP_S = 10.0
WINDOWS_S = 5.0
OLD_EPOCHS_S = 5.0
RECONCILE_S = 60.0
AUDIT_S = 60.0
TIDY_S = 3_600.0
"""How long the steward rests before it looks for the same thing again; see `Ledger.steward`."""

READY_LIMIT_S = 3.0
"""For a store that takes the question and is silent; probes have little patience."""

COMMAND_CONNECTIONS = 2
"""A command asks one thing after the other; Postgres' connections belong to those that serve."""


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """
    Where the stores are and how they are used.

    namespace: Before the name of every Redis key: two gateways may share a Redis.
    postgres_connections: Per process, at most.
    redis_timeout_ms: The longest wait for a reply; what is asked then has an unknown outcome.
    keep_months: How long single charges are kept; None: for ever.
    """

    postgres_url: str
    redis_url: str
    namespace: str = "fbx"
    shard: int = 0
    postgres_connections: int = 10
    redis_timeout_ms: int = 2_000
    keep_months: int | None = None


class Ledger:
    """
    The ledger on its two stores. Made by `open`, ended by `aclose`.

    database: Postgres; accounts, keys, grants, charges... are functions that take one of
        its connections.
    holds: Opens holds. settler: sees them through. posted_holds: waits until Postgres has them.
    keys: Finds the account of an API key.
    reaches: Which credits that are limited to some routes a route may use.
    claims, replies: What Postgres has of Idempotency-Keys, and the answers kept under them.
    loader, pusher: Bring accounts, and ordered changes, to Redis.
    poster, sweeper: What the steward does again and again; a command may do it once.
    windows: How far Redis may be ahead of Postgres.
    shard: The verified connection behind all of these.
    """

    def __init__(
        self, options: LedgerOptions, database: Database, clock: Clock, chance: random.Random
    ) -> None:
        self.options = options
        self.database = database
        self._clock = clock
        redis_keys, scripts = Keys(options.namespace, options.shard), Scripts()

        def new_fence() -> Fence:
            return Fence(database, redis_keys, scripts, clock)

        self._new_fence = new_fence

        self.shard = Shard(
            options.shard, redis_keys, self._connect, new_fence(), clock, scripts=scripts
        )
        self._reading = Reading(self._connect)
        self.windows = Windows(database, self.shard, self.state, clock)
        self.loader = Loader(self.shard, partial(read_snapshot, database), clock, chance)
        self.pusher = Pusher(database, self.shard, self.loader, self._reading, clock)
        self.poster = Poster(database, self.shard, self._reading, new_fence(), clock)
        self.claims = Claims(database, options.shard)
        self.replies = Replies(database)
        self.sweeper = Sweeper(database, self.shard, self.loader, self._reading, clock)
        self.reaches = Reaches(reader(database))
        self.settler = Settler(
            self.shard,
            self.loader,
            self.reaches,
            charge_state=self._charge_state,
            closed_of=self._closed_of,
            claim_of=self.claims.read,
            clock=clock,
            chance=chance,
        )
        self.holds = Holds(self.shard, self.settler, self.loader, self.reaches, clock)
        self.quick_holds = QuickHolds(self.holds, self.shard, self.settler, self.reaches)
        self.posted_holds = PostedHolds(self._open_among, clock)
        self.keys = KeyDirectory(database)
        self.plans = PlanDirectory(database)
        self._asking_postgres: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        options: LedgerOptions,
        role: Role = "command",
        *,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> Self:
        """
        Connect to Postgres. Redis is connected to, and verified, when it is first needed.

        Args:
            options: Where the stores are.
            role: A command takes few connections; the others as many as the options allow.
            clock: Instead of the machine's.
            chance: Instead of the system's randomness.

        Raises:
            LedgerUnavailable: Postgres does not answer; nothing is left open.

        """
        most = COMMAND_CONNECTIONS if role == "command" else options.postgres_connections
        database = await Database.connect(options.postgres_url, most=most)
        ledger = cls(options, database, clock or SystemClock(), chance or random.SystemRandom())
        ledger.settler.start()
        return ledger

    async def aclose(self, drain_s: float = 0.0) -> int:
        """
        Wait up to `drain_s` for settlements, then end everything. A repeat is harmless.

        Returns:
            How many settlements had no definite answer; their holds come back at their
            deadline.

        """
        unsettled = await self.settler.drain(drain_s) if drain_s else self.settler.unsettled
        if self._asking_postgres is not None:
            self._asking_postgres.cancel()
        await self.posted_holds.aclose()
        await self.settler.aclose()
        await self.loader.aclose()
        await self.shard.aclose()
        self._reading.close()
        await self.database.close()
        return unsettled

    async def state(self) -> Meta | None:
        """Return the shard's counters as Redis has them, for metrics; None if it has none."""
        return await read_meta(await self._reading.link(), self.shard.keys)

    async def ready(self) -> None:
        """
        Return if both stores answer now: each is asked, since an open connection proves nothing.

        Raises:
            LedgerUnavailable: One of them cannot be used; the sentence says which.

        """
        await self.shard.ready()
        try:
            await self.state()
        except OUTAGE as away:
            raise _silent("Redis", away) from away
        # One question at a time, however many ask: each holds a connection until it is answered.
        if self._asking_postgres is None or self._asking_postgres.done():
            self._asking_postgres = asyncio.create_task(self._ask_postgres())
            self._asking_postgres.add_done_callback(_looked_at)
        await asyncio.wait({self._asking_postgres}, timeout=READY_LIMIT_S)
        if not self._asking_postgres.done():
            raise LedgerUnavailable(f"Postgres does not answer within {READY_LIMIT_S:g} s")
        try:
            await self._asking_postgres
        except OUTAGE as away:
            raise _silent("Postgres", away) from away

    async def post_all(self) -> None:
        """Post until nothing is left: for a command that no steward runs beside."""
        while await self.poster.step() or self.poster.behind:
            pass

    async def reconcile(self) -> list[Finding]:
        """
        Compare what Redis has loaded with Postgres; see `ledger.reconcile`.

        Raises:
            LedgerUnavailable: A store does not answer; nothing is known.

        """
        try:
            link = await self._reading.link()
        except (RedisError, OSError) as away:
            raise _silent("Redis", away) from away
        try:
            return await reconcile(Stores(self.database, link, self.shard.keys, self._clock))
        except RedisError as away:
            raise _silent("Redis", away) from away

    async def rebuild(self, *, actor: str, reason: str, lose_data: bool = False) -> Rebuilt:
        """Begin a new epoch from what Postgres has; see `ledger.rebuild`."""
        parts = Rebuilding(self.database, self._reading, self._new_fence(), self.shard.keys)
        try:
            return await rebuild(parts, actor=actor, reason=reason, lose_data=lose_data)
        except (RedisError, OSError) as away:
            raise _silent("Redis", away) from away

    async def reload(self, account: int, *, actor: str, reason: str) -> None:
        """Load one account anew from Postgres; see `ledger.rebuild`."""
        parts = Reloading(
            self.database, self.shard, self._reading, self.poster, self.loader, self._clock
        )
        try:
            await reload(parts, account, actor=actor, reason=reason)
        except (RedisError, OSError) as away:
            raise _silent("Redis", away) from away

    def steward(self, more: Sequence[Job] = ()) -> Steward:
        """
        Return the steward of this shard, to be `run` as a task.

        Args:
            more: Jobs of others that are to be done by the same one.

        """
        auditor = Auditor(self.database, self.options.shard, self._clock)
        post = f"farebox steward {self.options.namespace} {self.options.shard}"
        return Steward(
            Election(self.options.postgres_url, post, self._clock),
            [
                Job("posting", 0.0, self.poster.run),
                Job("control push", POLL_S, self.pusher.poll),
                Job("due grants", POLL_S, self.pusher.enter_due),
                Job("overdue holds", SWEEP_S, self.sweeper.expire_holds),
                Job("due lots", SWEEP_S, self.sweeper.expire_lots),
                Job("windows", WINDOWS_S, self.windows.resize),
                Job("old epochs", OLD_EPOCHS_S, self.sweeper.drop_epochs),
                Job("tidying", TIDY_S, self.sweeper.tidy),
                Job("partitions", TIDY_S, self._keep_partitions),
                Job("old links and gateways", TIDY_S, self._forget_what_is_over),
                Job("reconciliation", RECONCILE_S, self._record_findings),
                Job("audit of accounts", AUDIT_S, auditor.accounts),
                Job("audit of charges", AUDIT_S, auditor.charges),
                Job("audit of batches", AUDIT_S, auditor.batches),
                *more,
            ],
            self._clock,
        )

    async def _ask_postgres(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute("SELECT 1")

    async def _connect(self) -> Link:
        return await Link.connect(
            self.options.redis_url, clock=self._clock, timeout_ms=self.options.redis_timeout_ms
        )

    async def _charge_state(self, hold: bytes) -> charges.Standing:
        async with self.database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await charges.charge_state(connection, hold, self.options.shard)

    async def _closed_of(self, holds: list[bytes]) -> set[bytes]:
        async with self.database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await charges.closed_of(connection, holds)

    async def _open_among(self, holds: Collection[bytes]) -> charges.OpenAmong:
        async with self.database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await charges.open_among(connection, holds, self.options.shard)

    async def _keep_partitions(self) -> None:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1_000, UTC)
        async with self.database.connection() as connection:
            await partitions.ensure(connection, now)
            if self.options.keep_months is not None:
                await partitions.retire(connection, now, self.options.keep_months)

    async def _forget_what_is_over(self) -> None:
        async with self.database.connection() as connection:
            await admins.sweep(connection)
            await gateways.sweep(connection)
            await claims.sweep(connection)
            await replies.sweep(connection)

    async def _record_findings(self) -> None:
        await self.shard.ready()
        found = await self.reconcile()
        if any(finding.check in POSITIONS for finding in found):
            # Redis may have been restarted between the two: then being ready again means that a
            # fence has mended it, and what was seen is over.
            await self.shard.ready()
            found = await self.reconcile()
        async with self.database.connection() as connection:
            await findings.record(connection, found)


def _silent(store: str, away: Exception) -> LedgerUnavailable:
    return LedgerUnavailable(f"{store} does not answer: {told(away)}")


def _looked_at(task: asyncio.Task[None]) -> None:
    """Take note of a failure that comes when nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
