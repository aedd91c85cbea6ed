"""Requests that last longer than a hold lives: the hold is renewed for as long as they are open."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.charging import Charging, charging, fresh_stores
from tests.gateway.serving import until

pytestmark = pytest.mark.anyio

LIFETIME_MS = 2_000
PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 1h } }
routes:
  - path: /gated
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 } }
  - { path: /hang, methods: [GET], upstream: api, price: 5 }
"""


@pytest.fixture(scope="module")
async def gateway(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Charging]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES) as gateway,
    ):
        for route in gateway.app.prices.current.routes:
            # Below what a price file may say, so that several lifetimes fit into a test.
            object.__setattr__(route, "lifetime_ms", LIFETIME_MS)
        yield gateway


@pytest.mark.parametrize(
    ("path", "cost"), [("/gated", 7), ("/hang", 5)], ids=["a stream", "a long poll"]
)
async def test_it_is_charged_although_its_hold_lives_shorter(
    gateway: Charging, path: str, cost: int
) -> None:
    customer = await gateway.customer(credits=100)
    gateway.forget()
    asking = asyncio.create_task(gateway.get(path, customer))
    await until(lambda: gateway.ledger.holds._open)
    [(held, _)] = gateway.ledger.holds._open.values()
    first_ms = held.deadline_ms

    # Three lifetimes later it is still held: whatever looked for expired holds left it alone.
    await until(lambda: held.deadline_ms > first_ms + 3 * LIFETIME_MS, 30)
    gateway.backend.gate.set()
    answer = await asking

    charge = await gateway.charge(answer)
    assert (charge.captured, charge.reason) == (cost, "delivered")
    assert await gateway.available(customer) == 100 - cost
