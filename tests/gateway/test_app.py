"""One application for a worker: our own routes beside the proxy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config import load_price_list
from gateway.metrics import exposition
from ledger.ports import SystemClock
from tests.charging import Charging, Stores, charging

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 2, name: plain }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
"""


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@pytest.fixture
async def gateway(stores: Stores, tmp_path: Path) -> AsyncIterator[Charging]:
    async with charging(stores, PRICES, metrics_folder=tmp_path) as running:
        yield running


async def test_our_own_routes_are_served_beside_the_proxy(gateway: Charging) -> None:
    assert (await gateway.get("/farebox/livez")).status_code == 200
    assert gateway.backend.heads == []


async def test_a_path_that_only_begins_like_ours_is_the_backends(gateway: Charging) -> None:
    answer = await gateway.get("/fareboxes")
    assert answer.json()["type"] == "/farebox/problems/no-route"


async def test_the_link_of_a_402_leads_to_a_page_of_ours(gateway: Charging) -> None:
    poor = await gateway.customer()
    link = (await gateway.get("/ok", poor)).json()["buy"]
    assert link.startswith(f"{gateway.url}/farebox/buy?token=")
    answer = await gateway.http.get(link)
    assert answer.status_code == 503
    assert answer.json()["type"] == "/farebox/problems/selling-not-configured"


async def test_prices_are_swapped_while_requests_are_served(gateway: Charging) -> None:
    customer = await gateway.customer(credits=100)
    assert (await gateway.get("/ok", customer)).headers["farebox-cost"] == "2"
    dearer = PRICES.replace("price: 2", "price: 7").replace("{api}", gateway.backend.url)
    prices = load_price_list(dearer, environ={})
    gateway.app.prices.swap(prices, gateway.app.prices.version, gateway.type_numbers)
    assert (await gateway.get("/ok", customer)).headers["farebox-cost"] == "7"


async def test_what_was_served_is_counted(gateway: Charging, tmp_path: Path) -> None:
    customer = await gateway.customer(credits=100)
    await gateway.get("/ok", customer)
    gateway.app.flush_metrics()
    text = exposition(tmp_path, now_ms=SystemClock().now_ms())
    assert 'farebox_requests_total{route="plain",status="2xx",reason="delivered"} 1' in text
    assert 'farebox_captured_total{credit_type="credits"} 2' in text


async def test_jobs_beside_the_requests_end_with_the_server(stores: Stores) -> None:
    before = asyncio.all_tasks()
    async with charging(stores, PRICES) as gateway:
        await gateway.get("/farebox/livez")
    assert asyncio.all_tasks() == before
