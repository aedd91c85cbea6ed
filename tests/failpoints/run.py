"""
One life in front of a death, or the next one after it: the same scenario, run on by its diary.

A scenario is a function of steps. Every step done is in the diary, a file that outlives the
process; so the next process goes on with the step that was under way, and repeats that one with
the ids that it had. Afterwards it looks at everything: see `finish`.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger import settler
from ledger.errors import LedgerError
from ledger.hold_order import HoldOrder
from ledger.ledger import Ledger, LedgerOptions, Role
from ledger.outage import OUTAGE
from ledger.ports import SystemClock
from ledger.reasons import Reason
from ledger.verify import verify

QUIET_LIMIT_S = 30.0
LIFETIME_MS = 400
"""Of holds: who dies leaves them behind, and the next one waits until they end."""

LONGEST_REST_S = 0.01
DRAIN_S = 0.2
vars(settler)["SETTLE_AGAIN_S"] = 0.5  # a settlement told again in vain is told once more

Scenario = Callable[["Run"], Awaitable[None]]


class BriskClock(SystemClock):
    """The machine's clock; nobody rests long on it."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, LONGEST_REST_S))


CLOCK = BriskClock()


@dataclass(frozen=True, slots=True)
class Customer:
    """An account with a key, and `FUNDS` units to begin with."""

    account: int
    key: int
    secret: str


FUNDS = 1_000


@dataclass(frozen=True, slots=True)
class Stage:
    """Stores on which several lives are played, one after the other."""

    postgres_url: str
    redis_url: str
    namespace: str
    credit_type: int
    standin_url: str = ""
    standin_key: str = ""

    @property
    def options(self) -> LedgerOptions:
        return LedgerOptions(
            self.postgres_url, self.redis_url, namespace=self.namespace, postgres_connections=4
        )


