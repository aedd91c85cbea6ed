"""Billing's migrations go up, down and up again, and end in the schema that is checked in."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from billing.migrations import billing_component, components
from ledger import schema
from ledger.migrations import migrate, read_migrations

pytestmark = pytest.mark.anyio

SCHEMA = Path(__file__).parents[2] / "billing" / "sql" / "schema.sql"
"""Written anew from a migrated database with FAREBOX_WRITE_SCHEMA=1."""


async def described(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await schema.describe(connection, "billing")
    finally:
        await connection.close()


async def test_the_migrated_schema_is_the_one_checked_in(database_url: str) -> None:
    text = await described(database_url)
    if os.environ.get("FAREBOX_WRITE_SCHEMA"):
        await asyncio.to_thread(SCHEMA.write_text, text)
    assert text == SCHEMA.read_text()


async def test_up_down_up_ends_in_the_same_schema(database_url: str) -> None:
    only = [billing_component()]
    newest = len(read_migrations(billing_component()))

    down = await migrate(database_url, 0, allow_loss=True, components=only)
    up = await migrate(database_url, components=components())

    assert [step.number for step in down] == list(range(newest, 0, -1))
    assert [(step.component, step.number) for step in up] == [
        ("billing", number) for number in range(1, newest + 1)
    ]
    assert await described(database_url) == SCHEMA.read_text()
