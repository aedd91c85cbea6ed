"""Fixtures of the ledger's tests."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import redis

from ledger.database import Connection, Database
from tests.ledger.bank import Bank, emptied


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A migrated database for one test after the other: emptying is far cheaper than copying."""
    name = f"shared_{uuid.uuid4().hex[:8]}"

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    yield postgres_server.replace("/postgres?", f"/{name}?", 1)
    asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def server_name(each_redis_url: str) -> str:
    """Which server that is: `Valkey 8.1.1` or `Redis 7.0.15`."""
    with redis.Redis.from_url(each_redis_url) as client:
        server = client.info("server")
    valkey = server.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {server['redis_version']}"


@pytest.fixture
async def database_url(shared_database_url: str) -> str:
    """A migrated database with nothing in it."""
    connection = await asyncpg.connect(shared_database_url)
    await emptied(connection)
    await connection.close()
    return shared_database_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A few connections to it."""
    database = await Database.connect(database_url, most=4)
    yield database
    await database.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """A connection to it, outside of any transaction."""
    async with database.connection() as connection:
        yield connection


@pytest.fixture
async def bank(database: Database) -> Bank:
    """Postgres with credit types and prices, and a played Redis beside it."""
    return await Bank(database).open()
