"""
One run: faults by a seed, under load, each followed by a probe, and every few by a rest.

The story is printed as it happens, so that a failure tells what led to it. Times are real: the
same seed plans the same faults, at the same place in the order, but not to the millisecond.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from ledger import accounts, api_keys, grants
from ledger.controls import Grant
from ledger.database import Database
from tests.chaos.backend import Backend, backend
from tests.chaos.clients import Account, Answer, Broken, Call, Crowd
from tests.chaos.faults import FAULTS, Planned, Scene, schedule, stands_in_the_way
from tests.chaos.fleet import WINDOW, Fleet, fleet
from tests.chaos.judge import Judge
from tests.proof import Proof, tell

PROBE_PATIENCE_S = 5.0
PROBE_AGAIN_S = 0.05
READY_LIMIT_S = 120.0
GOAL_LIMIT_S = 3_600.0

RICH, SCARCE = 8, 4
PLENTY = 90_000_000
LITTLE = 40
TOPPED_UP = 60
"""Granted to each scarce account after each fault, while clients ask it for more."""

BETWEEN_S = 0.3
TWO = "two of these at once"


@dataclass(frozen=True)
class Size:
    """
    How much of it.

    probe_limit_s: From the end of a fault, all processes being started again, until each gateway
        serves.
    quiet_limit_s: Until all have come to rest when nobody asks any more.
    """

    seed: int
    faults: int
    requests: int  # served at least
    gateways: int = 2
    clients: int = 20
    think_s: float = 0.08
    longest_s: float = 12.0
    rest_each: int = 20  # faults
    probe_limit_s: float = 30.0
    quiet_limit_s: float = 60.0


@dataclass
class Row:
    """What became of the faults of one kind."""

    faults: int = 0
    requests: int = 0
    slowest_probe_s: float = 0.0
    lost: int = 0
    lost_requests: int = 0
    kills: bool = False


@dataclass
class Told:
    """What a run showed."""

    rows: dict[str, Row] = field(default_factory=lambda: defaultdict(Row))
    requests: int = 0
    rests: int = 0
    written_off: int = 0


@dataclass(eq=False)
class Run:
    """All that takes part."""

    size: Size
    fleet: Fleet
    oracle: Backend
    crowd: Crowd
    judge: Judge
    database: Database
    prober: Account
    began: float
    told: Told = field(default_factory=Told)

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:8.1f} s  {what}", flush=True)

    async def play(self, plans: list[list[Planned]]) -> None:
        """Cause all of it."""
        done = rested = 0
        for group in plans:
            await asyncio.sleep(BETWEEN_S)
            await self._cause(group)
            await self._top_up()
            self._look_at_crowd()
            done += len(group)
            if done - rested >= self.size.rest_each:
                rested = done
                await self._rest()
        async with asyncio.timeout(GOAL_LIMIT_S):
            while self.oracle.total < self.size.requests:
                await asyncio.sleep(0.1)
                self._look_at_crowd()
        await self._rest(last=True)

    async def _cause(self, group: list[Planned]) -> None:
        """Let one fault happen, or several at once; then everything must work again, soon."""
        self.say("; ".join(map(str, group)))
        served, kills = self.oracle.total, len(self.judge.kills)
        # What a gateway needs to start ends before gateways are started.
        group = sorted(group, key=stands_in_the_way, reverse=True)
        happening = []
        for plan in group:
            fault = FAULTS[plan.kind](Scene(self.fleet, self.judge, plan))
            await fault.__aenter__()
            happening.append(fault)
        await asyncio.sleep(max(plan.seconds for plan in group))
        healing = time.monotonic()
        for fault in happening:
            await fault.__aexit__(None, None, None)
        healed = time.monotonic()
        probes = await asyncio.gather(*(self._probe(name, healed) for name in self.crowd.gateways))
        for kill in self.judge.kills[kills:]:
            kill.kind = group[0].kind if len(group) == 1 else TWO
            kill.with_tail = any(plan.bytes_lost for plan in group)
        row = self.told.rows[group[0].kind if len(group) == 1 else TWO]
        row.faults += len(group)
        row.requests += self.oracle.total - served
        row.slowest_probe_s = max(row.slowest_probe_s, *probes)
        self.say(
            f"    healed in {healed - healing:.1f} s, served again {max(probes):.2f} s later;"
            f" {self.oracle.total - served} requests meanwhile"
        )

    async def _probe(self, gateway: str, healed: float) -> float:
        """How long it took until this gateway served again."""
        said: object = "nothing"
        while True:
            try:
                async with asyncio.timeout(PROBE_PATIENCE_S):
                    call = await Call.to(self.fleet.gateway(gateway).url)
                    try:
                        said = await call.get("/paid", self.prober.key, gateway)
                    finally:
                        call.leave()
            except (Broken, TimeoutError) as broken:
                said = f"{type(broken).__name__} {broken}"
            passed_s = time.monotonic() - healed
            assert passed_s < self.size.probe_limit_s, f"{gateway} does not serve: {said}"
            if isinstance(said, Answer) and said.status == 200:
                return passed_s
            await asyncio.sleep(PROBE_AGAIN_S)

    async def _rest(self, *, last: bool = False) -> None:
        began = time.monotonic()
        await self.crowd.idle(READY_LIMIT_S)
        await self.judge.rest(last=last)
        self._look_at_crowd()
        self.say(
            f"at rest after {time.monotonic() - began:.1f} s, and all agree: {self.oracle.total} "
            f"served, {sum(kill.lost_requests for kill in self.judge.kills)} lost by kills; "
            f"{dict(self.crowd.said)}, {self.crowd.broken} broken, {self.crowd.left} left"
        )
        if not last:
            self.crowd.gate.set()

    async def _top_up(self) -> None:
        """A little more for those who have little."""
        for account in self.judge.accounts:
            if account.scarce:
                await give(self.database, self.judge, account.number, TOPPED_UP)

    def _look_at_crowd(self) -> None:
        assert not self.crowd.wrong, self.crowd.wrong


async def give(database: Database, judge: Judge, account: int, units: int) -> None:
    """Grant credits, and write it down beside the ledger."""
    async with database.connection() as connection:
        credit_type = await connection.fetchval("SELECT id FROM credit_types")
        await grants.give(
            connection, account, Grant(credit_type, units), actor="test", reference=None
        )
    judge.granted[account] += units


async def make_account(database: Database, *, scarce: bool) -> Account:
    async with database.connection() as connection:
        made = await accounts.create(connection, actor="test")
        key = await api_keys.create(
            connection, made.id, actor="test", random_bytes=secrets.token_bytes
        )
    return Account(made.id, key.secret, scarce)


async def until_known(url: str) -> None:
    """Wait until Redis has all that was granted."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(READY_LIMIT_S):
            while await connection.fetchval(  # noqa: ASYNC110
                "SELECT count(*) FROM accounts WHERE cseq_applied < cseq_head"
            ):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


