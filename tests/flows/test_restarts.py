"""
Valkey restarted again and again under a serving gateway: everything is charged once, and its
memory stays where it was.

FAREBOX_RESTARTS says how often (default 2).
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tests.flows.load import Load, captured_in, charges_of
from tests.oracle import Oracle, oracle
from tests.served import Served, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1 }]
"""
RESTARTS = int(os.environ.get("FAREBOX_RESTARTS", "2"))
ANSWERS = 100  # between two restarts
CLIENTS = 8
LIMIT_S = 60
GROWTH_BYTES = 256 * 1024
"""What allocation may differ by from run to run; one epoch left behind has about 30 kB."""


@pytest.fixture
async def backend() -> AsyncIterator[Oracle]:
    async with oracle() as counted:
        yield counted


async def test_a_valkey_that_restarts_again_and_again_loses_and_keeps_nothing(
    folder: Path, backend: Oracle
) -> None:
    variables = {"BACKEND": backend.url}
    async with serving(folder, PRICES, "--workers", "2", variables=variables) as served:
        load = Load(served.url, await funded(served, 1_000_000))
        memory: list[int] = []
        for number in range(RESTARTS + 1):
            async with load.by(CLIENTS):
                await load.until_answered(ANSWERS)
            await settled(served, backend)
            # After the first restart: before it, scripts and buffers are not all there yet.
            if number in (1, RESTARTS):
                memory.append(await tidy_memory(served))
            if number < RESTARTS:
                os.kill(served.store_pid("valkey"), signal.SIGKILL)
        print(f"{RESTARTS} restarts, {len(backend.served)} served, used_memory {memory}")
        assert memory[-1] - memory[0] < GROWTH_BYTES
        for audit in ("verify", "reconcile"):
            done = await asyncio.to_thread(farebox, audit, folder=folder)
            assert done.returncode == 0, done.stdout + done.stderr


async def settled(served: Served, backend: Oracle) -> None:
    """Wait until exactly what was served is captured."""
    async with asyncio.timeout(LIMIT_S):
        while captured_in(await charges_of(served)) != backend.served.keys():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def tidy_memory(served: Served) -> int:
    """Return `used_memory` once only the current epoch is left."""
    client: Any = redis.asyncio.Redis.from_url(served.running.redis_url)
    async with asyncio.timeout(LIMIT_S):
        while True:
            epochs = {name.rsplit(b":")[3] async for name in client.scan_iter("fbx:*:[jbh]:*")}
            if len(epochs) <= 1:
                break
            await asyncio.sleep(0.1)
    used: int = (await client.info("memory"))["used_memory"]
    await client.aclose()
    return used
