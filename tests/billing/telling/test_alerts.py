"""Alerts are raised once, counted after that, and closed by people; errors are counted per hour."""

from collections.abc import AsyncIterator

import pytest

from billing.errors import NoSuchObject
from billing.telling import alerts
from billing.telling.alerts import MAX_ERROR_SERIES, ErrorTally, raise_alert
from ledger.database import Connection, Database
from ledger.outage import OUTAGE
from tests.billing.inbox_rig import emptied

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(template_copy: str) -> AsyncIterator[Database]:
    database = await Database.connect(await emptied(template_copy), most=2)
    yield database
    await database.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection


async def test_a_repeat_is_counted_and_brings_its_own_detail(connection: Connection) -> None:
    first = await raise_alert(connection, "quarantined", "cs_1", "once")
    again = await raise_alert(connection, "quarantined", "cs_1", "twice")
    await raise_alert(connection, "quarantined", "cs_2", "another")

    assert first == again
    listed = await alerts.listed(connection)
    assert [(each.subject, each.times, each.detail) for each in listed] == [
        ("cs_2", 1, "another"),
        ("cs_1", 2, "twice"),
    ]


async def test_the_operator_is_told_of_the_first_only(connection: Connection) -> None:
    for _ in range(3):
        await raise_alert(connection, "inbox-dead", "evt_1", "It was given up.")

    told = await connection.fetch("SELECT kind, account_id, payload FROM billing.notices")
    assert [(row["kind"], row["account_id"]) for row in told] == [("alert", None)]
    assert told[0]["payload"] == {
        "alert": "inbox-dead",
        "subject": "evt_1",
        "detail": "It was given up.",
    }


async def test_the_same_trouble_after_it_was_resolved_is_a_new_alert(
    connection: Connection,
) -> None:
    first = await raise_alert(connection, "declines", "acc_1", "again and again")
    await alerts.resolve(connection, first, actor="anna")
    second = await raise_alert(connection, "declines", "acc_1", "again and again")

    assert second != first
    assert [each.id for each in await alerts.listed(connection)] == [second]
    both = await alerts.listed(connection, only_open=False)
    assert both[1].resolved_by == "anna"
    assert await connection.fetchval("SELECT count(*) FROM billing.notices") == 2


async def test_resolving_twice_changes_nothing(connection: Connection) -> None:
    alert = await raise_alert(connection, "declines", "acc_1", "again")
    await alerts.resolve(connection, alert, actor="anna")
    await alerts.resolve(connection, alert, actor="berta")

    [row] = await alerts.listed(connection, only_open=False)
    assert row.resolved_by == "anna"


async def test_what_is_not_there_cannot_be_resolved(connection: Connection) -> None:
    with pytest.raises(NoSuchObject):
        await alerts.resolve(connection, 0, actor="anna")


async def test_an_alert_in_a_transaction_that_fails_was_never_raised(
    connection: Connection,
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await raise_alert(connection, "x", "", "undone")
    await transaction.rollback()

    assert await alerts.listed(connection) == []


async def test_a_detail_with_nul_can_be_kept(connection: Connection) -> None:
    await raise_alert(connection, "x", "", "a\x00b")
    [row] = await alerts.listed(connection)
    assert row.detail == "ab"


async def test_errors_are_added_up_within_the_hour(
    database: Database, connection: Connection
) -> None:
    tally = ErrorTally()
    for _ in range(3):
        tally.record("CardError", "card_declined")
    tally.record("RateLimitError", "")
    await tally.flush(database)
    tally.record("CardError", "card_declined")
    await tally.flush(database)
    await tally.flush(database)

    rows = await connection.fetch("SELECT type, code, times FROM billing.stripe_errors ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("CardError", "card_declined", 4),
        ("RateLimitError", "", 1),
    ]
    assert await alerts.listed(connection) == []


async def test_a_key_that_stripe_does_not_accept_is_an_alert(
    database: Database, connection: Connection
) -> None:
    tally = ErrorTally()
    tally.record("AuthenticationError", "")
    await tally.flush(database)

    assert [each.kind for each in await alerts.listed(connection)] == ["stripe-key"]


async def test_with_postgres_away_the_counts_are_kept(
    template_copy: str, database: Database
) -> None:
    tally = ErrorTally()
    tally.record("CardError", "expired_card")
    await database.close()
    with pytest.raises(OUTAGE):
        await tally.flush(database)

    later = await Database.connect(template_copy, most=1)
    await tally.flush(later)
    async with later.connection() as connection:
        assert await connection.fetchval("SELECT sum(times)::int FROM billing.stripe_errors") == 1
    await later.close()


async def test_codes_from_outside_cannot_fill_the_memory(
    database: Database, connection: Connection
) -> None:
    tally = ErrorTally()
    for number in range(MAX_ERROR_SERIES + 50):
        tally.record("CardError", f"code {number}")
    await tally.flush(database)

    rows = await connection.fetch("SELECT code, times FROM billing.stripe_errors")
    assert len(rows) == MAX_ERROR_SERIES + 1
    assert {row["code"]: row["times"] for row in rows}["other"] == 50
