"""Strict routes: the upstream hears of a request only when Postgres has its hold."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger import accounts, charges, posted_holds
from ledger.books import ChargeState
from ledger.fence import Fence
from ledger.ids import hold_text
from ledger.poster import Poster
from tests.charging import Charging, Customer, Stores, charging
from tests.gateway.serving import raw_client, until
from tests.gateway.test_proxy import problem

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 5, strict: true }
  - { path: /echo, methods: [GET], upstream: api, price: 5 }
  - path: /gated
    methods: [GET]
    upstream: api
    strict: true
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
"""


class Posting:
    """Whether facts come to Postgres: posting looks, and takes nothing, while it is stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopped = False
        post = Poster._post

        async def played(poster: Poster, *args: object) -> int:
            return 0 if self.stopped else await post(poster, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Poster, "_post", played)


@pytest.fixture
def posting(monkeypatch: pytest.MonkeyPatch) -> Posting:
    return Posting(monkeypatch)


@pytest.fixture
async def gateway(
    posting: Posting, database_url: str, redis_url: str, namespace: str
) -> AsyncIterator[Charging]:
    async with charging(Stores(database_url, redis_url, namespace), PRICES) as gateway:
        yield gateway


@pytest.fixture
async def customer(gateway: Charging) -> Customer:
    customer = await gateway.customer(credits=100)
    assert (await gateway.get("/echo", customer)).status_code == 200  # loaded, and 95 left
    await gateway.settled()
    gateway.forget()
    return customer


async def waiting(gateway: Charging) -> str:
    """Return the id of the one request that waits for Postgres, when it does."""
    await until(lambda: gateway.ledger.posted_holds._waiting)
    [hold] = gateway.ledger.posted_holds._waiting
    return hold_text(hold)


async def balance_of(gateway: Charging, customer: Customer) -> tuple[int, int]:
    await gateway.settled()
    async with gateway.ledger.database.connection() as connection:
        [balance] = await accounts.balances(connection, customer.account)
    return balance.available, balance.held


async def test_a_strict_call_is_served_and_charged_as_any_other(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.get("/ok", customer)
    assert (answer.status_code, answer.headers["farebox-balance"]) == (200, "90")
    assert (await gateway.charge(answer)).captured == 5


async def test_the_upstream_hears_of_it_only_when_postgres_has_the_hold(
    gateway: Charging, customer: Customer, posting: Posting
) -> None:
    posting.stopped = True
    asking = asyncio.create_task(gateway.get("/gated", customer))
    request_id = await waiting(gateway)
    other = await gateway.get("/echo", customer)  # not strict: it does not wait
    assert other.status_code == 200
    assert list(gateway.backend.served) == [other.headers["farebox-request-id"]]

    posting.stopped = False
    await until(lambda: request_id in gateway.backend.served)
    async with gateway.ledger.database.connection() as connection:
        charge = await charges.get(connection, bytes.fromhex(request_id))
    assert (charge.state, charge.held) == (ChargeState.OPEN, 50)
    gateway.backend.gate.set()
    assert (await asking).status_code == 200


async def test_a_call_whose_hold_is_not_posted_is_refused_and_nothing_is_charged(
    gateway: Charging, customer: Customer, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted_holds, "POSTED_LIMIT_S", 0.2)
    posting.stopped = True
    answer = await gateway.get("/ok", customer)
    said = problem(answer, 503, "ledger-unavailable")
    assert "nothing was forwarded" in said["detail"]
    assert answer.headers["retry-after"]
    assert not gateway.backend.served

    posting.stopped = False
    charge = await gateway.charge(answer)
    assert (charge.state, charge.captured, charge.reason) == (ChargeState.VOID, 0, "not-posted")
    assert await balance_of(gateway, customer) == (95, 0)


async def test_a_client_that_leaves_while_it_waits_is_not_served_and_not_charged(
    gateway: Charging, customer: Customer, posting: Posting
) -> None:
    posting.stopped = True
    async with raw_client(gateway.url) as client:
        key = customer.secret.encode()
        await client.send(b"GET /ok HTTP/1.1\r\nhost: a\r\nx-api-key: %b\r\n\r\n" % key)
        request_id = await waiting(gateway)
        await client.leave()
        await until(lambda: not gateway.ledger.posted_holds._waiting)
    posting.stopped = False
    charge = await gateway.charge(request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "client-gone-early")
    assert await balance_of(gateway, customer) == (95, 0)
    assert not gateway.backend.served


async def test_a_hold_that_redis_lost_meanwhile_is_refused_at_once(
    gateway: Charging, customer: Customer, posting: Posting
) -> None:
    """Long before the limit: in the new epoch the hold cannot come any more."""
    posting.stopped = True
    asking = asyncio.create_task(gateway.get("/ok", customer))
    await waiting(gateway)
    await emptied(gateway)
    posting.stopped = False
    answer = await asking
    problem(answer, 503, "ledger-unavailable")
    assert not gateway.backend.served
    assert (await gateway.get("/ok", customer)).status_code == 200
    assert gateway.ledger.shard.epoch == 2
    assert await balance_of(gateway, customer) == (90, 0)


async def test_a_hold_that_the_new_epoch_saved_is_served(
    gateway: Charging, customer: Customer, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    posting.stopped = True
    asking = asyncio.create_task(gateway.get("/ok", customer))
    await waiting(gateway)
    fence: Fence = gateway.ledger._new_fence()
    await fence.end(await gateway.ledger._reading.link(), 1, "a test")
    posting.stopped = False
    answer = await asking
    assert answer.status_code == 200
    assert (await gateway.charge(answer)).captured == 5
    assert await balance_of(gateway, customer) == (90, 0)


async def emptied(gateway: Charging) -> None:
    """FLUSHALL, as far as this test's keys go."""
    link = await gateway.ledger._reading.link()
    prefix = f"{gateway.ledger.options.namespace}:*"
    await link.call("DEL", *await link.call("KEYS", prefix))
