"""What a person should look at: alerts of selling, and disputes."""

from typing import Annotated

from pydantic import Field

from billing import lists
from billing.money import money_text
from billing.shop import Shop
from billing.telling import alerts
from gateway.models import Answer, Time
from gateway.operations.payments import payment_text
from gateway.operations.shown import Display
from gateway.paging import PageQuery, pack_cursor, unpack_cursor, unpack_number
from ledger import accounts
from ledger.database import Database
from ledger.ids import account_text


class AlertQuery(PageQuery):
    """Which alerts."""

    open: Annotated[bool, Field(description="Only those nobody has resolved.")] = True


class AlertRow(Answer):
    """Something to look at; `times` counts how often it came up."""

    id: int
    kind: str
    subject: Annotated[str, Field(description="An object's id; empty where it is about all.")]
    detail: str
    times: int
    first_at: Time
    last_at: Time
    resolved_at: Time | None
    resolved_by: str | None


class AlertPage(Answer):
    """A page of alerts, newest first."""

    items: list[AlertRow]
    next: str | None


class AlertResolved(Answer):
    """An alert is closed; the same trouble later opens a new one."""

    id: int


class DisputeQuery(PageQuery):
    """Which disputes."""

    account: str | None = None
    open: bool | None = None


class DisputeRow(Answer):
    """A buyer's bank wants money back, or asks."""

    id: str
    payment_id: str
    order_id: str
    account: str
    status: str
    reason: str
    open: bool
    amount_minor: int
    withdrawn_minor: Annotated[int, Field(description="Taken at the moment; 0: an inquiry.")]
    currency: str
    due_by: Annotated[Time | None, Field(description="Evidence is taken until then.")]
    created_at: Time
    display: Display


class DisputePage(Answer):
    """A page of disputes, newest first."""

    items: list[DisputeRow]
    next: str | None


async def listed(database: Database, query: AlertQuery) -> AlertPage:
    """Return a page of alerts, newest first."""
    before = unpack_number("alerts", query.cursor)
    async with database.connection() as connection:
        found = await alerts.listed(
            connection, only_open=query.open, before=before, limit=query.limit
        )
    return AlertPage(
        items=[
            AlertRow(
                id=alert.id,
                kind=alert.kind,
                subject=alert.subject,
                detail=alert.detail,
                times=alert.times,
                first_at=alert.first_at,
                last_at=alert.last_at,
                resolved_at=alert.resolved_at,
                resolved_by=alert.resolved_by,
            )
            for alert in found
        ],
        next=pack_cursor("alerts", found[-1].id) if len(found) == query.limit else None,
    )


async def resolve(database: Database, alert: int, *, actor: str) -> AlertResolved:
    """Close an alert."""
    async with database.connection() as connection:
        await alerts.resolve(connection, alert, actor=actor)
    return AlertResolved(id=alert)


async def disputes(shop: Shop, query: DisputeQuery) -> DisputePage:
    """Return a page of disputes, newest first."""
    before = unpack_cursor("disputes", query.cursor)
    async with shop.ledger.database.connection() as connection:
        account = await accounts.find(connection, query.account) if query.account else None
        found = await lists.disputes(
            connection,
            livemode=shop.livemode,
            account_id=account.id if account else None,
            is_open=query.open,
            before=before,
            limit=query.limit,
        )
    return DisputePage(
        items=[
            DisputeRow(
                id=line.id,
                payment_id=payment_text(line.payment_id),
                order_id=line.order_id,
                account=account_text(line.account_id),
                status=line.status,
                reason=line.reason,
                open=line.open,
                amount_minor=line.amount_minor,
                withdrawn_minor=line.withdrawn_minor,
                currency=line.currency,
                due_by=line.due_by,
                created_at=line.created_at,
                display={"amount": money_text(line.amount_minor, line.currency)},
            )
            for line in found
        ],
        next=pack_cursor("disputes", found[-1].id) if len(found) == query.limit else None,
    )
