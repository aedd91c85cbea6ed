"""
What must hold, whatever happened: Postgres, Redis and the oracle tell the same story.

* always: what is captured was served, and costs no more than that
* at rest: what was served is captured, or written off because the account had nothing left; what
  is not was served by a gateway that was killed before Postgres had it, and where Redis lost its
  tail in the same breath it is at most the window
* at rest: nothing is held, the balances are what was granted less what was captured, the
  commands `verify` and `reconcile` find nothing, and no finding is open
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from ledger.books import ChargeState
from ledger.ids import MAX_SESSION, hold_id
from ledger.link import Link, RedisError
from ledger.outage import OUTAGE
from ledger.ports import SystemClock
from ledger.reasons import Reason
from ledger.records import Meta
from tests.chaos.backend import DEAREST, Backend, Service
from tests.chaos.clients import Account
from tests.chaos.fleet import WINDOW, Fleet

LOOK_S = 1.0
IN_HAND_US = 10_000_000
ANSWER_LIMIT_S = 2.0  # while Postgres is being disturbed, what was seen before has to do

OPEN_AND_TAKEN = """
SELECT encode(id, 'hex') AS id, account_id, state, captured, coalesce(written_off, 0) AS written_off,
       reason, key_id
  FROM charges WHERE id > $1
