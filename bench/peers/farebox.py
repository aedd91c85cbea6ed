"""Farebox as anybody runs it: `farebox serve` with one worker, every safety in place."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from bench.peers.peer import Peer, Stage
from tests.served import Served, funded, serving

PLENTY = 1_000_000_000_000

HELLO = "  - { path: /hello, upstream: api, price: 1 }"


def price_file(upstream: str, routes: str = HELLO, more: str = "") -> str:
    """Routes to one upstream named `api`; `more` are other upstreams."""
    return (
        f'version: 1\nupstreams:\n  api: {{ url: "{upstream}" }}\n{more}'
        f"credit_types:\n  credits: {{ window: 100000000 }}\nroutes:\n{routes}\n"
    )


@asynccontextmanager
async def farebox(stage: Stage) -> AsyncIterator[Peer]:
    async with gateway(stage.folder, price_file(stage.upstream.url)) as (served, headers):
        yield peer(served, headers, size_before=await size_bytes(served))


@asynccontextmanager
async def gateway(
    folder: Path, prices: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Served, dict[str, str]]]:
    """Serve with these prices; gives the headers of an account with plenty."""
    async with serving(folder / "farebox", prices, variables=variables) as served:
        yield served, await funded(served, PLENTY)


def peer(
    served: Served,
    headers: dict[str, str],
    path: str = "/hello",
    *,
    script: Path | None = None,
    size_before: int = 0,
) -> Peer:
    children = served.children()

    def of(name: str) -> list[int]:
        return [pid for module, pid in children.items() if module.startswith(f"gateway.{name}")]

    return Peer(
        f"{served.url}{path}",
        headers,
        of("worker"),
        {"steward": of("steward"), "redis": [served.store_pid("valkey")]},
        charged=lambda: asyncio.run(captured(served)),
        stored_bytes=lambda: asyncio.run(size_bytes(served)) - size_before,
        script=script,
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
