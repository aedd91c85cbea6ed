"""A key's account is remembered; that there is no such key is not."""

import secrets
from collections.abc import AsyncIterator

import pytest

from ledger import accounts, api_keys
from ledger.database import Database
from ledger.errors import LedgerUnavailable
from ledger.key_directory import KeyDirectory

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


async def new_key(database: Database, random_bytes: api_keys.RandomBytes) -> tuple[int, str]:
    async with database.connection() as connection:
        account = await accounts.create(connection, actor="test")
        made = await api_keys.create(
            connection, account.id, actor="test", random_bytes=random_bytes
        )
    return account.id, made.secret


async def test_a_key_is_found_again_without_postgres(database: Database) -> None:
    account, secret = await new_key(database, secrets.token_bytes)
    keys = KeyDirectory(database)
    found = await keys.find(secret.encode())
    assert found is not None
    assert (found.account, found.scopes) == (account, api_keys.CALL)
    await database.close()
    assert await keys.find(secret.encode()) == found


async def test_a_key_made_after_it_was_asked_for_is_found(database: Database) -> None:
    keys = KeyDirectory(database)
    secret = api_keys.new_secret(lambda size: b"7" * size)
    assert await keys.find(secret.encode()) is None
    account, made = await new_key(database, lambda size: b"7" * size)
    assert made == secret
    found = await keys.find(secret.encode())
    assert found is not None
    assert found.account == account


@pytest.mark.parametrize("secret", [b"", b"fbx_", b"\xff" * 53, b"fbx_" + b"0" * 49, b"x" * 9000])
async def test_what_cannot_be_a_key_is_no_question_to_postgres(
    database: Database, secret: bytes
) -> None:
    await database.close()
    assert await KeyDirectory(database).find(secret) is None


async def test_the_key_used_longest_ago_is_forgotten_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.key_directory.MOST_REMEMBERED", 2)
    made = [(await new_key(database, secrets.token_bytes))[1].encode() for _ in range(3)]
    keys = KeyDirectory(database)
    for secret in (made[0], made[1], made[0], made[2]):
        await keys.find(secret)
    await database.close()
    assert await keys.find(made[0]) is not None
    assert await keys.find(made[2]) is not None
    with pytest.raises(LedgerUnavailable):
        await keys.find(made[1])
