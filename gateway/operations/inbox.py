"""The inbox: what Stripe delivered, and what an operator does about what could not be settled."""

from typing import Annotated, Any, Literal

from pydantic import Field

from billing.events import attach as attaching
from billing.events import inbox
from billing.events.inbox import Item, Status
from billing.shop import Shop
from gateway.models import Answer, GivenBody, LongText, Time
from gateway.operations.desk import Desk
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import accounts
from ledger.database import Database
from ledger.ids import account_text


class InboxQuery(PageQuery):
    """Which events."""

    status: Annotated[
        Status | Literal["any"] | None,
        Field(description="Left out: those that wait for a person (`dead`, `quarantined`)."),
    ] = None
    object: Annotated[
        str | None, Field(max_length=255, description="Only about this object at Stripe.")
    ] = None


class InboxRow(Answer):
    """An event. What it says is never believed; the object it names is fetched from Stripe."""

    id: int
    event_id: str
    type: str
    object_type: str
    object_id: str
    origin: Annotated[str, Field(description="webhook, or reconciler where none came.")]
    status: Status
    outcome: Annotated[str, Field(description="What became of it.")]
    error_code: str
    attempts: int
    account: str | None
    api_version: str
    event_created: Time
    received_at: Time
    next_try_at: Time
    processed_at: Time | None


class InboxPage(Answer):
    """A page of events, newest first."""

    items: list[InboxRow]
    next: str | None


class InboxAnswer(InboxRow):
    """An event with its body as it came."""

    body: str


class Dismissal(GivenBody):
    """Why nothing is to be done about it."""

    reason: LongText


class Attachment(GivenBody):
    """Whose a purchase is that was made past us, by a payment link say."""

    account: Annotated[str, Field(min_length=1, max_length=200)]
    package: Annotated[str, Field(min_length=1, max_length=64, description="At its own price.")]


async def listed(database: Database, query: InboxQuery) -> InboxPage:
    """Return a page of events, newest first."""
    before = unpack_number("inbox", query.cursor)
    statuses: tuple[Status, ...] | None = inbox.FOR_PEOPLE
    if query.status == "any":
        statuses = None
    elif query.status is not None:
        statuses = (query.status,)
    async with database.connection() as connection:
        found = await inbox.listed(
            connection,
            statuses=statuses,
            object_id=query.object,
            before=before,
            limit=query.limit,
        )
    return InboxPage(
        items=[InboxRow(**_fields(item)) for item in found],
        next=pack_cursor("inbox", found[-1].id) if len(found) == query.limit else None,
    )


async def show(database: Database, item: int) -> InboxAnswer:
    """Show an event with its body."""
    async with database.connection() as connection:
        found = await inbox.show(connection, item)
        raw = await inbox.raw_of(connection, item)
    return InboxAnswer(**_fields(found), body=raw.decode("utf-8", "replace"))


async def retry(desk: Desk, item: int) -> InboxRow:
    """
    Have an event tried again at once; the steward does it within a second.

    Raises:
        StateConflict: It waits already, or is done.

    """
    async with desk.ledger.database.connection() as connection:
        await inbox.retry(connection, item, actor=desk.actor)
        return InboxRow(**_fields(await inbox.show(connection, item)))


async def dismiss(desk: Desk, item: int, dismissal: Dismissal) -> InboxRow:
    """
    Close an event by hand; nothing is granted or taken for it.

    Raises:
        StateConflict: It is closed already.

    """
    async with desk.ledger.database.connection() as connection:
        await inbox.dismiss(connection, item, actor=desk.actor, reason=dismissal.reason)
        return InboxRow(**_fields(await inbox.show(connection, item)))


async def attach(shop: Shop, item: int, attachment: Attachment, *, actor: str) -> InboxRow:
    """
    Say whose the session of an event is, and what it bought; it is settled then.

    Raises:
        StateConflict: It is not about a single purchase, or somebody has it already.
        Quarantined: What was paid is not the package's price.

    """
    async with shop.ledger.database.connection() as connection:
        account = await accounts.find(connection, attachment.account)
    await attaching.attach(shop, item, account.id, attachment.package, actor=actor)
    async with shop.ledger.database.connection() as connection:
        return InboxRow(**_fields(await inbox.show(connection, item)))


def _fields(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "event_id": item.event_id,
        "type": item.type,
        "object_type": item.object_type,
        "object_id": item.object_id,
        "origin": item.origin,
        "status": item.status,
        "outcome": item.outcome,
        "error_code": item.error_code,
        "attempts": item.attempts,
        "account": None if item.account_id is None else account_text(item.account_id),
        "api_version": item.api_version,
        "event_created": item.event_created,
        "received_at": item.received_at,
        "next_try_at": item.next_try_at,
        "processed_at": item.processed_at,
    }
