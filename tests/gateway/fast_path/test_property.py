"""
Any sequence of requests, whoever serves them: what was served is what was paid, and nothing is held.

Requests on a few connections, with other prices, keys, header lines and backends in between, are
held against a model; clients that leave and requests at once against the books. FAREBOX_EXAMPLES
says how many sequences (default 30).
"""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import load_price_list
from ledger import api_keys
from tests.charging import Customer
from tests.gateway.fast_path.conftest import PRICES
from tests.gateway.fast_path.rig import Answer, Client, Play, Warm, client_of, get
from tests.upstreams import Connection, answer, cut, reset

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "30"))
CLIENTS = 3
MOST_TURNS = 8


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The workers' loop: nothing here depends on which it is."""
    return "asyncio", {"use_uvloop": True}


def after(*steps: Any) -> Play:
    async def play(connection: Connection) -> None:
        for step in steps:
            if isinstance(step, bytes):
                await connection.send(step)
                await asyncio.sleep(0.002)
            else:
                await step(connection)

    return play


WHOLE = answer(200, b"whole")
PLAYS: dict[str, tuple[Play, int]] = {
    "whole": (WHOLE, 200),
    "late": (after(b"", WHOLE), 200),
    "pieces": (after(WHOLE[:-2], WHOLE[-2:]), 200),
    "large": (answer(200, b"x" * 70_000), 200),
    "created": (answer(201, b"made", b"connection: close"), 201),
    "kept": (answer(200, b"kept", b"keep-alive: timeout=9"), 200),
    "missing": (answer(404, b"missing"), 404),
    "broken": (answer(500, b"broken"), 500),
    "cut": (after(cut()), 502),
    "reset": (after(reset()), 502),
    "no answer": (b"no HTTP\r\n\r\n", 502),
    "half": (after(answer(200, b"half")[:-1], cut()), 0),
}
LINES = [(), (), (), ("x-a: 1",), ("x-a: 2", "accept: */*")]
ASK = st.tuples(
    st.just("ask"),
    st.integers(0, CLIENTS - 1),
    st.integers(0, 1),
    st.sampled_from(["GET /ten", "GET /ten", "GET /ten", "GET /ok", "POST /ten", "GET /ok?a=b"]),
    st.sampled_from(LINES),
    st.sampled_from(["whole"] * 24 + list(PLAYS)),
)
OTHER = st.one_of(
    st.tuples(st.just("leave"), st.integers(0, 1), st.integers(0, MOST_TURNS), st.sampled_from(["whole", "late", "large"])),
    st.tuples(st.just("at once"), st.integers(0, 1), st.sampled_from(["whole", "late", "broken"])),
    st.tuples(st.just("price"), st.integers(1, 12)),
    st.tuples(st.just("revoke"), st.integers(0, 1)),
    st.tuples(st.just("grant"), st.integers(0, 1), st.integers(1, 40)),
    st.tuples(st.just("lose")),
)  # fmt: skip
STEPS = st.lists(st.one_of(ASK, ASK, ASK, ASK, ASK, OTHER), min_size=4, max_size=25)


@dataclass
class Payer:
    """An account with a key that may be revoked, and one that says what is left."""

    caller: Customer
    looker: Customer
    granted: int
    left: int
    revoked: bool = False
    told: dict[str, int] = field(default_factory=dict)


