"""Migrations go up, down and up again, and end in the schema that is checked in."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from ledger import schema
from ledger.database import Database
from ledger.errors import Conflict, InvalidInput, LedgerUnavailable
from ledger.migrations import (
    Component,
    SchemaState,
    ledger_component,
    migrate,
    read_migrations,
    schema_state,
)
from tests.ledger.bank import Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio

SCHEMA = Path(__file__).parents[2] / "ledger" / "sql" / "schema.sql"
"""Written anew from a migrated database with FAREBOX_WRITE_SCHEMA=1."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def ledger_url(empty_database_url: str) -> str:
    """A database with the ledger in it and nothing that builds on it."""
    asyncio.run(migrate(empty_database_url))
    return empty_database_url


def write(folder: Path, number: int, name: str, up: str, down: str) -> None:
    (folder / f"{number:04}_{name}.up.sql").write_text(up)
    (folder / f"{number:04}_{name}.down.sql").write_text(down)


async def described(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await schema.describe(connection)
    finally:
        await connection.close()


async def state(url: str, *parts: Component) -> SchemaState:
    connection = await asyncpg.connect(url)
    try:
        return await schema_state(connection, parts or None)
    finally:
        await connection.close()


async def test_the_migrated_schema_is_the_one_checked_in(ledger_url: str) -> None:
    text = await described(ledger_url)
    if os.environ.get("FAREBOX_WRITE_SCHEMA"):
        SCHEMA.write_text(text)
    assert text == SCHEMA.read_text()


async def test_up_down_up_on_data_ends_in_the_same_schema(ledger_url: str) -> None:
    newest = len(read_migrations(ledger_component()))
    database = await Database.connect(ledger_url, most=3)
    bank = await Bank(database).open()
    account = await bank.account(units=10)
    await bank.post(bank.players[account.id].hold(hold_id(1), 5))
    await database.close()

    down = await migrate(ledger_url, 0, allow_loss=True)
    assert [step.number for step in down] == list(range(newest, 0, -1))
    assert "TABLE accounts" not in await described(ledger_url)
    up = await migrate(ledger_url)
    assert [step.number for step in up] == list(range(1, newest + 1))
    assert await described(ledger_url) == SCHEMA.read_text()


async def test_a_down_that_loses_data_must_be_allowed(ledger_url: str) -> None:
    with pytest.raises(Conflict) as refused:
        await migrate(ledger_url, 0)
    assert refused.value.code == "would-lose-data"
    assert await described(ledger_url) == SCHEMA.read_text()


async def test_migrating_again_does_nothing(ledger_url: str) -> None:
    assert await migrate(ledger_url) == []


async def test_commands_that_migrate_at_once_wait_for_each_other(empty_database_url: str) -> None:
    steps = await asyncio.gather(*(migrate(empty_database_url) for _ in range(5)))
    assert sorted(map(len, steps)) == [0, 0, 0, 0, len(read_migrations(ledger_component()))]


async def test_the_state_says_how_far_a_database_is(empty_database_url: str) -> None:
    newest = len(read_migrations(ledger_component()))
    before = await state(empty_database_url)
    await migrate(empty_database_url)
    after = await state(empty_database_url)
    assert (before.behind, before.ahead) == (True, False)
    assert (after.behind, after.ahead) == (False, False)
    assert after.applied == {"ledger": newest}


async def test_a_newer_releases_schema_is_refused(empty_database_url: str, folder: Path) -> None:
    write(folder, 1, "one", "CREATE TABLE one ()", "DROP TABLE one")
    write(folder, 2, "two", "CREATE TABLE two ()", "DROP TABLE two")
    part = Component("shop", folder)
    await migrate(empty_database_url, components=[part])
    (folder / "0002_two.up.sql").unlink()
    (folder / "0002_two.down.sql").unlink()
    assert (await state(empty_database_url, part)).ahead
    with pytest.raises(Conflict) as refused:
        await migrate(empty_database_url, components=[part])
    assert refused.value.code == "schema-ahead"


async def test_an_applied_migration_that_changed_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    write(folder, 1, "one", "CREATE TABLE one ()", "DROP TABLE one")
    await migrate(empty_database_url, components=[Component("shop", folder)])
    write(folder, 1, "one", "CREATE TABLE one (a int)", "DROP TABLE one")
    with pytest.raises(Conflict) as refused:
        await migrate(empty_database_url, components=[Component("shop", folder)])
    assert refused.value.code == "migration-changed"


async def test_a_failing_step_leaves_the_number_before_it(
    empty_database_url: str, folder: Path
) -> None:
    write(folder, 1, "one", "CREATE TABLE one ()", "DROP TABLE one")
    write(folder, 2, "two", "CREATE TABLE two (); SELECT 1 / 0", "DROP TABLE two")
    part = Component("shop", folder)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url, components=[part])
    assert (await state(empty_database_url, part)).applied == {"shop": 1}
    assert "two" not in await described(empty_database_url)
    assert [s.number for s in await migrate(empty_database_url, 0, components=[part])] == [1]


async def test_components_have_numbers_of_their_own(empty_database_url: str, folder: Path) -> None:
    write(folder, 1, "one", "CREATE TABLE one ()", "DROP TABLE one")
    newest = len(read_migrations(ledger_component()))
    parts = [ledger_component(), Component("shop", folder)]
    await migrate(empty_database_url, components=parts)
    assert (await state(empty_database_url, *parts)).applied == {"ledger": newest, "shop": 1}
    with pytest.raises(InvalidInput):
        await migrate(empty_database_url, 1, components=parts)
    with pytest.raises(InvalidInput):
        await migrate(empty_database_url, newest + 1)


def test_migrations_without_a_way_down_or_with_a_gap_are_an_error(folder: Path) -> None:
    (folder / "0001_one.up.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="no way down"):
        read_migrations(Component("shop", folder))
    (folder / "0001_one.up.sql").unlink()
    write(folder, 2, "two", "SELECT 1", "SELECT 1")
    with pytest.raises(ValueError, match="numbered"):
        read_migrations(Component("shop", folder))


async def test_a_postgres_that_is_away_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        await migrate(f"postgresql://u@/db?host={tmp_path}")
    with pytest.raises(LedgerUnavailable):
        await Database.connect(f"postgresql://u@/db?host={tmp_path}")
