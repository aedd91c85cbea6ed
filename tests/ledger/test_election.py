"""Of several candidates for a post one is elected, and another follows when it is gone."""

import asyncio

import asyncpg
import pytest

from ledger.election import Election
from tests.ledger.quick_clock import QuickClock
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


async def test_only_one_candidate_for_a_post_is_elected(empty_database_url: str) -> None:
    first = Election(empty_database_url, "shard 0", QuickClock())
    second = Election(empty_database_url, "shard 0", QuickClock())
    async with first:
        waiting = asyncio.create_task(second.win())
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        assert await first.still_elected()
    await waiting
    assert await second.still_elected()
    await second.resign()


async def test_another_post_has_a_steward_of_its_own(empty_database_url: str) -> None:
    async with (
        Election(empty_database_url, "shard 0", QuickClock()),
        Election(empty_database_url, "shard 1", QuickClock()) as other,
    ):
        assert await other.still_elected()


async def test_a_lost_connection_has_lost_the_post(empty_database_url: str) -> None:
    election = Election(empty_database_url, "shard 0", QuickClock())
    async with election:
        await _end_sessions(empty_database_url)
        assert not await election.still_elected()
        await election.win()
        assert await election.still_elected()


async def test_a_postgres_that_is_away_elects_nobody() -> None:
    election = Election("postgresql://nobody@127.0.0.1:1/none", "shard 0", QuickClock())
    waiting = asyncio.create_task(election.win())
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    waiting.cancel()


async def test_a_candidate_that_is_cancelled_leaves_no_connection(empty_database_url: str) -> None:
    first = Election(empty_database_url, "shard 0", QuickClock())
    second = Election(empty_database_url, "shard 0", QuickClock())
    async with first:
        waiting = asyncio.create_task(second.win())
        await until(lambda: second._connection is not None)
        waiting.cancel()
        await asyncio.wait([waiting])

        async def alone() -> bool:
            return await _sessions(empty_database_url) == 1

        await until(alone)


async def _sessions(url: str) -> int:
    connection = await asyncpg.connect(url)
    number: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'farebox steward'"
    )
    await connection.close()
    return number


async def _end_sessions(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'farebox steward'"
    )
    await connection.close()
