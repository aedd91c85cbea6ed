"""
A balance for exactly N calls gives exactly N, however many processes sell it.

FAREBOX_CALLS says how many calls are made, of which every fifth is paid for (default 200),
FAREBOX_WORKERS by how many workers they are served, as in 1,2 (default 2).
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from tests.oracle import Oracle, oracle
from tests.served import Served, command, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1 }]
"""
CALLS = int(os.environ.get("FAREBOX_CALLS", "200"))
CREDITS = CALLS // 5
WORKERS = os.environ.get("FAREBOX_WORKERS", "2").split(",")


@pytest.fixture
async def backend() -> AsyncIterator[Oracle]:
    async with oracle() as counted:
        yield counted


@pytest.fixture
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """Stores that belong to no gateway, as in production."""
    postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    postgres.start()
    redis.start()
    yield {"FAREBOX_POSTGRES_URL": postgres.url(), "FAREBOX_REDIS_URL": redis.url}
    redis.stop()
    postgres.stop()


async def called(urls: list[str], key: dict[str, str]) -> list[httpx.Response]:
    """Make all calls at once, in turn to each gateway."""
    async with clients(urls) as ready:
        calls = [ready[n % len(ready)].get("/paid", headers=key) for n in range(CALLS)]
        return await asyncio.gather(*calls)


@asynccontextmanager
async def clients(urls: list[str]) -> AsyncIterator[list[httpx.AsyncClient]]:
    limits = httpx.Limits(max_connections=100)
    ready = [httpx.AsyncClient(base_url=url, limits=limits, timeout=60) for url in urls]
    yield ready
    for client in ready:
        await client.aclose()


async def check(answers: list[httpx.Response], backend: Oracle, served: Served) -> None:
    """Exactly the calls that were paid for reached the backend; the rest say what is short."""
    assert Counter(answer.status_code for answer in answers) == {
        200: CREDITS,
        402: CALLS - CREDITS,
    }
    paid = {a.headers["farebox-request-id"] for a in answers if a.status_code == 200}
    assert backend.served == Counter(paid)
    for short in (answer.json() for answer in answers if answer.status_code == 402):
        said = [short[name] for name in ("price", "balance", "shortfall", "charged")]
        assert said == [1, 0, 1, 0]
    for audit in ("verify", "reconcile"):
        done = await asyncio.to_thread(
            farebox, audit, folder=served.folder, variables=served.variables
        )
        assert done.returncode == 0, done.stdout + done.stderr
    shown = await command(served, "account", "show", "acme")
    assert [balance["available"] for balance in shown["balances"]] == [0]


@pytest.mark.parametrize("workers", WORKERS)
async def test_workers_sell_exactly_what_there_is(
    folder: Path, backend: Oracle, workers: str
) -> None:
    variables = {"BACKEND": backend.url}
    async with serving(folder, PRICES, "--workers", workers, variables=variables) as served:
        key = await funded(served, CREDITS)
        await check(await called([served.url], key), backend, served)


async def test_two_gateways_on_the_same_stores_sell_exactly_what_there_is(
    folder: Path, backend: Oracle, stores: dict[str, str]
) -> None:
    variables = {"BACKEND": backend.url, **stores}
    migrated = await asyncio.to_thread(farebox, "migrate", folder=folder, variables=variables)
    assert migrated.returncode == 0, migrated.stderr
    async with (
        serving(folder / "one", PRICES, variables=variables) as one,
        serving(folder / "two", PRICES, variables=variables) as two,
    ):
        key = await funded(one, CREDITS)
        await check(await called([one.url, two.url], key), backend, one)
