"""Notices: told in the transaction that made them true, and once."""

from collections.abc import AsyncIterator

import pytest

from billing.telling import notices
from ledger.database import Database
from tests.billing.told import account_of, deliveries, notices_of, open_database, tell

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


async def test_the_same_thing_is_told_once(database: Database) -> None:
    account = await account_of(database)

    assert [await tell(database, account), await tell(database, account)] == [True, False]

    assert len(await notices_of(database, "purchase")) == 1
    assert len(await deliveries(database, "mail")) == 1


async def test_two_kinds_may_be_about_the_same_object(database: Database) -> None:
    account = await account_of(database)

    assert await tell(database, account, kind="purchase", order_id="ord_1")
    assert await tell(database, account, kind="refund", order_id="ord_1")


async def test_nothing_is_told_when_the_transaction_is_undone(database: Database) -> None:
    account = await account_of(database)
    async with database.connection() as connection:
        undone = connection.transaction()
        await undone.start()
        assert await notices.tell(
            connection, "purchase", account_id=account.id, key="cs_1", payload={}
        )
        await undone.rollback()

    assert await notices_of(database, "purchase") == []


async def test_what_is_for_the_operator_only_goes_to_no_mail(database: Database) -> None:
    await tell(database, None, kind="alert", alert="quarantined", subject="cs_1", detail="odd")

    assert await deliveries(database, "mail") == []
    assert [row["state"] for row in await deliveries(database, "webhook")] == ["waiting"]


async def test_an_account_finds_what_it_was_told(database: Database) -> None:
    account, other = await account_of(database), await account_of(database, "bob@example.com")
    for key in ("cs_1", "cs_2"):
        await tell(database, account, key)
    await tell(database, other, "cs_3")

    async with database.connection() as connection:
        found = await notices.of_account(connection, account.id)

    assert [notice.key for notice in found] == ["cs_2", "cs_1"]
