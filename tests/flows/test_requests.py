"""Whole requests, many at once: nobody overspends, nothing is charged that was not served."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from ledger import verify
from ledger.books import ChargeState
from ledger.charges import Charge, find
from tests.charging import Charging, Customer, Stores, charging
from tests.gateway.serving import raw_client, until

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 2s } }
routes:
  - { path: /ok, methods: [GET, POST], upstream: api, price: 1 }
  - { path: /slow, methods: [GET, POST], upstream: api, price: 2 }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
  - path: /sse
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
    linger: 5s
"""
VANISHING = int(os.environ.get("FAREBOX_VANISHING", "300"))
AT_ONCE = 50


@pytest.fixture
async def gateway(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Charging]:
    async with charging(Stores(database_url, redis_url, namespace), PRICES) as running:
        yield running


async def ask(gateway: Charging, path: str, customer: Customer) -> tuple[int, bytes]:
    """Ask once on a connection of one's own: (status, body). Cheaper than a client by far."""
    head = f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: {customer.secret}"
    async with raw_client(gateway.url) as client:
        await client.send(head.encode() + b"\r\n\r\n")
        answer, _, body = (await client.rest()).partition(b"\r\n\r\n")
        return int(answer.split(b" ")[1]), body


async def all_charges(gateway: Charging, customer: Customer) -> list[Charge]:
    """Every charge of a customer, once the last one is posted."""
    await gateway.settled()
    found: list[Charge] = []
    async with gateway.ledger.database.connection() as connection:
        before = None
        while True:
            page = await find(connection, account_id=customer.account, before=before, limit=200)
            found += page
            if len(page) < 200:
                return found
            before = page[-1].id


async def check_books(gateway: Charging) -> None:
    async with gateway.ledger.database.connection() as connection:
        assert await verify.verify(connection) == []
    assert await gateway.ledger.reconcile() == []


async def test_500_calls_on_a_balance_for_100_reach_the_backend_100_times(
    gateway: Charging,
) -> None:
    customer = await gateway.customer(credits=100)

    answers = await asyncio.gather(*(ask(gateway, "/ok", customer) for _ in range(500)))

    assert Counter(status for status, _ in answers) == {200: 100, 402: 400}
    assert gateway.backend.served.total() == 100
    assert set(gateway.backend.served.values()) == {1}
    refused = [json.loads(body) for status, body in answers if status == 402]
    assert all(
        (one["price"], one["balance"], one["shortfall"], one["charged"]) == (1, 0, 1, 0)
        for one in refused
    )
    found = await all_charges(gateway, customer)
    assert Counter(charge.state for charge in found) == {ChargeState.CAPTURED: 100}
    assert await gateway.available(customer) == 0
    await check_books(gateway)


async def test_clients_that_vanish_pay_for_what_the_backend_got(gateway: Charging) -> None:
    """Captured is exactly what the backend counts, whenever a client leaves."""
    customer = await gateway.customer(credits=1_000_000)
    chance = random.Random(20)
    room = asyncio.Semaphore(AT_ONCE)

    async def vanish() -> None:
        path = chance.choice(["/ok", "/slow", "/sse"])
        sent = chance.choice([20, 60, 10_000])
        after_s = chance.choice([0, 0.001, 0.005, 0.02, 0.08])
        request = f"GET {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {customer.secret}\r\n\r\n"
        async with room, raw_client(gateway.url) as client:
            await client.send(request.encode()[:sent])
            await asyncio.sleep(after_s)
            client.vanish()

    await asyncio.gather(*(vanish() for _ in range(VANISHING)))
    await gateway.quiet()
    found = await all_charges(gateway, customer)

    assert not [charge for charge in found if charge.closed_at is None]
    assert not [charge for charge in found if charge.state is ChargeState.EXPIRED]
    captured = {charge.text_id for charge in found if charge.state is ChargeState.CAPTURED}
    served = {text for text in gateway.backend.served if text}
    assert captured == served
    assert set(gateway.backend.served.values()) == {1}
    spent = sum(charge.captured for charge in found)
    assert await gateway.available(customer) == 1_000_000 - spent
    await check_books(gateway)


async def test_clients_that_vanish_amid_their_upload_pay_once_the_backend_has_the_head(
    gateway: Charging,
) -> None:
    customer = await gateway.customer(credits=1_000)
    head = f"POST /ok HTTP/1.1\r\nhost: a\r\nx-api-key: {customer.secret}\r\ncontent-length: 9\r\n"

    async def vanish(after_s: float) -> None:
        async with raw_client(gateway.url) as client:
            await client.send(head.encode() + b"\r\nabc")
            await asyncio.sleep(after_s)
            client.vanish()

    await asyncio.gather(*(vanish(number / 1_000) for number in range(40)))
    await gateway.quiet()
    found = await all_charges(gateway, customer)
    captured = {charge.text_id for charge in found if charge.state is ChargeState.CAPTURED}
    assert captured == set(gateway.backend.served)
    await check_books(gateway)


async def test_a_body_that_breaks_a_rule_halfway_is_refused_and_costs_nothing(
    gateway: Charging,
) -> None:
    """The backend may have seen the head; the client was told `charged: 0`, so it is."""
    customer = await gateway.customer(credits=10)
    head = f"POST /ok HTTP/1.1\r\nhost: a\r\nx-api-key: {customer.secret}\r\n"

    async with raw_client(gateway.url) as client:
        await client.send(head.encode() + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await until(lambda: gateway.backend.served)
        await client.send(b"0x3\r\nabc\r\n0\r\n\r\n")
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"charged": 0' in answer or b'"charged":0' in answer
    await gateway.quiet()
    [charge] = await all_charges(gateway, customer)
    assert (charge.state, charge.captured) == (ChargeState.VOID, 0)
    assert await gateway.available(customer) == 10


async def test_a_backend_that_dies_under_load_is_paid_for_what_it_finished(
    gateway: Charging,
) -> None:
    customer = await gateway.customer(credits=1_000)
    calls = [asyncio.create_task(gateway.get("/slow", customer)) for _ in range(40)]
    while gateway.backend.served.total() < 20:  # noqa: ASYNC110 - the backend has no event for it
        await asyncio.sleep(0.002)
    gateway.backend.kill()
    answers = await asyncio.gather(*calls)

    found = {charge.text_id: charge for charge in await all_charges(gateway, customer)}
    for answer in answers:
        charge = found[answer.headers["farebox-request-id"]]
        if answer.status_code == 200:
            assert (charge.state, charge.captured) == (ChargeState.CAPTURED, 2)
        else:
            assert answer.status_code == 502
            assert charge.state is ChargeState.VOID
            assert charge.reason in ("upstream-reset", "upstream-refused")
    delivered = sum(answer.status_code == 200 for answer in answers)
    assert await gateway.available(customer) == 1_000 - 2 * delivered
    await check_books(gateway)