@asynccontextmanager
async def stage(folder: Path, size: Size) -> AsyncIterator[Run]:
    """Start everything, with accounts that have credit."""
    began = time.monotonic()
    async with backend() as oracle, fleet(folder, oracle.url, size.gateways) as all_of_it:
        database = await Database.connect(all_of_it.postgres.url(), most=2, least=0)
        try:
            payers = [
                await make_account(database, scarce=number >= RICH)
                for number in range(RICH + SCARCE)
            ]
            prober = await make_account(database, scarce=False)
            judge = Judge(all_of_it, oracle, [*payers, prober], size.quiet_limit_s)
            for account in judge.accounts:
                await give(database, judge, account.number, LITTLE if account.scarce else PLENTY)
            await until_known(all_of_it.postgres.url())
            crowd = Crowd(
                lambda name: all_of_it.gateway(name).url,
                [one.name for one in all_of_it.gateways],
                payers,
                size.seed,
                size.think_s,
            )
            yield Run(size, all_of_it, oracle, crowd, judge, database, prober, began)
        finally:
            await database.close()


def planned(size: Size, gateways: list[str], only: Collection[str] = ()) -> list[list[Planned]]:
    """The schedule of a size; of these kinds only, if any are named."""
    groups = schedule(size.seed, size.faults, gateways, size.longest_s)
    kept = [[one for one in group if not only or one.kind in only] for group in groups]
    return [group for group in kept if group]


async def play(at: Run, plans: list[list[Planned]]) -> Told:
    """Cause all of this under load; return what it showed, raise where anything was wrong."""
    at.say(
        f"seed {at.size.seed}: {sum(map(len, plans))} faults, {at.size.requests} requests at least"
    )
    clients = [asyncio.create_task(at.crowd.client(n)) for n in range(at.size.clients)]
    watching = asyncio.create_task(at.judge.watch())
    playing = asyncio.create_task(at.play(plans))
    at.crowd.gate.set()
    tasks = [playing, watching, *clients]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        assert playing.done(), "a client or the watch ended by itself"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return _summed(at)


def _summed(at: Run) -> Told:
    told = at.told
    for kill in at.judge.kills:
        row = told.rows[kill.kind]
        row.kills = True
        row.lost = max(row.lost, kill.lost)
        row.lost_requests = max(row.lost_requests, kill.lost_requests)
    told.requests = at.oracle.total
    told.rests, told.written_off = at.judge.rests, at.judge.written_off
    return told


def tell_all(told: Told, seed: int) -> None:
    """One row for each kind of fault, and one for the whole."""
    for kind, row in sorted(told.rows.items()):
        allowed = ""
        if row.kills:
            tail = (
                "window" if "at once, its file cut" in kind else "what the killed had unconfirmed"
            )
            allowed = f"{tail} {WINDOW}" if tail == "window" else tail
        tell(
            Proof(
                layer="T4",
                what=kind[0].upper() + kind[1:],
                faults=row.faults,
                operations=row.requests,
                lost_by_house=row.lost,
                allowed=allowed,
                slowest_probe_ms=round(row.slowest_probe_s * 1000),
            )
        )
    meanwhile = told.requests - sum(row.requests for row in told.rows.values())
    tell(
        Proof(
            layer="T4",
            what=f"Processes, seed {seed}: between the faults; {told.rests} times at rest, and all agreed",
            seeds=1,
            operations=meanwhile,
            lost_by_house=told.written_off,
            allowed="written off for accounts that had run empty, in all",
        )
    )
