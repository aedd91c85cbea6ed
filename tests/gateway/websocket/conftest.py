"""A gateway with WebSocket routes in front of an echo, shared by the tests of a module."""

from collections.abc import AsyncIterator

import pytest

from tests.charging import Charging, charging, fresh_stores
from tests.websockets import WsBackend, ws_backend

PRICES = """
version: 1
upstreams:
  api: { url: "{api}", timeout: 2s }
  away: { url: "http://127.0.0.1:1", timeout: 2s }
routes:
  - { path: /live, upstream: api, websocket: true, price: { per: [{ seconds: true, unit: 60, cost: 2 }] }, record: { room: query/room } }
  - { path: /once, upstream: api, websocket: true, price: { per: [{ connection: true, cost: 5 }] } }
  - { path: /flat, upstream: api, websocket: true, price: 3 }
  - { path: /free, upstream: api, websocket: true, price: 0 }
  - { path: /open, upstream: api, websocket: true, price: 0, public: true }
  - { path: /seen, upstream: api, websocket: true, observe: true, price: { hold: 50, per: [{ messages: true, cost: 1 }] } }
  - { path: /new, upstream: api, websocket: true, observe: true, price: unpriced }
  - { path: /chat, upstream: api, websocket: true, price: { hold: 10, per: [{ messages: true, cost: 1 }] } }
  - { path: /deaf, upstream: api, websocket: true, price: { hold: 10, per: [{ messages: true, cost: 1 }] } }
  - { path: /stream, upstream: api, websocket: true, price: { hold: 1000, per: [{ messages: true, cost: 1 }] } }
  - { path: /bytes, upstream: api, websocket: true, price: { hold: 10, per: [{ response_bytes: true, unit: 1000, cost: 1 }] } }
  - { path: /mixed, upstream: api, websocket: true, price: { hold: 10, per: [{ seconds: true, unit: 1, cost: 20 }, { messages: true, cost: 1 }] } }
  - { path: /small, upstream: api, websocket: true, max_body: 100, price: 1 }
  - { path: /bye, upstream: api, websocket: true, price: 1 }
  - { path: /flood, upstream: api, websocket: true, price: 1 }
  - { path: "/no/{status}", upstream: api, websocket: true, price: 4 }
  - { path: /gone, upstream: away, websocket: true, price: 4 }
  - { path: /plain, methods: [GET], upstream: api, price: 1 }
"""


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The workers' event loop: its transports are not asyncio's."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[WsBackend]:
    async with ws_backend() as backend:
        yield backend


@pytest.fixture(scope="module")
async def gateway(
    postgres_server: str, template_database: str, redis_url: str, backend: WsBackend
) -> AsyncIterator[Charging]:
    """The gateway as it is: slices of a minute."""
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES, upstream=backend.url) as gateway,
    ):
        yield gateway
