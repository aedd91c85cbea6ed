"""
The stores the tests run on: real ones, started once per test process, or given by address.

FAREBOX_TEST_POSTGRES_URL (a server where databases may be made) and FAREBOX_TEST_REDIS_URL
point the tests at servers that run already.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from gateway.stores import EmbeddedPostgres, EmbeddedRedis, StoreMissing, find_redis

# A busy machine is no reason to fail: no test asserts how long anything takes.
settings.register_profile("farebox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("farebox")

REDIS_PROGRAMS = ("valkey-server", "redis-server")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server's `postgres` database; tests make databases of their own beside it."""
    given = os.environ.get("FAREBOX_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings={"fsync": "off"})
    server.start()
    try:
        yield server.url("postgres")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> str:
    """A migrated database, copied for each test that asks for one."""
    from billing.migrations import components
    from ledger.migrations import migrate

    name = f"template_{uuid.uuid4().hex[:8]}"

    async def make() -> None:
        await _execute(postgres_server, f"CREATE DATABASE {name}")
        await migrate(_database(postgres_server, name), components=components())

    asyncio.run(make())
    return name


@pytest.fixture
def database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(_execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    yield _database(postgres_server, name)
    asyncio.run(_execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """A database of this test's own with nothing in it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(_execute(postgres_server, f"CREATE DATABASE {name}"))
    yield _database(postgres_server, name)
    asyncio.run(_execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one Valkey (or Redis) for this test process; see `namespace`."""
    given = os.environ.get("FAREBOX_TEST_REDIS_URL")
    if given:
        yield given
        return
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session", params=REDIS_PROGRAMS)
def each_redis_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """As `redis_url`, once per kind of server that is installed here."""
    try:
        program = find_redis((request.param,))
    except StoreMissing:
        pytest.skip(f"{request.param} is not installed")
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), program=program)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def namespace() -> str:
    """Keys that no other test uses, so that one server serves many tests."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for stores of this test's own, removed afterwards (Postgres leaves 40 MB)."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def _database(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?", 1)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
