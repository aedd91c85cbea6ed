"""Observe mode: what is noted of a request, what is reported, and that nothing is refused."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.identify import Identification
from gateway.operations import observed
from gateway.operations.observed import ObservedAnswer, ObservedQuery
from gateway.stores import EmbeddedRedis
from ledger import accounts, api_keys, charges
from ledger.books import ChargeState
from ledger.errors import LedgerUnavailable
from ledger.ports import SystemClock
from tests.charging import Charging, Customer, Stores, charging, fresh_stores
from tests.control import Control, control
from tests.gateway.serving import until
from tests.gateway.turns import request_of

pytestmark = pytest.mark.anyio

ROUTES = """
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 2, name: ok }
  - { path: /fail, methods: [GET], upstream: api, price: 5, name: fail }
  - { path: /free, methods: [GET], upstream: api, price: 0, name: free }
  - { path: /open, methods: [GET], upstream: api, price: 0, public: true, name: open }
  - path: /search
    methods: [POST]
    upstream: api
    name: search
    max_body: 60
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }
  - path: /chat
    methods: [POST]
    upstream: api
    name: chat
    price: { hold: 9, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 4 }
"""
CHARGED = f"""
version: 1
upstreams: {{ api: {{ url: "{{api}}" }} }}
limits: {{ per_key: {{ requests: 5, per: day }} }}
{ROUTES}"""
WATCHED = CHARGED.replace("version: 1\n", "version: 1\nobserve: true\n")
UNPRICED = '  - { path: "/new/*", upstream: api, price: unpriced, observe: true, name: new }\n'

NOBODY = {"authorization": f"Bearer fbx_{'0' * 49}"}


@pytest.fixture
async def ctl(shared_stores: Stores) -> AsyncIterator[Control]:
    async with control(shared_stores, WATCHED + UNPRICED) as running:
        yield running


async def reported(gateway: Charging, **query: Any) -> ObservedAnswer:
    now = datetime.now(UTC) + timedelta(seconds=1)
    return await observed.report(gateway.ledger.database, ObservedQuery(**query), now=now)


def counted(rows: Any) -> dict[str, int]:
    return {row["reason"]: row["requests"] for row in rows}


async def test_each_would_be_refusal_is_noted_and_reported(ctl: Control) -> None:
    gateway = ctl.gateway
    rich, poor = await gateway.customer(credits=100), await gateway.customer(credits=3)
    other = await gateway.customer(credits=100)
    begun = datetime.now(UTC)
    answers = [
        await gateway.get("/ok"),
        await gateway.get("/ok", headers=NOBODY),
        await gateway.get("/ok", rich, headers={"x-api-key": other.secret}),
        await gateway.get("/ok?_method=DELETE", rich),
        await gateway.ask("POST", "/search", rich, json={"limit": "x"}),
        await gateway.ask("POST", "/search", rich, json={"limit": 1, "more": "m" * 100}),
        await gateway.get("/new/thing", rich),
        await gateway.get("/new/thing"),
        await gateway.get("/open"),
        *[await gateway.get("/ok", poor) for _ in range(3)],
    ]
    await gateway.revoke(other)
    answers.append(await gateway.get("/ok", other))
    where = f"/accounts/acc_{rich.account}"
    assert (await ctl.admin.post(f"{where}/freeze", json={"reason": "x"})).json()["applied"]
    answers.append(await gateway.get("/ok", rich))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["farebox-cost"] for answer in answers} == {"0"}
    for answer in answers:
        assert (await gateway.charge(answer)).state is ChargeState.OBSERVED
    shown = (await ctl.admin.get("/observed", params={"from": begun.isoformat()})).json()

    assert shown["requests"] == 14
    [total] = shown["types"]
    assert counted(total["refused"]) == {
        "key-missing": 2,
        "key-invalid": 1,
        "two-keys": 1,
        "method-override": 1,
        "price-value-invalid": 1,
        "body-too-large": 1,
        "insufficient-credits": 2,
        "key-revoked": 1,
        "account-frozen": 1,
    }
    assert counted(total["unpriced"]) == {
        "no-price": 2,
        "price-value-invalid": 1,
        "body-too-large": 1,
    }
    assert (total["charged"], total["charge"]) == (1, 2)
    assert total["cost"] == 2 * 9  # all that have a price and are served: whoever called
    by_route = {row["route"]: row for row in shown["routes"]}
    assert counted(by_route["new"]["unpriced"]) == {"no-price": 2}
    assert by_route["open"]["refused"] == []
    [dry] = shown["dry"]
    assert (dry["account"], dry["start"], dry["left"]) == (f"acc_{poor.account}", 3, 1)
    assert (dry["short"], dry["available"]) == (4, 3)
    assert dry["dry_at"] > shown["since"]
    nobody = [row for row in shown["accounts"] if row["account"] is None]
    assert [row["requests"] for row in nobody] == [5]
    assert await gateway.available(poor) == 3


async def test_a_watched_charge_says_what_it_met(ctl: Control) -> None:
    answer = await ctl.gateway.get("/new/thing")
    charge = await ctl.gateway.charge(answer)
    shown = (await ctl.admin.get(f"/charges/{charge.text_id}")).json()
    text = shown["explanation"]["text"]
    assert "It would have been refused: key-missing." in text
    assert "It has no price: no-price." in text
    assert "would have cost" not in text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-02-02T00:00:00Z"}, "from"),
        ({"limit": "0"}, "limit"),
        ({"since": "1h"}, "since"),
    ],
)
async def test_a_bad_time_is_refused_by_field(
    ctl: Control, query: dict[str, str], field: str
) -> None:
    answer = await ctl.admin.get("/observed", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_what_was_not_in_the_time_is_not_in_the_report(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    first = await ctl.gateway.get("/ok", customer)
    between = datetime.now(UTC)
    second = await ctl.gateway.get("/ok", customer)
    for answer in (first, second):
        await ctl.gateway.charge(answer)
    await ctl.gateway.give(customer, 5)
    await ctl.posted()

    shown = await reported(ctl.gateway, **{"from": between})

    assert shown.requests == 1
    [row] = shown.accounts
    assert (row.start, row.left, row.available) == (10, 13, 15)


# Whether it tells the truth


class Player:
    """Plays the same story on a gateway: the same customers, calls and interventions."""

    def __init__(self, gateway: Charging, seed: int) -> None:
        self.gateway = gateway
        self.random = random.Random(seed)
        self.people: list[Customer] = []
        self.frozen: set[int] = set()
        self.answers: list[tuple[str, str, httpx.Response]] = []

    async def play(self, steps: int) -> None:
        for _ in range(4):
            self.people.append(await self.gateway.customer(credits=self.random.choice([3, 15, 60])))
        for _ in range(steps):
            await self.step()

    async def step(self) -> None:
        who = self.random.randrange(len(self.people))
        match self.random.random():
            case luck if luck < 0.05:
                await self.gateway.give(self.people[who], self.random.randint(1, 10))
            case luck if luck < 0.10:
                await self.freeze(who)
            case luck if luck < 0.12:
                await self.gateway.revoke(self.people[who])
            case _:
                await self.call(who)

    async def freeze(self, who: int) -> None:
        self.frozen ^= {who}
        person = self.people[who].account
        async with self.gateway.ledger.database.connection() as connection:
            await accounts.freeze(
                connection, person, frozen=who in self.frozen, actor="test", reason="why not"
            )
        assert await self.gateway.ledger.pusher.push(person) == "applied"

    async def call(self, who: int) -> None:
        name, method, path, more = self.random.choice(
            [
                ("ok", "GET", "/ok", {}),
                ("ok", "GET", "/ok", {}),
                ("fail", "GET", "/fail", {}),
                ("free", "GET", "/free", {}),
                ("open", "GET", "/open", {}),
                ("search", "POST", "/search", {"json": {"limit": self.random.randint(1, 900)}}),
                ("search", "POST", "/search", {"json": {"limit": "many"}}),
                ("chat", "POST", "/chat", {"json": {"usage": {"total_tokens": 5}}}),
            ]
        )
        person: Customer | None = self.people[who]
        headers: dict[str, str] = {}
        luck = self.random.random()
        if luck < 0.05:
            person = None
        elif luck < 0.1:
            person, headers = None, NOBODY
        answer = await self.gateway.ask(method, path, person, headers=headers, **more)
        told = f"acc {who}" if person else "nobody"
        self.answers.append((name, told, answer))
        await self.gateway.settled()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_report_says_what_charging_does(
    postgres_server: str, template_database: str, redis_url: str, seed: int
) -> None:
    """The same story on a gateway that watches and on one that charges: the same figures."""
    async with AsyncExitStack() as stack:
        watching, billing = [
            await stack.enter_async_context(
                charging(
                    await stack.enter_async_context(
                        fresh_stores(postgres_server, template_database, redis_url)
                    ),
                    prices,
                )
            )
            for prices in (WATCHED, CHARGED)
        ]
        watched, charged = Player(watching, seed), Player(billing, seed)
        await asyncio.gather(watched.play(90), charged.play(90))

        assert [told[:2] for told in watched.answers] == [told[:2] for told in charged.answers]
        assert not any(problem_of(answer) for _, _, answer in watched.answers)
        for _, _, answer in watched.answers:
            await watching.charge(answer)
        shown = await reported(watching)

        expected: dict[str, Counter[str]] = {}
        taken: Counter[str] = Counter()
        for name, _, answer in charged.answers:
            expected.setdefault(name, Counter())
            if problem := problem_of(answer):
                expected[name][problem] += 1
            elif name not in {"free", "open"}:
                taken[name] += (await billing.charge(answer)).captured
        told = {row.route: counted_rows(row.refused) for row in shown.routes}
        assert told == {name: dict(counts) for name, counts in expected.items()}
        assert {row.route: row.charge for row in shown.routes if row.charge} == +taken
        assert [row_of(shown, one).left for one in watched.people] == [
            await posted(billing, one) for one in charged.people
        ]


async def posted(gateway: Charging, customer: Customer) -> int:
    """What Postgres shows the customer to have."""
    await gateway.settled()
    async with gateway.ledger.database.connection() as connection:
        [balance] = await accounts.balances(connection, customer.account)
    return balance.available


def problem_of(answer: httpx.Response) -> str:
    if answer.headers["content-type"] != "application/problem+json":
        return ""
    name: str = answer.json()["type"].rpartition("/")[2]
    return name


def counted_rows(rows: list[observed.Reason]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        # A caller is told no more of a revoked key than of an unknown one; an operator is.
        counts["key-invalid" if row.reason == "key-revoked" else row.reason] += row.requests
    return dict(counts)


def row_of(shown: ObservedAnswer, customer: Customer) -> observed.WouldAccount:
    return next(row for row in shown.accounts if row.account == f"acc_{customer.account}")


# Nothing is refused because of money


class Silent:
    """Knows no key, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def remembered(self, secret: bytes) -> None:
        return None

    async def find(self, secret: bytes) -> None:
        self.asked += 1
        await asyncio.shield(self.answer)
        raise LedgerUnavailable("Postgres is away")


