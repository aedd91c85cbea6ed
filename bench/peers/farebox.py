"""Farebox as anybody runs it: `farebox serve` with one worker, every safety in place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from bench.peers.peer import Peer, Stage
from tests.served import Served, funded, serving

PLENTY = 1_000_000_000_000

PRICES = """
version: 1
upstreams:
  api: {{ url: "{upstream}" }}
credit_types:
  credits: {{ window: 100000000 }}
routes:
  - {{ path: /hello, upstream: api, price: 1 }}
"""


@asynccontextmanager
async def farebox(stage: Stage) -> AsyncIterator[Peer]:
    prices = PRICES.format(upstream=stage.upstream.url)
    async with serving(stage.folder / "farebox", prices) as served:
        headers = await funded(served, PLENTY)
        yield peer(served, headers, await size_bytes(served))


def peer(served: Served, headers: dict[str, str], size_before: int) -> Peer:
    children = served.children()

    def of(name: str) -> list[int]:
        return [pid for module, pid in children.items() if module.startswith(f"gateway.{name}")]

    return Peer(
        f"{served.url}/hello",
        headers,
        of("worker"),
        {"steward": of("steward"), "redis": [served.store_pid("valkey")]},
        charged=lambda: asyncio.run(captured(served)),
        stored_bytes=lambda: asyncio.run(size_bytes(served)) - size_before,
    )


async def captured(served: Served) -> int:
    """Units that Postgres shows taken, once everything served has been posted."""
    connection = await asyncpg.connect(served.running.postgres_url)
    try:
        async with asyncio.timeout(120):
            before = -1
            while True:
                now = await connection.fetchval(
                    "SELECT coalesce(sum(captured), 0)::bigint FROM charges"
                )
                if now == before:
                    return int(now)
                before = now
                await asyncio.sleep(2)
    finally:
        await connection.close()


async def size_bytes(served: Served) -> int:
    """What the database takes on disk, tables and indexes."""
    connection = await asyncpg.connect(served.running.postgres_url)
    try:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()