"""


class Violation(AssertionError):
    """Something that must never be."""


@dataclass(eq=False)
class Kill:
    """
    Gateways that were killed, and what they knew that Postgres did not.

    confirmed: What Postgres showed closed before, since the last rest.
    last: The largest id that they can have made: ids begin with the clock.
    with_tail: Redis lost its tail in the same breath.
    """

    gateways: frozenset[str]
    confirmed: frozenset[str]
    last: str
    with_tail: bool = False
    lost: int = 0
    lost_requests: int = 0
    kind: str = ""

    def knew(self, request: str, service: Service) -> bool:
        """Whether it was theirs, and only theirs: the backend may have seen it a little later."""
        ours = service.gateway in self.gateways and request <= self.last
        return ours and request not in self.confirmed


@dataclass(eq=False)
class Judge:
    """
    Looks at a fleet from outside; counts what was lost.

    before: Charges up to this one were judged for good, and are only added up since.
    """

    fleet: Fleet
    backend: Backend
    accounts: list[Account]
    quiet_limit_s: float
    granted: Counter[int] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    written_off: int = 0
    rests: int = 0
    before: bytes = b""
    _captured_before: Counter[int] = field(default_factory=Counter)
    _closed: set[str] = field(default_factory=set)  # ids that Postgres showed closed

    @asynccontextmanager
    async def killing(self, gateways: list[str]) -> AsyncIterator[None]:
        """Write down what these gateways, which the block kills, have served unconfirmed."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self._look()
        except (*OUTAGE, asyncpg.PostgresError):
            pass  # then Postgres may have more than we know
        closed = frozenset(self._closed)
        yield
        last = hold_id(time.time_ns() // 1_000, MAX_SESSION).hex()
        self.kills.append(Kill(frozenset(gateways), closed, last))

    async def watch(self) -> None:
        """Look all the time, until cancelled or something is wrong."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    await self._look()
            except (*OUTAGE, asyncpg.PostgresError):
                continue

    async def _look(self) -> list[asyncpg.Record]:
        """All charges since the last rest; what is captured was served."""
        connection = await asyncpg.connect(self.fleet.postgres.url())
        try:
            rows: list[asyncpg.Record] = await connection.fetch(OPEN_AND_TAKEN, self.before)
        finally:
            connection.terminate()
        for row in rows:
            if row["captured"] + row["written_off"] > self._due(row):
                raise Violation(f"more than was served: {dict(row)}, {self._service(row['id'])}")
            if row["state"] in (ChargeState.CAPTURED, ChargeState.LATE):
                self._closed.add(row["id"])
        if self.backend.repeated:
            raise Violation(f"forwarded twice: {self.backend.repeated}")
        return rows

    def _service(self, request: str) -> object:
        return self.backend.served.get(request)

    def _due(self, row: asyncpg.Record) -> int:
        """What may be captured: by the price's words the whole hold, where the usage is missing."""
        service = self.backend.served.get(row["id"])
        if service is None:
            return 0
        return max(service.units, 12) if row["reason"] == Reason.USAGE_MISSING else service.units

    async def rest(self, *, last: bool = False) -> None:
        """Wait until all is quiet, nobody asking, and judge everything; `last`: nothing follows."""
        limit = time.monotonic() + self.quiet_limit_s
        while True:
            try:
                waiting, rows = await self._waiting()
            except (*OUTAGE, asyncpg.PostgresError, RedisError) as away:
                waiting, rows = f"a store is away: {away}", []
            if not waiting:
                break
            if time.monotonic() > limit:
                raise Violation(f"not quiet after {self.quiet_limit_s:g} s: {waiting}")
            await asyncio.sleep(0.2)
        until = max((row["id"] for row in rows), default=self.before.hex())
        if not last:
            # What a gateway has still in hand, of a client that left, has an id not much older.
            n = max(int(until[:16], 16) - IN_HAND_US, 0)
            until = hold_id(n, 0).hex()
        await self._check_sums(rows)
        self._count_losses(rows, until)
        self._forget(rows, until)
        for found in await asyncio.gather(
            self.fleet.audit("verify"), self.fleet.audit("reconcile")
        ):
            if found:
                raise Violation(found)
        self.rests += 1

    async def _waiting(self) -> tuple[str, list[asyncpg.Record]]:
        """What is still under way, in words; empty if nothing is."""
        rows = await self._look()
        still = [row["id"] for row in rows if row["state"] == ChargeState.OPEN]
        if still:
            return f"{len(still)} charges open, as {still[0]}", rows
        link = await Link.connect(self.fleet.redis.url, clock=SystemClock())
        try:
            raw = await link.call("GET", "fbx:{s0}:m")
        finally:
            link.close()
        connection = await asyncpg.connect(self.fleet.postgres.url())
        try:
            epoch, last_q = await connection.fetchrow("SELECT epoch, last_q FROM shards")
            unapplied = await connection.fetchval(
                "SELECT count(*) FROM accounts WHERE cseq_applied < cseq_head"
            )
        finally:
            connection.terminate()
        meta = Meta.unpack(raw) if raw else None
        if meta is None or (meta.epoch, meta.q, meta.open_holds) != (epoch, last_q, 0):
            return f"Redis has {meta}, Postgres epoch {epoch} and fact {last_q}", rows
        if unapplied:
            return f"{unapplied} accounts wait for controls", rows
        lost = [one for one in self._lost(rows) if self._kill_of(one) is None]
        if lost:
            which = min(lost)
            state = [dict(row) for row in rows if row["id"] == which]
            return f"{len(lost)} served and not captured, as {which}: {state}", rows
        return "", rows

    def _kill_of(self, request: str) -> Kill | None:
        """The latest kill that may have lost it."""
        service = self.backend.served[request]
        return next((kill for kill in reversed(self.kills) if kill.knew(request, service)), None)

    def _lost(self, rows: list[asyncpg.Record]) -> dict[str, int]:
        """Served since the last rest, and not booked: the units of each."""
        booked = {row["id"]: row["captured"] + row["written_off"] for row in rows}
        return {
            one: service.units - booked.get(one, 0)
            for one, service in self.backend.served.items()
            if service.units > booked.get(one, 0)
        }

    def _count_losses(self, rows: list[asyncpg.Record], until: str) -> None:
        """Give each loss to the kill that it came of, the latest that knew it."""
        scarce = {account.number for account in self.accounts if account.scarce}
        for row in rows:
            if row["written_off"] and row["account_id"] not in scarce:
                raise Violation(f"written off, though there was enough: {dict(row)}")
            if row["id"] <= until:
                self.written_off += row["written_off"]
        for one, units in self._lost(rows).items():
            if one > until:
                continue
            kill = self._kill_of(one)
            assert kill is not None, "waited for before"
            kill.lost += units
            kill.lost_requests += 1
        for kill in self.kills:
            if kill.with_tail and kill.lost > WINDOW:
                raise Violation(f"{kill.lost} units lost at once, the window is {WINDOW}")

    async def _check_sums(self, rows: list[asyncpg.Record]) -> None:
        """Balances are grants less captures, by our own book; what was judged before stays so."""
        captured = Counter(self._captured_before)
        for row in rows:
            captured[row["account_id"]] += row["captured"]
        connection = await asyncpg.connect(self.fleet.postgres.url())
        try:
            pools = await connection.fetch("SELECT * FROM pools")
            charged = await connection.fetch(
                "SELECT account_id, sum(captured)::bigint AS units FROM charges GROUP BY account_id"
            )
            findings = await connection.fetch("SELECT * FROM findings WHERE resolved_at IS NULL")
            dead = await connection.fetchval("SELECT count(*) FROM dead_facts")
        finally:
            connection.terminate()
        if findings or dead:
            raise Violation(f"{dead} dead facts, findings: {[dict(one) for one in findings]}")
        if {row["account_id"]: row["units"] for row in charged if row["units"]} != +captured:
            raise Violation(f"captured by charge {captured}, by account {charged}")
        for pool in pools:
            account = pool["account_id"]
            left = self.granted[account] - captured[account]
            if (pool["remaining"] - pool["debt"], pool["held"]) != (left, 0) or left < 0:
                raise Violation(f"account {account} should have {left}: {dict(pool)}")

    def _forget(self, rows: list[asyncpg.Record], until: str) -> None:
        """What is judged for good is only added up from now on: a run may be long."""
        for row in rows:
            if row["id"] <= until:
                self._captured_before[row["account_id"]] += row["captured"]
        self.before = bytes.fromhex(until)
        for one in [one for one in self.backend.served if one <= until]:
            del self.backend.served[one]
        self._closed = {one for one in self._closed if one > until}
        for kill in self.kills:
            kill.confirmed = frozenset(one for one in kill.confirmed if one > until)


assert WINDOW >= DEAREST
