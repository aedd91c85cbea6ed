"""Connections to Postgres that are open and dumb: a firewall or a failover forgot them."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from ledger.database import Database
from ledger.outage import OUTAGE
from tests.chaos.tcp_proxy import COMMIT, TcpProxy, proxy

pytestmark = pytest.mark.anyio

AT_ONCE = 3
LIMIT_S = 0.3


@pytest.fixture
async def between(database_url: str) -> AsyncIterator[TcpProxy]:
    host = urlsplit(database_url).query.split("&")[0].removeprefix("host=")
    async with proxy(f"{host}/.s.PGSQL.5432", COMMIT) as passing:
        yield passing


@pytest.fixture
async def database(between: TcpProxy, database_url: str) -> AsyncIterator[Database]:
    """With as many connections as are used at once, all of them open."""
    name = urlsplit(database_url).path
    opened = await Database.connect(
        f"postgresql://farebox@127.0.0.1:{between.port}{name}", most=AT_ONCE, least=AT_ONCE
    )
    yield opened
    await opened.close()


async def ask(database: Database, limit_s: float | None = LIMIT_S) -> int:
    async with database.connection(limit_s=limit_s) as connection, connection.transaction():
        answer: int = await connection.fetchval("SELECT 1")
        return answer


async def test_one_that_is_dumb_is_given_up_and_all_others_with_it(
    between: TcpProxy, database: Database
) -> None:
    between.swallow()
    between.heal()
    with pytest.raises(OUTAGE):
        await ask(database)
    # Without a limit each of the others would be tried in turn, and hold its user up.
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(ask(database, None) for _ in range(AT_ONCE))) == [1] * AT_ONCE


async def test_who_is_cancelled_does_not_wait_for_a_dumb_one(
    between: TcpProxy, database: Database
) -> None:
    between.swallow()
    asks = asyncio.Event()

    async def ask_for_ever() -> None:
        async with database.connection() as connection:
            asks.set()
            await connection.execute("SELECT 1")

    asking = asyncio.create_task(ask_for_ever())
    await asks.wait()
    await asyncio.sleep(0)  # now the question is on its way
    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=10)
    assert done
    assert asking.cancelled()
    between.heal()


async def test_a_limit_that_is_kept_changes_nothing(database: Database) -> None:
    async with database.connection(limit_s=LIMIT_S) as connection:
        server = await connection.fetchval("SELECT pg_backend_pid()")
    await asyncio.sleep(2 * LIMIT_S)
    async with (
        database.connection() as one,
        database.connection() as two,
        database.connection() as three,
    ):
        lent = (one, two, three)
        servers = {await each.fetchval("SELECT pg_backend_pid()") for each in lent}
    assert server in servers
