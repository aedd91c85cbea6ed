"""An account's history and its usage over a time."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from gateway.models import Answer, Given, Time
from gateway.operations.credit_types import chosen
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery
from ledger import credit_types, entries, usage
from ledger.database import Connection, Database
from ledger.ids import grant_text

TypeName = Annotated[str | None, Field(description="Credit type.")]
Since = Annotated[AwareDatetime | None, Field(alias="from", description="Then or later.")]
Until = Annotated[AwareDatetime | None, Field(alias="to", description="Before.")]


class EntryQuery(PageQuery):
    """Which entries; all that is named must fit."""

    type: TypeName = None
    kind: Annotated[entries.Kind | None, Field(description="What moved the balance.")] = None
    since: Since = None
    until: Until = None


class EntryAnswer(Answer):
    """One line of history: what moved a balance, and by how much."""

    kind: entries.Kind
    at: Time
    credit_type: str
    scale: int
    amount: Annotated[int, Field(description="Signed.")]
    balance_after: int
    description: str
    reference: str | None
    metadata: dict[str, Any]
    charge: Annotated[str | None, Field(description="The charge, or the one given back.")]
    grant: str | None
    routes: Annotated[
        list[str] | None, Field(description="The only ones on which these credits may be used.")
    ]
    display: Display


class EntryPage(Answer):
    """A page of history, newest first."""

    items: list[EntryAnswer]
    next: str | None


class UsageQuery(Given):
    """Which time; the last 30 days if none is named, 400 days at most."""

    type: TypeName = None
    since: Since = None
    until: Until = None


class RouteUsage(Answer):
    """Charges of one route that took something."""

    route: str
    count: int
    used: int
    display: Display


class DayUsage(Answer):
    """Charges of one day (UTC) that took something."""

    day: date
    count: int
    used: int
    display: Display


class TypeUsage(Answer):
    """One credit type over the time."""

    credit_type: str
    scale: int
    used: Annotated[int, Field(description="Charged, before refunds.")]
    refunded: Annotated[int, Field(description="Given back of these charges.")]
    purchased: int
    granted: int
    balance: Annotated[
        int, Field(description="Left now; credits that are limited to some routes too.")
    ]
    count: Annotated[int, Field(description="Charges that took something.")]
    average_daily: Annotated[float, Field(description="Used per day, smallest units.")]
    routes: list[RouteUsage]
    days: list[DayUsage]
    display: Display


class UsageAnswer(Answer):
    """Usage from `since` to before `until`."""

    since: Time
    until: Time
    types: list[TypeUsage]


async def page(database: Database, account: int, query: EntryQuery) -> EntryPage:
    """Return a page of an account's history, newest first."""
    async with database.connection() as connection:
        found = await entries.page(
            connection,
            account,
            credit_type_id=await _type_id(connection, query.type),
            kinds=[query.kind] if query.kind else (),
            since=query.since,
            until=query.until,
            cursor=query.cursor,
            limit=query.limit,
        )
    return EntryPage(items=[_entry(entry) for entry in found.entries], next=found.next_cursor)


async def used(
    database: Database, account: int, query: UsageQuery, *, now: datetime
) -> UsageAnswer:
    """Report what an account used over a time."""
    async with database.connection() as connection:
        report = await usage.report(
            connection,
            account,
            now=now,
            since=query.since,
            until=query.until,
            credit_type_id=await _type_id(connection, query.type),
        )
    return UsageAnswer(
        since=report.since, until=report.until, types=[_usage(part) for part in report.types]
    )


async def _type_id(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    return chosen(await credit_types.every(connection), name, "type").id


def _entry(entry: entries.Entry) -> EntryAnswer:
    amounts = {"amount": entry.amount, "balance_after": entry.balance_after}
    return EntryAnswer(
        **amounts,
        kind=entry.kind,
        at=entry.at,
        credit_type=entry.credit_type,
        scale=entry.scale,
        description=entry.description,
        reference=entry.reference,
        metadata=entry.metadata,
        charge=None if entry.charge_id is None else entry.charge_id.hex(),
        grant=None if entry.grant_id is None else grant_text(entry.grant_id),
        routes=entry.routes,
        display=display(entry.scale, amounts),
    )


def _usage(part: usage.Usage) -> TypeUsage:
    amounts = {
        "used": part.used,
        "refunded": part.refunded,
        "purchased": part.purchased,
        "granted": part.granted,
        "balance": part.balance,
    }
    return TypeUsage(
        **amounts,
        credit_type=part.credit_type,
        scale=part.scale,
        count=part.count,
        average_daily=part.average_daily,
        routes=[
            RouteUsage(
                route=row.route,
                count=row.count,
                used=row.used,
                display=display(part.scale, {"used": row.used}),
            )
            for row in part.routes
        ],
        days=[
            DayUsage(
                day=row.day,
                count=row.count,
                used=row.used,
                display=display(part.scale, {"used": row.used}),
            )
            for row in part.days
        ],
        display=display(part.scale, amounts),
    )