@dataclass
class Run:
    """What a scenario is given. `dying`: the first life, whose points count from `begin` on."""

    stage: Stage
    customers: list[Customer]
    diary: str
    dying: bool
    begin_with: Callable[[], None] = lambda: None
    done: dict[str, Any] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    mine: set[str] = field(default_factory=set)
    safe: set[str] = field(default_factory=set)
    put_in: dict[int, int] = field(default_factory=dict)
    operations: int = 0
    began: float = 0.0
    checks: list[Callable[[Ledger], Awaitable[None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = os.open(self.diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with Path(self.diary).open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                match line:
                    case {"done": name, "value": value}:
                        self.done[name] = value
                    case {"served": hold, "units": units}:
                        self.served[hold] = units
                    case {"safe": holds}:
                        self.safe.update(holds)
        for customer in self.customers:
            self.put_in[customer.account] = FUNDS

    def begin(self) -> None:
        """From here on the process may die."""
        self.began = time.monotonic()
        if self.dying:
            self.begin_with()

    async def step(self, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """Do something once over all lives; a step cut off is done again."""
        if name in self.done:
            return self.done[name]
        self.operations += 1
        value = await do()
        self._write({"done": name, "value": value})
        self.done[name] = value
        return value

    def serve(self, hold_id: bytes, units: int) -> None:
        """Write down what was served, as its upstream would: before anybody is told."""
        self._write({"served": hold_id.hex(), "units": units})
        self.served[hold_id.hex()] = units
        self.mine.add(hold_id.hex())

    def all_safe(self) -> None:
        """Say that what this process served is in Postgres: from here on nothing may lose it."""
        self._write({"safe": list(self.mine)})
        self.safe.update(self.mine)

    @asynccontextmanager
    async def ledger(self, role: Role = "worker", **options: Any) -> AsyncIterator[Ledger]:
        """A ledger of this process's own."""
        ledger = await Ledger.open(self.stage.options, role, clock=CLOCK, **options)
        try:
            yield ledger
        finally:
            await ledger.aclose()

    def order(self, customer: Customer, ceiling: int, lifetime_ms: int = LIFETIME_MS) -> HoldOrder:
        return HoldOrder(
            account=customer.account,
            key=customer.key,
            credit_type=self.stage.credit_type,
            ceiling=ceiling,
            version=1,
            rule=0,
            lifetime_ms=lifetime_ms,
        )

    async def buy(self, ledger: Ledger, customer: Customer, ceiling: int, cost: int) -> None:
        """One charged request: hold, work, capture."""
        async with ledger.holds.hold(self.order(customer, ceiling)) as held:
            self.serve(held.id, cost)
            held.capture(cost, Reason.DELIVERED, status=200)

    async def settled(self, ledger: Ledger) -> None:
        """Have everything of this ledger in Postgres, and say so."""

        async def told() -> bool:
            await ledger.post_all()
            await ledger.settler.drain(DRAIN_S)
            return not (ledger.settler.unsettled or ledger.settler.unconfirmed)

        await until(lambda: tried(told))
        self.all_safe()

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    async def finish(self, probed_by: Customer) -> dict[str, Any]:
        """Bring everything to rest and look at all of it; returns the figures."""
        async with self.ledger() as ledger:
            await until(lambda: self._served_again(ledger, probed_by))
            probe_ms = round((time.monotonic() - self.began) * 1_000)
            await self._quiet(ledger)
            for check in self.checks:
                await check(ledger)
            lost, taken = await self._compare(ledger)
            async with ledger.database.connection() as connection:
                found = await verify(connection)
            found += await ledger.reconcile()
            assert found == [], found
        return {
            "operations": self.operations + 1,
            "lost": lost,
            "taken": taken,
            "probe_ms": probe_ms,
        }

    async def _served_again(self, ledger: Ledger, customer: Customer) -> bool:
        """The probe: a request is served."""
        return await tried(lambda: self.buy(ledger, customer, 1, 1))

    async def _quiet(self, ledger: Ledger) -> None:
        async with asyncio.timeout(QUIET_LIMIT_S):
            while True:
                await ledger.pusher.poll()
                await ledger.pusher.enter_due()
                await ledger.post_all()
                waiting = ledger.settler.unsettled or ledger.settler.unconfirmed
                if waiting:
                    await ledger.settler.drain(1)
                state = await ledger.state()
                assert state is not None
                if not waiting and (state.posted_q, state.open_holds) == (state.q, 0):
                    return
                await ledger.sweeper.expire_holds()
                await asyncio.sleep(0.01)

    async def _compare(self, ledger: Ledger) -> tuple[int, int]:
        """
        Hold what was collected against what was served, and every balance against both.

        Returns:
            Units served and never collected, all of them unsettled when the process died;
            units collected and never served: 0.

        """
        numbers = [customer.account for customer in self.customers]
        async with ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, account_id, captured + coalesce(written_off, 0) AS units FROM charges"
                " WHERE account_id = ANY($1) AND state IN (2, 5)",
                numbers,
            )
            pools = await connection.fetch(
                "SELECT account_id, sum(amount)::bigint AS units FROM ("
                "SELECT account_id, remaining + held AS amount FROM grants"
                " UNION ALL SELECT account_id, -debt FROM pools) AS parts"
                " WHERE account_id = ANY($1) GROUP BY 1",
                numbers,
            )
            written_off = dict(
                await connection.fetch(
                    "SELECT account_id, sum(written_off)::bigint FROM pools"
                    " WHERE account_id = ANY($1) GROUP BY 1",
                    numbers,
                )
            )
        collected = {row["id"].hex(): row["units"] for row in rows}
        for hold, units in collected.items():
            assert units == self.served.get(hold, 0), f"{hold}: {units} taken, served otherwise"
        missing = {hold for hold, units in self.served.items() if units} - collected.keys()
        # The probe's account is not of this run: all of its holds are in `served` alone.
        missing -= await self._of_others(ledger, missing, numbers)
        assert not missing & self.safe, "what was in Postgres is gone"
        taken: dict[int, int] = {}
        for row in rows:
            taken[row["account_id"]] = taken.get(row["account_id"], 0) + row["units"]
        for row in pools:
            account = row["account_id"]
            due = self.put_in[account] - taken.get(account, 0) + written_off.get(account, 0)
            assert row["units"] == due, f"account {account} has {row['units']}, not {due}"
        return sum(self.served[hold] for hold in missing), 0

    async def _of_others(self, ledger: Ledger, holds: set[str], accounts: list[int]) -> set[str]:
        async with ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id FROM charges WHERE id = ANY($1) AND account_id <> ALL($2)",
                [bytes.fromhex(hold) for hold in holds],
                accounts,
            )
        return {row["id"].hex() for row in rows}


async def tried(do: Callable[[], Awaitable[object]]) -> bool:
    """Whether it was done, and did not say no; a store that is not there just now is a no."""
    try:
        return await do() is not False
    except (LedgerError, *OUTAGE):
        return False


async def until(condition: Callable[[], Any]) -> None:
    """Return as soon as the condition holds; fail after half a minute."""
    async with asyncio.timeout(QUIET_LIMIT_S):
        while True:
            holds = condition()
            if await holds if asyncio.iscoroutine(holds) else holds:
                return
            await asyncio.sleep(0.005)