async def test_a_watched_request_does_not_wait_for_postgres(ctl: Control) -> None:
    keys = Silent()
    who = Identification(keys, clock=SystemClock(), watched_limit_s=0.01)
    prices = ctl.gateway.app.prices.current
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "raw_path": b"/ok",
        "query_string": b"",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", b"Bearer fbx_" + b"a" * 49)],
    }

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    async with asyncio.timeout(60):
        for _ in range(100):
            seen = await who.caller_if_known(request_of(scope, receive), prices)
            assert seen == (None, "ledger-unavailable")
    assert keys.asked == 64  # further ones go on unknown, without another question
    keys.answer.set_result(None)
    await until(lambda: not [one for one in asyncio.all_tasks() if "_seen" in repr(one)])
    assert await who.caller_if_known(request_of(scope, receive), prices) == (
        None,
        "ledger-unavailable",
    )
    assert keys.asked == 65


async def test_without_redis_what_is_watched_is_served(
    database_url: str, namespace: str, folder: Path
) -> None:
    redis = EmbeddedRedis(folder)
    redis.start()
    try:
        async with charging(Stores(database_url, redis.url, namespace), WATCHED) as gateway:
            customer = await gateway.customer(credits=1)
            assert (await gateway.get("/ok", customer)).status_code == 200
            redis.stop()
            answers = [await gateway.get("/ok", one) for one in (customer, None)]
            answers.append(await gateway.ask("POST", "/chat", customer, json={"limit": 1}))
            assert [answer.status_code for answer in answers] == [200] * 3
            assert {answer.headers["farebox-cost"] for answer in answers} == {"0"}
    finally:
        redis.stop()


async def test_a_key_made_for_later_is_known_when_it_calls(ctl: Control) -> None:
    """An expired key is told apart from a good one by the time of the request."""
    customer = await ctl.gateway.customer(credits=10)
    async with ctl.gateway.ledger.database.connection() as connection:
        made = await api_keys.create(
            connection,
            customer.account,
            actor="test",
            random_bytes=secrets.token_bytes,
            scopes=api_keys.MANAGE,
        )
        assert await charges.find(connection, account_id=customer.account) == []
    answer = await ctl.gateway.get("/ok", headers={"x-api-key": made.secret})
    assert answer.status_code == 200
    await ctl.gateway.charge(answer)
    shown = await reported(ctl.gateway)
    row = row_of(shown, customer)
    assert [(one.reason, one.requests) for one in row.refused] == [("scope-missing", 1)]