class Case:
    """One sequence, and what must be so after each of its steps."""

    def __init__(self, warm: Warm, payers: list[Payer], stack: AsyncExitStack) -> None:
        self.warm = warm
        self.payers = payers
        self.stack = stack
        self.clients: dict[int, Client] = {}
        self.price = 10

    async def warm_up(self) -> None:
        """Have both keys remembered, and see that the fast path serves them."""
        before = self.warm.passages.served
        for who in (0, 0, 1, 1):
            await self.ask(0, who, "GET /ok", (), "whole")
        assert self.warm.passages.served > before

    async def client(self, number: int) -> Client:
        if number not in self.clients:
            self.clients[number] = await self.stack.enter_async_context(
                client_of(self.warm.gateway)
            )
        return self.clients[number]

    async def ask(
        self, number: int, who: int, request: str, lines: tuple[str, ...], play: str
    ) -> None:
        payer = self.payers[who]
        method, target = request.split(" ")
        got = await self._exchange(number, get(payer.caller, target, *lines, method=method), play)
        price = self.price if target == "/ten" else 1
        if payer.revoked:
            assert got is not None
            assert got.status == 401
            return
        if payer.left < price:
            assert got is not None
            assert got.status == 402
            return
        status = PLAYS[play][1]
        if status == 0:
            return  # it has a part of an answer, and the connection has ended
        assert got is not None
        assert got.status == status
        cost = price if status in (200, 201) else 0
        if got.value("farebox-cost"):
            assert int(got.value("farebox-cost")) == cost
        payer.left -= cost
        payer.told[got.value("farebox-request-id")] = cost
        if status < 502:
            assert int(got.value("farebox-balance")) == payer.left

    async def _exchange(self, number: int, request: bytes, play: str) -> Answer | None:
        for path in ("/ok", "/ten"):
            self.warm.backend.plays[path] = PLAYS[play][0]
        client = await self.client(number)
        try:
            return await client.ask(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            del self.clients[number]
            return None

    async def at_once(self, who: int, play: str) -> None:
        payer = self.payers[who]
        request = get(payer.caller, "/ten")
        answers = await asyncio.gather(
            *(self._exchange(number, request, play) for number in range(CLIENTS))
        )
        for got in answers:
            assert got is not None
            cost = int(got.value("farebox-cost"))
            assert cost == (self.price if got.status == 200 else 0)
            payer.told[got.value("farebox-request-id")] = cost
        await self.look()

    async def leave(self, who: int, turns: int, play: str) -> None:
        for path in ("/ok", "/ten"):
            self.warm.backend.plays[path] = PLAYS[play][0]
        async with client_of(self.warm.gateway) as client:
            await client.raw.send(get(self.payers[who].caller, "/ten") * 2)
            for _ in range(turns):
                await asyncio.sleep(0)
        await self.look()

    async def look(self) -> None:
        """Where it is not known what was served, the ledger says what is left."""
        await self.warm.gateway.quiet()
        await self.warm.gateway.settled()
        for payer in self.payers:
            left = await self.warm.gateway.available(payer.looker)
            assert 0 <= left <= payer.left
            payer.left = left

    def reprice(self, amount: int) -> None:
        self.price = amount
        live = self.warm.gateway.app.prices
        text = PRICES.replace("{api}", self.warm.backend.url).replace(
            "path: /ten, upstream: api, price: 10", f"path: /ten, upstream: api, price: {amount}"
        )
        live.swap(load_price_list(text, environ={}), live.version, live.now.type_numbers)

    async def grant(self, who: int, amount: int) -> None:
        payer = self.payers[who]
        await self.warm.gateway.give(payer.caller, amount)
        payer.granted += amount
        payer.left += amount

    async def revoke(self, who: int) -> None:
        payer = self.payers[who]
        if not payer.revoked:
            await self.warm.gateway.revoke(payer.caller)
        payer.revoked = True

    def lose(self) -> None:
        """The kept connections to the backend are closed."""
        for pool in self.warm.gateway.app._upstreams._pools.values():
            pool.close(idle_only=True)

    async def play(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("ask", number, who, request, lines, play):
                await self.ask(number, who, request, lines, play)
            case ("leave", who, turns, play):
                await self.leave(who, turns, play)
            case ("at once", who, play):
                await self.at_once(who, play)
            case ("price", amount):
                self.reprice(amount)
            case ("revoke", who):
                await self.revoke(who)
            case ("grant", who, amount):
                await self.grant(who, amount)
            case _:
                self.lose()

    async def books(self) -> None:
        """Balances are conserved; every answer's cost is its charge's; nobody paid for nothing."""
        gateway = self.warm.gateway
        await gateway.quiet()
        await gateway.settled()
        served = {
            head.partition(b"farebox-request-id: ")[2][:24].decode()
            for head in self.warm.backend.heads
        }
        for payer in self.payers:
            async with gateway.ledger.database.connection() as connection:
                rows = await connection.fetch(
                    "SELECT id, captured, closed_at FROM charges WHERE account_id = $1",
                    payer.caller.account,
                )
            assert all(row["closed_at"] for row in rows)
            captured = {bytes(row["id"]).hex(): row["captured"] or 0 for row in rows}
            assert {one: cost for one, cost in payer.told.items() if cost} == {
                one: captured[one] for one, cost in payer.told.items() if cost
            }
            assert {one for one, amount in captured.items() if amount} <= served
            left = await gateway.available(payer.looker)
            assert left == payer.left == payer.granted - sum(captured.values())
        assert not self.warm.fast.under_way
        assert not gateway.ledger.holds._open
        assert (gateway.app.open_requests, self.warm.busy, self.warm.passages.dropped) == (0, 0, 0)


async def payer(warm: Warm, amount: int) -> Payer:
    gateway = warm.gateway
    looker = await gateway.customer(credits=amount)
    async with gateway.ledger.database.connection() as connection:
        made = await api_keys.create(
            connection, looker.account, actor="test", random_bytes=secrets.token_bytes
        )
    assert await gateway.ledger.pusher.push(looker.account) == "applied"
    caller = Customer(looker.account, made.key.id, made.secret)
    return Payer(caller, looker, amount, amount)


@contextmanager
def usual_prices(case: Case) -> Iterator[None]:
    try:
        yield
    finally:
        case.reprice(10)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS, st.integers(0, 80), st.integers(20, 200))
async def test_what_is_served_is_paid_and_nothing_else(
    shared: Warm, steps: list[tuple[Any, ...]], poor: int, rich: int
) -> None:
    shared.backend.heads.clear()
    shared.backend.plays.clear()
    shared.passages.dropped = 0
    payers = [await payer(shared, amount) for amount in (poor + 2, rich)]
    async with AsyncExitStack() as stack:
        case = Case(shared, payers, stack)
        with usual_prices(case):
            await case.warm_up()
            for step in steps:
                await case.play(step)
            await case.books()
