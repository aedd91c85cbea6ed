"""
Any interleaving of repeats, deaths, losses of Redis and failures of the upstream: one charge at most.

And on a route that keeps its answers, who has the last byte of one is never told another. What
happens is drawn by Hypothesis; FAREBOX_EXAMPLES says how often on either route
(default 6).
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.outage import OUTAGE
from ledger.reasons import word_of
from ledger.verify import verify
from tests.charging import Customer, fresh_stores
from tests.flows.idempotency_rig import Fleet, fleet, whole_answer
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "6"))
PRICE, CREDITS = 3, 100
QUIET_LIMIT_S = 60
MOST_TRIES = 20
KEY = '"one-for-each-account"'

PLAYS = ("ok", "ok", "ok", "hang", "hang", "pieces", "large", "fail", "reset", "half")
STEPS = (
    [("ask", gateway, play) for gateway in (0, 1) for play in PLAYS]
    + [("leave", which, "") for which in range(3)]
    + [("kill", gateway, "") for gateway in (0, 1)]
    + [(what, 0, "") for what in ("open the gate", "post", "post", "expire", "expire", "expire")]
    + [(what, 0, "") for what in ("lose redis", "lose redis", "calm", "calm", "calm")]
)


def steps_of(seed: int) -> list[tuple[tuple[str, int, str], int]]:
    """What happens, and for how long nothing happens then; drawn one by one they hardly meet."""
    chance = Random(seed)
    return [(chance.choice(STEPS), chance.randrange(4)) for _ in range(chance.randint(4, 16))]


@dataclass
class Case:
    """One customer, one key, one request, sent again and again."""

    fleet: Fleet
    customer: Customer
    path: str
    asked: list["asyncio.Task[None]"] = field(default_factory=list)
    whole: list[bytes] = field(default_factory=list)
    """Answers of which a client had the last byte."""
    statuses: Counter[int] = field(default_factory=Counter)

    async def step(self, what: str, number: int, play: str) -> None:
        match what:
            case "ask":
                self.asked.append(asyncio.create_task(self.ask(number, play)))
            case "leave" if self.asked:
                self.asked[number % len(self.asked)].cancel()
            case "kill":
                await self.fleet.kill(number)
            case "open the gate":
                self.fleet.backend.gate.set()
                await asyncio.sleep(0.005)
                self.fleet.backend.gate.clear()
            case "lose redis":
                await self.fleet.lose_redis()
            case "post":
                await self._if_it_can(self.fleet.keeper.post_all())
            case "expire":
                await self._if_it_can(self.fleet.expire())
            case "calm":
                await asyncio.wait(self.asked, timeout=0.1) if self.asked else None

    async def ask(self, number: int, play: str) -> None:
        request = (
            f"POST {self.path} HTTP/1.1\r\nhost: a\r\nx-api-key: {self.customer.secret}\r\n"
            f"idempotency-key: {KEY}\r\nx-play: {play}\r\ncontent-length: 1\r\n\r\nx"
        )
        for _ in range(MOST_TRIES):  # while an epoch begins, and as clients are told to
            answer = await whole_answer(self.fleet.gateways[number].url, request.encode())
            if answer is None:
                return
            status, body = answer
            self.statuses[status] += 1
            if status == 200:
                self.whole.append(body)
            if status != 503:
                return
            await asyncio.sleep(0.02)

    async def quiet(self) -> None:
        """Let everything end, and every hold with it."""
        self.fleet.backend.gate.set()
        await asyncio.gather(*self.asked, return_exceptions=True)
        self.fleet.backend.gate.clear()
        ledgers = [gateway.ledger for gateway in self.fleet.gateways]
        async with asyncio.timeout(QUIET_LIMIT_S):
            while True:
                await self._if_it_can(self.fleet.keeper.shard.ready(5))
                await self._if_it_can(self.fleet.keeper.sweeper.expire_holds())
                await self._if_it_can(self.fleet.keeper.post_all())
                for ledger in ledgers:
                    await ledger.settler.drain(0.2)
                state = None
                if not any(one.settler.unsettled or one.settler.unconfirmed for one in ledgers):
                    state = await self._if_it_can(self.fleet.keeper.state())
                if state is not None and (state.posted_q, state.open_holds) == (state.q, 0):
                    return

    async def _if_it_can(self, work: Any) -> Any:
        try:
            return await work
        except OUTAGE:  # an epoch is about to begin
            await asyncio.sleep(0.02)
            return None

    async def charges(self) -> list[int]:
        """What each charge took, of those that took something."""
        async with self.fleet.keeper.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT captured FROM charges WHERE account_id = $1 AND captured > 0",
                self.customer.account,
            )
        return [row["captured"] for row in rows]

    async def check(self) -> None:
        assert await self.charges() in ([], [PRICE])
        if self.path == "/replay":
            assert len(set(self.whole)) <= 1, self.whole
        # Whatever it is that one more repeat gets, the one after that gets the same.
        for number in (0, 1):
            await self.ask(number, "ok")
        await self.quiet()
        assert await self.charges() in ([], [PRICE])
        if self.path == "/replay":
            assert len(set(self.whole)) <= 1, self.whole


@dataclass
class Seen:
    """The fleet that all cases run on, one after the other, and what they met."""

    fleet: Fleet
    cases: int = 0
    asked: int = 0
    charged: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    async def play(self, path: str, seed: int) -> None:
        drawn = steps_of(seed)
        case = Case(self.fleet, await self.fleet.customer(CREDITS), path)
        for step, pause in drawn:
            await case.step(*step)
            for _ in range(5**pause):
                await asyncio.sleep(0)
        await case.quiet()
        await case.check()
        self.cases += 1
        self.asked += len(case.asked) + 2
        self.charged += len(await case.charges())
        self.statuses.update({f"{path} {status}": n for status, n in case.statuses.items()})


@pytest.fixture(scope="module")
async def seen(postgres_server: str, template_database: str, redis_url: str) -> AsyncIterator[Seen]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        fleet(stores) as going,
    ):
        yield Seen(going)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**32 - 1))
@pytest.mark.slow
@pytest.mark.parametrize("path", ["/once", "/replay"])
async def test_one_key_is_charged_once_at_most_and_answered_alike(
    seen: Seen, path: str, seed: int
) -> None:
    try:
        await seen.play(path, seed)
    except BaseException as error:
        error.add_note(f"seed {seed}: {steps_of(seed)}")
        raise


@pytest.mark.slow
async def test_after_all_of_it_the_books_agree(seen: Seen) -> None:
    keeper = seen.fleet.keeper
    async with keeper.database.connection() as connection:
        assert await verify(connection) == []
        assert await connection.fetch("SELECT why FROM dead_facts") == []
        rows = await connection.fetch(
            "SELECT reason, captured = 0 AND state = 5 AS written_off, count(*) AS times"
            " FROM charges GROUP BY 1, 2 ORDER BY 1, 2"
        )
    assert await keeper.reconcile() == []
    endings = {
        word_of(row["reason"]) + (", written off" if row["written_off"] else ""): row["times"]
        for row in rows
    }
    kills, losses = seen.fleet.kills, seen.fleet.losses
    print(
        f"{seen.cases} cases, {seen.asked} requests, {seen.charged} charged, {kills} kills,"
        f" {losses} losses of Redis, {dict(sorted(seen.statuses.items()))}, {endings}"
    )
    tell(
        Proof(
            "T6",
            "repeats under one Idempotency-Key: charged once at most, and answered alike",
            seeds=seen.cases,
            faults=kills + losses,
            operations=seen.asked,
        )
    )
