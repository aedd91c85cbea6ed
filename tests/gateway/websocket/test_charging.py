"""WebSockets through the whole gateway: what each connection costs, slice by slice."""

from collections.abc import AsyncIterator

import pytest

from tests.charging import Charging, charging, fresh_stores
from tests.websockets import TEXT, WsBackend, connected, ws_backend

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams:
  api: { url: "{api}", timeout: 2s }
routes:
  - { path: /live, upstream: api, websocket: true, price: { per: [{ seconds: true, unit: 60, cost: 2 }] } }
"""


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[WsBackend]:
    async with ws_backend() as backend:
        yield backend


@pytest.fixture(scope="module")
async def gateway(
    postgres_server, template_database, redis_url, backend
) -> AsyncIterator[Charging]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES, upstream=backend.url) as gateway,
    ):
        yield gateway


async def test_an_echo_is_charged(gateway, backend) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/live", customer.headers) as client:
        assert client.status == 101, client.body
        await client.send(TEXT, b"hello")
        assert await client.message() == b"hello"
        print(client.headers)
        assert await client.close() == (1000, "")
    charge = await gateway.charge(client.headers["farebox-request-id"])
    print(charge)
    assert charge.captured == 1
