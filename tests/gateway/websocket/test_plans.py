"""WebSockets of accounts on plans: a connection keeps the price with which it began."""

from collections.abc import AsyncIterator

import pytest

from tests.charging import Charging, Stores, charging
from tests.gateway.test_plans import put_on
from tests.gateway.websocket.test_charging import charges_of, echo
from tests.websockets import WsBackend, connected

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /live, upstream: api, websocket: true, price: { hold: 8, per: [{ messages: true, cost: 4 }] } }
  - { path: /once, upstream: api, websocket: true, plans: [pro], price: { per: [{ connection: true, cost: 5 }] } }
plans: { pro: { factor: 0.25 }, team: {} }
"""


@pytest.fixture
async def gateway(
    database_url: str, redis_url: str, namespace: str, backend: WsBackend
) -> AsyncIterator[Charging]:
    stores = Stores(database_url, redis_url, namespace)
    async with charging(stores, PRICES, upstream=backend.url) as gateway:
        yield gateway


async def test_an_open_connection_keeps_its_plan_and_the_next_has_the_new_one(
    gateway: Charging,
) -> None:
    """Its later charges too; what is closed by the new plan is closed to new connections."""
    customer = await gateway.customer(credits=100)
    await put_on(gateway, customer, "pro")
    async with connected(gateway.url, "/live", customer.headers) as client:
        await echo(client)
        await put_on(gateway, customer, "team")
        for _ in range(4):
            await echo(client)
        await client.close()
    first = await charges_of(gateway, customer)
    async with connected(gateway.url, "/live", customer.headers) as client:
        await echo(client)
        await client.close()
    async with connected(gateway.url, "/once", customer.headers) as client:
        assert client.status == 403

    every = await charges_of(gateway, customer)

    assert len(first) > 1
    assert {(one.plan, one.held) for one in first} == {("pro", 2)}
    assert sum(one.captured for one in first) == 5
    assert [(one.plan, one.captured) for one in every[len(first) :]] == [("team", 4)]
