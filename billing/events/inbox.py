"""
The inbox: events of Stripe's that were committed, and what became of each.

An event waits as `received` until the worker has settled the object it names. What fails is tried
again, ever later, and is `dead` in the end; what does not fit is `quarantined`. Both wait for a
person, who has an event tried again or dismisses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from billing.errors import NoSuchObject, StateConflict
from billing.events.event import Event
from billing.stripe_door import Livemode
from billing.telling import alerts
from ledger import audit
from ledger.database import Connection, Queries
from ledger.inputs import check_limit, clean_text

Status: TypeAlias = Literal["received", "done", "ignored", "failed", "dead", "quarantined"]
Origin: TypeAlias = Literal["webhook", "reconciler"]

FOR_PEOPLE: tuple[Status, ...] = ("dead", "quarantined")

KEPT_FOR = timedelta(days=90)
"""Stripe lists events for 30 days and delivers them for 3: an older row keeps nothing out."""

MOST_FORGOTTEN = 10_000
"""Rows deleted at once; the next run goes on."""

_SQL = Queries("inbox", package="billing")


@dataclass(frozen=True, slots=True)
class Item:
    """
    An event in the inbox.

    Attributes:
        account_id: Whose it turned out to be; None: nobody's, or not known yet.
        outcome: What became of it, a sentence.
        error_code: Stripe's, or the error's name, where the last try failed.

    """

    id: int
    stripe_account: str
    livemode: bool
    event_id: str
    type: str
    object_type: str
    object_id: str
    thin: bool
    api_version: str
    origin: Origin
    account_id: int | None
    status: Status
    outcome: str
    error_code: str
    attempts: int
    next_try_at: datetime
    event_created: datetime
    received_at: datetime
    processed_at: datetime | None


async def put(
    connection: Connection,
    event: Event,
    raw: bytes,
    *,
    now: datetime,
    origin: Origin,
    status: Status = "received",
    outcome: str = "",
) -> bool:
    """Store an event, in the caller's transaction; False if it is there, and nothing changed."""
    row = await connection.fetchval(
        _SQL.put,
        event.stripe_account,
        event.livemode,
        event.id,
        event.type,
        event.object_type,
        event.object_id,
        event.thin,
        event.api_version,
        origin,
        raw,
        status,
        outcome,
        event.created,
        now,
    )
    return row is not None


async def known(connection: Connection, livemode: Livemode, event_ids: Sequence[str]) -> set[str]:
    """Return those of our own account's events that are in the inbox."""
    found = await connection.fetch(_SQL.known, livemode, list(event_ids))
    return {row["event_id"] for row in found}


async def listed(
    connection: Connection,
    *,
    statuses: Sequence[Status] | None = FOR_PEOPLE,
    object_id: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Item]:
    """
    List events, the newest first.

    Args:
        connection: To Postgres.
        statuses: Only these; None: all. What waits for a person, if nothing is said.
        object_id: Only what is about this object at Stripe.
        before: The last id of the page before.
        limit: 1 to 200.

    """
    wanted = None if statuses is None else list(statuses)
    rows = await connection.fetch(_SQL.rows, wanted, object_id, before, check_limit(limit))
    return [Item(**row) for row in rows]


async def show(connection: Connection, item_id: int) -> Item:
    """
    Return one event.

    Raises:
        NoSuchObject: It is not there.

    """
    row = await connection.fetchrow(_SQL.show, item_id)
    if row is None:
        raise NoSuchObject(f"no event {item_id} in the inbox")
    return Item(**row)


async def raw_of(connection: Connection, item_id: int) -> bytes:
    """
    Return an event's body as it came.

    Raises:
        NoSuchObject: It is not there.

    """
    raw: bytes | None = await connection.fetchval(_SQL.raw, item_id)
    if raw is None:
        raise NoSuchObject(f"no event {item_id} in the inbox")
    return raw


async def retry(connection: Connection, item_id: int, *, actor: str) -> None:
    """
    Have an event tried again at once, from the first of its tries; its alert is closed.

    Raises:
        NoSuchObject: It is not there.
        StateConflict: It waits already, or is done.

    """
    async with connection.transaction():
        row = await connection.fetchrow(_SQL.retry, item_id)
        await _closed(connection, row, item_id, actor)
        await audit.write(connection, actor, "inbox.retry", f"event {row['event_id']}", {})


async def dismiss(connection: Connection, item_id: int, *, actor: str, reason: str) -> None:
    """
    Close an event by hand; nothing is granted or taken for it, and its alert is closed.

    Raises:
        NoSuchObject: It is not there.
        StateConflict: It is closed already.
        InvalidInput: No reason given.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    async with connection.transaction():
        row = await connection.fetchrow(_SQL.dismiss, item_id, f"dismissed by {actor}: {why}")
        await _closed(connection, row, item_id, actor)
        detail = {"reason": why}
        await audit.write(connection, actor, "inbox.dismiss", f"event {row['event_id']}", detail)


async def settled_since(connection: Connection, object_id: str, *, actor: str) -> None:
    """Close what waited for a person about an object that is settled now, and its alerts."""
    for row in await connection.fetch(_SQL.settled_since, object_id):
        await _close_alerts(connection, row, actor)


async def forget(connection: Connection, now: datetime) -> int:
    """Delete what is done and older than `KEPT_FOR`; return how many rows, a limited number."""
    done: str = await connection.execute(_SQL.forget, now - KEPT_FOR, MOST_FORGOTTEN)
    return int(done.removeprefix("DELETE "))


async def _closed(connection: Connection, row: Any, item_id: int, actor: str) -> None:
    """Close the alerts of an event that a person took care of; without a row nobody could."""
    if row is None:
        item = await show(connection, item_id)
        raise StateConflict(f"event {item_id} is {item.status}")
    await _close_alerts(connection, row, actor)


async def _close_alerts(connection: Connection, row: Any, actor: str) -> None:
    for subject in (row["event_id"], row["object_id"]):
        for kind in ("quarantined", "inbox-dead"):
            await alerts.resolve_about(connection, kind, subject, actor=actor)
