"""
On an account that is busy, a new key works at once and a revoked one is refused at once, on
every worker; and what is charged is soon posted.

FAREBOX_KEYS says how many keys come and go (default 3).
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from tests.flows.load import Load
from tests.oracle import oracle
from tests.served import Served, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1 }]
"""
KEYS = int(os.environ.get("FAREBOX_KEYS", "3"))
CLIENTS = 8
CALLS = 8  # each on a connection of its own, so that both workers are asked
POSTED_WITHIN_S = 2


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("busy")
    async with oracle() as backend:
        variables = {"BACKEND": backend.url}
        async with serving(folder, PRICES, "--workers", "2", variables=variables) as served:
            yield served
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
async def key(served: Served) -> dict[str, str]:
    return await funded(served, 1_000_000)


@pytest.fixture
async def load(served: Served, key: dict[str, str]) -> AsyncIterator[Load]:
    """The account is busy for as long as the test runs."""
    load = Load(served.url, key)
    async with load.by(CLIENTS):
        await load.until_answered(CLIENTS)
        yield load


async def test_a_key_works_at_once_and_its_revocation_refuses_the_next_call(
    served: Served, load: Load
) -> None:
    async with httpx.AsyncClient(
        base_url=served.running.admin_url, headers=served.admin_headers, timeout=30
    ) as admin:
        for _ in range(KEYS):
            made = await admin.post("/admin/v1/accounts/acme/keys", json={})
            assert made.status_code == 201, made.text
            key = made.json()
            assert await statuses(served, key["key"]) == [200] * CALLS
            revoked = await admin.delete(f"/admin/v1/keys/{key['id']}")
            assert revoked.status_code == 200, revoked.text
            assert await statuses(served, key["key"]) == [401] * CALLS
    print(f"{KEYS} keys beside {len(load.answered)} calls of another")


async def statuses(served: Served, secret: str) -> list[int]:
    """What calls with this key are answered."""

    async def call() -> int:
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(f"{served.url}/paid", headers={"X-Api-Key": secret})
            return answer.status_code

    return list(await asyncio.gather(*(call() for _ in range(CALLS))))


async def test_a_charge_is_posted_within_two_seconds_under_load(served: Served, load: Load) -> None:
    waits: list[float] = []
    postgres = await asyncpg.connect(served.running.postgres_url)
    async with httpx.AsyncClient(timeout=30) as client:
        for _ in range(10 * KEYS):
            answer = await client.get(f"{served.url}/paid", headers=load.key)
            since = time.monotonic()
            charge = bytes.fromhex(answer.headers["farebox-request-id"])
            while not await postgres.fetchval(
                "SELECT captured FROM charges WHERE id = $1 AND state = 2", charge
            ):
                assert time.monotonic() - since < POSTED_WITHIN_S
                await asyncio.sleep(0.005)
            waits.append(time.monotonic() - since)
    await postgres.close()
    waits.sort()
    print(
        f"{len(waits)} charges posted: median {waits[len(waits) // 2] * 1_000:.0f} ms,"
        f" longest {waits[-1] * 1_000:.0f} ms"
    )
