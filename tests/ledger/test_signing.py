"""Secrets that all gateways on the same stores share."""

import asyncio
import secrets

import pytest

from ledger.database import Database
from ledger.signing import SECRET_BYTES, signing_secret

pytestmark = pytest.mark.anyio


async def test_gateways_that_ask_at_the_same_time_get_the_same_secret(
    database_url: str,
) -> None:
    database = await Database.connect(database_url, most=4)

    async def gateway() -> bytes:
        async with database.connection() as connection:
            return await signing_secret(connection, "links", random_bytes=secrets.token_bytes)

    found = await asyncio.gather(*(gateway() for _ in range(4)))
    await database.close()
    assert len(set(found)) == 1
    assert len(found[0]) == SECRET_BYTES


async def test_each_purpose_has_a_secret_of_its_own(database_url: str) -> None:
    database = await Database.connect(database_url, most=1)
    async with database.connection() as connection:
        links = await signing_secret(connection, "links", random_bytes=secrets.token_bytes)
        other = await signing_secret(connection, "other", random_bytes=secrets.token_bytes)
    await database.close()
    assert links != other
