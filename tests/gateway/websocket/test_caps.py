"""A connection that has left HTTP is still one of those that are counted, and looked after."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.app import App
from gateway.framing import StrictHttpProtocol, strict_http
from gateway.websocket import WebSocketLimits
from tests.charging import Charging, Stores, charging
from tests.gateway.serving import until
from tests.gateway.websocket.conftest import PRICES
from tests.websockets import PING, TEXT, WsBackend, connected

pytestmark = pytest.mark.anyio

MOST = 4


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


async def status_of(gateway: Charging) -> int:
    async with connected(gateway.url, "/open") as client:
        return client.status


def counted() -> int:
    return sum(map(len, StrictHttpProtocol._crowds.values()))


@pytest.mark.parametrize(
    ("limit", "refused"), [("connections_per_address", 429), ("connections", 503)]
)
async def test_an_open_connection_counts_until_it_ends(
    stores: Stores, backend: WsBackend, limit: str, refused: int
) -> None:
    async with charging(stores, PRICES, upstream=backend.url, **{limit: MOST}) as gateway:
        async with AsyncExitStack() as several:
            clients = [
                await several.enter_async_context(connected(gateway.url, "/open"))
                for _ in range(MOST)
            ]
            assert [one.status for one in clients] == [101] * MOST
            assert await status_of(gateway) == refused
            await clients[0].close()
            await until(lambda: counted() == MOST - 1)
            await clients[1].send(TEXT, b"still here")
            assert await clients[1].message() == b"still here"
        await until(lambda: counted() == 0)  # those that just vanished
        assert await status_of(gateway) == 101


def impatient(app: App) -> type[StrictHttpProtocol]:
    usual = app.protocol()
    limits = replace(usual.limits, head_ms=100, body_ms=100, stall_ms=100, sweep_ms=20)
    return strict_http(limits, usual.witness)


async def test_it_is_looked_at_by_its_own_limits_and_not_by_those_of_http(
    stores: Stores, backend: WsBackend
) -> None:
    limits = WebSocketLimits(idle_ms=500)
    async with (
        charging(
            stores, PRICES, upstream=backend.url, http=impatient, websockets=limits
        ) as gateway,
        connected(gateway.url, "/open") as client,
    ):
        async with asyncio.timeout(10):
            asked = await client.frame()
        assert asked.opcode == PING
        await client.send(TEXT, b"still here")
        assert await client.message() == b"still here"
