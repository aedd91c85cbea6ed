"""The pool of connections and the named statements."""

import importlib.resources

import pytest

from ledger.database import Database, Queries, read_statements

pytestmark = pytest.mark.anyio


def test_a_file_is_cut_into_its_statements() -> None:
    text = "-- about\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2\n"
    assert read_statements(text) == {"one": "SELECT 1", "two": "-- why\nSELECT 2"}
    with pytest.raises(ValueError, match="two statements"):
        read_statements("-- name: one\nSELECT 1\n-- name: one\nSELECT 2")


def test_a_statement_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"shards\.sql has no statement nothing"):
        _ = Queries("shards").nothing


def test_every_query_file_can_be_read() -> None:
    folder = importlib.resources.files("ledger") / "sql" / "queries"
    for file in folder.iterdir():
        assert read_statements(file.read_text("utf-8")), file.name


async def test_json_is_a_value_in_both_directions(database: Database) -> None:
    value = {"a": [1, "é", None, {"b": True}]}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", value) == value
        assert await connection.fetchval("SELECT $1::jsonb ->> 'a'", {"a": 5}) == "5"


async def test_a_machine_that_vanished_holds_no_lock_for_hours(database: Database) -> None:
    """Postgres asks whether the other end is there; by its own default only after two hours."""
    asked = "SELECT name FROM pg_settings WHERE name LIKE 'tcp_keepalives%' AND source = 'client'"
    async with database.connection() as connection:
        names = {row["name"] for row in await connection.fetch(asked)}
    assert names == {"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"}


async def test_a_transaction_ends_with_its_block(database: Database) -> None:
    async def change() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO credit_types VALUES (9, 'x', 0)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change()
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM credit_types") == 0
