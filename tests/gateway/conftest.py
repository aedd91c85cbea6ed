"""One pair of listeners for all tests of a file: their accounts are their own, so they can share."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.charging import Stores
from tests.control import Control, control


@pytest.fixture(scope="module")
def shared_stores(postgres_server: str, template_database: str, redis_url: str) -> Iterator[Stores]:
    """A migrated database and a namespace for the tests of one file."""
    name = f"test_{uuid.uuid4().hex[:12]}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    url = postgres_server.replace("/postgres?", f"/{name}?", 1)
    yield Stores(url, redis_url, f"t{uuid.uuid4().hex[:10]}")
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
async def ctl(shared_stores: Stores) -> AsyncIterator[Control]:
    """Both listeners beside a gateway that charges."""
    async with control(shared_stores) as running:
        yield running
