"""Limits and WebSockets: a connection is one request, in flight for as long as it lasts."""

from collections.abc import AsyncIterator

import pytest

from ledger import key_caps
from ledger.key_caps import Cap
from tests.charging import Charging, Customer, charging, fresh_stores
from tests.gateway.serving import until
from tests.gateway.websocket.conftest import PRICES
from tests.gateway.websocket.test_charging import SHORT, customer_holds, echo
from tests.websockets import WsBackend, connected

pytestmark = pytest.mark.anyio

LIMITS = """
limits:
  per_key: { requests: 2, per: day, in_flight: 1, quota: { requests: 5, per: day }, free: { requests: 9, per: day } }
"""


@pytest.fixture(scope="module")
async def limited(
    postgres_server: str, template_database: str, redis_url: str, backend: WsBackend
) -> AsyncIterator[Charging]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES + LIMITS, upstream=backend.url, websockets=SHORT) as gateway,
    ):
        yield gateway


async def refused(gateway: Charging, customer: Customer) -> str:
    """Which limit refuses another handshake."""
    headers = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = await gateway.get("/live", customer, headers=headers)
    assert answer.status_code == 429, answer.text
    limit: str = answer.json()["limit"]
    return limit


async def test_a_connection_is_in_flight_through_all_its_slices_and_one_request(
    limited: Charging,
) -> None:
    customer = await limited.customer(credits=100)
    for _ in range(2):
        before = customer_holds(limited, customer)
        async with connected(limited.url, "/live", customer.headers) as client:
            for more in (1, 3):
                most = before + more
                await until(lambda most=most: customer_holds(limited, customer) >= most)
                assert await refused(limited, customer) in {"key-in-flight", "key-day"}
            await echo(client)
            await client.close()
        await limited.quiet()
        await limited.settled()
    assert await refused(limited, customer) == "key-day"
    async with limited.ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT limit_id, used FROM limit_uses")
        paid = await connection.fetchval("SELECT sum(captured) FROM charges")
    assert [(chr(row["limit_id"][0]), row["used"]) for row in rows] == [("Q", 2)]
    assert paid > 2  # an allowance is for calls, not for connections


async def test_when_the_key_may_spend_no_more_it_is_closed_with_1008(limited: Charging) -> None:
    customer = await limited.customer(credits=100)
    async with limited.ledger.database.connection() as connection:
        await key_caps.put(connection, customer.key, [Cap(1, "total", 4)], actor="test")
    assert await limited.ledger.pusher.push(customer.account) == "applied"

    async with connected(limited.url, "/live", customer.headers) as client:
        await echo(client)
        assert await client.closing() == (1008, "key-cap")
        await client.end()
