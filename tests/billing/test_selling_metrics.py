"""What Prometheus is told of selling."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from billing.events import inbox
from billing.events.event import read_event
from billing.selling_metrics import exposition
from billing.telling.alerts import count_error, raise_alert
from ledger.database import Database
from tests.billing.inbox_rig import body, snapshot

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url, most=2)
    yield database
    await database.close()


async def told(database: Database) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    text = await exposition(database, livemode=False, now=NOW)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def put(database: Database, event_id: str, status: inbox.Status, age_s: int) -> None:
    event = snapshot(event_id)
    async with database.transaction() as connection:
        await inbox.put(
            connection,
            read_event(event),
            body(event),
            now=NOW - timedelta(seconds=age_s),
            origin="webhook",
            status=status,
        )


async def test_nothing_sold_yet_is_told_too(database: Database) -> None:
    assert await told(database) == {
        ("farebox_inbox_waiting",): 0,
        ("farebox_inbox_oldest_seconds",): 0,
        ("farebox_webhook_processing_seconds_sum",): 0,
        ("farebox_webhook_processing_seconds_count",): 0,
    }


async def test_events_are_told_by_type_and_status_and_by_how_long_they_wait(
    database: Database,
) -> None:
    await put(database, "evt_1", "received", 30)
    await put(database, "evt_2", "failed", 90)
    await put(database, "evt_3", "done", 10)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE billing.inbox SET processed_at = received_at + interval '2.5 s'"
            " WHERE event_id = 'evt_3'"
        )

    samples = await told(database)
    kind = "checkout.session.completed"
    assert samples["farebox_webhook_events", kind, "received"] == 1
    assert samples["farebox_webhook_events", kind, "done"] == 1
    assert samples["farebox_inbox_waiting",] == 2
    assert samples["farebox_inbox_oldest_seconds",] == 90
    assert samples["farebox_webhook_processing_seconds_sum",] == 2.5
    assert samples["farebox_webhook_processing_seconds_count",] == 1


async def test_alerts_errors_and_notices_are_told(database: Database) -> None:
    async with database.connection() as connection:
        await raise_alert(connection, "quarantined", "cs_1", 'It says "no".')
        await count_error(connection, "CardError", 'a"b\\c\nd', 3)

    samples = await told(database)
    assert samples["farebox_alerts_open", "quarantined"] == 1
    assert samples["farebox_stripe_errors_total", "CardError", 'a"b\\c\nd'] == 3
    assert samples["farebox_notices", "webhook", "waiting"] == 1


async def test_purchases_are_told_by_state(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO credit_types (id, name, scale) VALUES (1, 'credits', 0);
            INSERT INTO accounts (external_id) VALUES ('a');
            INSERT INTO billing.orders (id, account_id, livemode, kind, state, package, offer,
                credit_type_id, credits_each, currency, unit_minor, quantity, least_quantity,
                most_quantity)
            SELECT 'ord_' || lpad(n::text, 24, '0'), id, n = 9, 'checkout',
                   CASE WHEN n < 3 THEN 'paid' ELSE 'open' END, 'starter', '{}', 1, 100, 'usd',
                   1000, 1, 1, 1
              FROM accounts, generate_series(1, 9) AS n
            """
        )

    samples = await told(database)
    assert samples["farebox_orders", "checkout", "paid"] == 2
    assert samples["farebox_orders", "checkout", "open"] == 6, "the other mode's is not counted"
