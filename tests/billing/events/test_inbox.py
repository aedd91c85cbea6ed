"""The inbox as people see it: listed, shown, tried again, dismissed, and forgotten in time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.errors import NoSuchObject, StateConflict
from billing.events import inbox
from billing.events.event import read_event
from billing.events.inbox import Item, Status
from billing.shop import Shop
from billing.telling.alerts import raise_alert
from ledger.errors import InvalidInput
from tests.billing.inbox_rig import (
    body,
    emptied,
    inbox_shop,
    open_alerts,
    rows,
    snapshot,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(template_copy: str) -> AsyncIterator[Shop]:
    async with inbox_shop(await emptied(template_copy)) as shop:
        yield shop


def now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)


async def put(shop: Shop, event_id: str, status: Status, at: datetime | None = None) -> int:
    """Store an event that ended so; return its number."""
    event = snapshot(event_id)
    async with shop.ledger.database.transaction() as connection:
        await inbox.put(
            connection,
            read_event(event),
            body(event),
            now=at or now(shop),
            origin="webhook",
            status=status,
            outcome="because",
        )
    return max(row["id"] for row in await rows(shop))


async def listed(shop: Shop, **wanted: object) -> list[Item]:
    async with shop.ledger.database.connection() as connection:
        return await inbox.listed(connection, **wanted)


async def test_only_what_waits_for_a_person_is_listed_unless_more_is_asked_for(shop: Shop) -> None:
    await put(shop, "evt_1", "done")
    await put(shop, "evt_2", "quarantined")
    await put(shop, "evt_3", "dead")

    assert [item.event_id for item in await listed(shop)] == ["evt_3", "evt_2"]
    assert len(await listed(shop, statuses=None)) == 3
    assert [item.event_id for item in await listed(shop, statuses=["done"])] == ["evt_1"]
    assert await listed(shop, object_id="cs_other") == []


async def test_pages_follow_each_other(shop: Shop) -> None:
    numbers = [await put(shop, f"evt_{n}", "dead") for n in range(3)]

    first = await listed(shop, limit=2)
    rest = await listed(shop, limit=2, before=first[-1].id)

    assert [item.id for item in [*first, *rest]] == numbers[::-1]


async def test_an_event_is_shown_with_its_body(shop: Shop) -> None:
    number = await put(shop, "evt_1", "quarantined")

    async with shop.ledger.database.connection() as connection:
        item = await inbox.show(connection, number)
        raw = await inbox.raw_of(connection, number)

    assert (item.event_id, item.status, item.outcome) == ("evt_1", "quarantined", "because")
    assert raw == body(snapshot("evt_1"))


async def test_what_is_not_there_cannot_be_shown(shop: Shop) -> None:
    async with shop.ledger.database.connection() as connection:
        with pytest.raises(NoSuchObject):
            await inbox.show(connection, 0)
        with pytest.raises(NoSuchObject):
            await inbox.raw_of(connection, 0)
        with pytest.raises(NoSuchObject):
            await inbox.retry(connection, 0, actor="root")


async def test_a_retry_begins_anew_and_closes_the_alert(shop: Shop) -> None:
    number = await put(shop, "evt_1", "quarantined")
    async with shop.ledger.database.connection() as connection:
        await raise_alert(connection, "quarantined", "cs_test_1", "It does not fit.")

    async with shop.ledger.database.connection() as connection:
        await inbox.retry(connection, number, actor="anna")

    [row] = await rows(shop)
    assert (row["status"], row["attempts"]) == ("received", 0)
    assert row["next_try_at"] <= now(shop)
    assert await open_alerts(shop) == []
    assert await _audited(shop) == ("anna", "inbox.retry", "event evt_1")


@pytest.mark.parametrize("status", ["received", "done", "ignored"])
async def test_what_does_not_wait_for_a_person_cannot_be_retried(
    shop: Shop, status: Status
) -> None:
    number = await put(shop, "evt_1", status)

    async with shop.ledger.database.connection() as connection:
        with pytest.raises(StateConflict):
            await inbox.retry(connection, number, actor="anna")


async def test_a_dismissed_event_is_ignored_and_says_why(shop: Shop) -> None:
    number = await put(shop, "evt_1", "quarantined")

    async with shop.ledger.database.connection() as connection:
        await inbox.dismiss(connection, number, actor="anna", reason="refunded by hand")
        with pytest.raises(StateConflict):
            await inbox.dismiss(connection, number, actor="anna", reason="again")

    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("ignored", "dismissed by anna: refunded by hand")


async def test_dismissing_needs_a_reason(shop: Shop) -> None:
    number = await put(shop, "evt_1", "quarantined")

    async with shop.ledger.database.connection() as connection:
        with pytest.raises(InvalidInput):
            await inbox.dismiss(connection, number, actor="anna", reason=" ")


async def test_only_what_is_closed_and_old_is_forgotten(shop: Shop) -> None:
    old = now(shop) - inbox.KEPT_FOR - timedelta(seconds=1)
    await put(shop, "evt_1", "done", old)
    await put(shop, "evt_2", "ignored", old)
    await put(shop, "evt_3", "quarantined", old)
    await put(shop, "evt_4", "done")

    async with shop.ledger.database.connection() as connection:
        assert await inbox.forget(connection, now(shop)) == 2

    assert [row["event_id"] for row in await rows(shop)] == ["evt_3", "evt_4"]


async def _audited(shop: Shop) -> tuple[str, str, str]:
    async with shop.ledger.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT actor, action, target FROM audit ORDER BY id DESC LIMIT 1"
        )
    return row["actor"], row["action"], row["target"]
