"""The keeper: stores live as long as anybody uses them, and come back when they die."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
import redis.asyncio

from gateway.child import Child, Job
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[tuple[Child, dict[str, Any], int]]:
    """A keeper with both stores; yields it, what it told, and our end of its life line."""
    reading, writing = os.pipe()
    keeper = Child(
        Job(
            "keeper of the stores",
            "gateway.keeper",
            {"folder": str(folder), "postgres": True, "redis": True, "life_line": reading},
            [reading],
            restart=False,
        ),
        clock=SystemClock(),
        say=lambda _: None,
    )
    told = await keeper.start()
    os.close(reading)
    try:
        yield keeper, told, writing
    finally:
        await keeper.stop(60)
        with contextlib.suppress(OSError):  # the test may have cut the line
            os.close(writing)


async def until(answers: Callable[[], Any], *errors: type[Exception]) -> Any:
    limit = time.monotonic() + 30
    while True:
        try:
            return await answers()
        except errors:
            assert time.monotonic() < limit, "it did not come back"
            await anyio.sleep(0.05)


async def test_it_tells_where_both_stores_are(folder: Path) -> None:
    async with kept(folder) as (_, told, _):
        connection = await asyncpg.connect(told["postgres_url"])
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        client = redis.asyncio.from_url(told["redis_url"])
        assert await client.ping()
        await client.aclose()


async def test_a_killed_store_is_back_with_its_data_under_the_same_address(folder: Path) -> None:
    async with kept(folder) as (_, told, _):
        client = redis.asyncio.from_url(told["redis_url"])
        await client.set("kept", "yes")
        pid = (await client.info("server"))["process_id"]
        os.kill(pid, signal.SIGKILL)
        errors = (redis.exceptions.ConnectionError, OSError, redis.exceptions.BusyLoadingError)
        assert await until(lambda: client.get("kept"), *errors) == b"yes"
        await client.aclose()


async def test_the_stores_stop_when_the_last_user_of_the_life_line_is_gone(folder: Path) -> None:
    async with kept(folder) as (keeper, told, life_line):
        os.close(life_line)
        async with asyncio.timeout(60):
            await keeper.ended.wait()
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await asyncpg.connect(told["postgres_url"])
        assert not (folder / "postgres" / "data" / "postmaster.pid").exists()
