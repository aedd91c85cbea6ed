"""What an account used over a time: in all, per route and per day."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ledger.charges import id_at
from ledger.database import Connection, Queries
from ledger.errors import InvalidInput

DEFAULT_DAYS = 30
MAX_DAYS = 400
"""A report is computed from single charges; a year and a bit at once is enough."""

_DAY = timedelta(days=1)
_SQL = Queries("usage")


@dataclass(frozen=True, slots=True)
class RouteUsage:
    """Charges of one route: how many took something, and how much."""

    route: str
    count: int
    used: int


@dataclass(frozen=True, slots=True)
class DayUsage:
    """Charges of one day (UTC)."""

    day: date
    count: int
    used: int


@dataclass(slots=True)
class Usage:
    """
    One credit type over the time asked for; amounts in its smallest units.

    used: captured, before refunds. refunded: given back of these charges. purchased: bought
    or subscribed in that time. granted: all that was put in, refunds aside. balance:
    available now. average_daily: used per day of that time. count: charges that took
    something.
    """

    credit_type_id: int
    credit_type: str
    scale: int
    used: int
    refunded: int
    purchased: int
    granted: int
    balance: int
    count: int
    average_daily: float
    routes: list[RouteUsage] = field(default_factory=list)
    days: list[DayUsage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Usage from `since` to before `until`, one part per credit type."""

    since: datetime
    until: datetime
    types: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Served:
    """Charged requests of one rule of one price version on one day (UTC), over all accounts."""

    version: int
    rule: int
    day: date
    count: int


async def served(connection: Connection, since: datetime, until: datetime) -> list[Served]:
    """Count charged requests from `since` to before `until`, for what they cost the operator."""
    rows = await connection.fetch(_SQL.served, id_at(since), id_at(until))
    return [Served(**row) for row in rows]


async def report(
    connection: Connection,
    account_id: int,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    credit_type_id: int | None = None,
) -> Report:
    """
    Report an account's usage; a request counts where it began.

    Args:
        connection: To Postgres.
        account_id: Whose.
        now: The end when none is given.
        since: From here on; default: 30 days before the end.
        until: Up to here.
        credit_type_id: Only of this type.

    Raises:
        InvalidInput: The time is empty or longer than 400 days.

    """
    end = until or now
    begin = since or end - timedelta(days=DEFAULT_DAYS)
    if begin >= end:
        raise InvalidInput("from", "must be before to")
    if end - begin > timedelta(days=MAX_DAYS):
        raise InvalidInput("from", f"at most {MAX_DAYS} days at once")
    span = begin, end
    types = {
        row["credit_type_id"]: Usage(**row, used=0, refunded=0, count=0, average_daily=0.0)
        for row in await connection.fetch(_SQL.types, account_id, credit_type_id, *span)
    }
    rows = await connection.fetch(
        _SQL.charges, account_id, credit_type_id, id_at(begin), id_at(end)
    )
    for row in rows:
        usage = types.get(row["credit_type_id"])
        if usage is None:
            continue
        if row["by_route"]:
            usage.routes.append(RouteUsage(row["route"], row["count"], row["used"]))
        elif row["by_day"]:
            usage.days.append(DayUsage(row["day"], row["count"], row["used"]))
        else:
            usage.used, usage.refunded = row["used"], row["refunded"]
            usage.count = row["count"]
            usage.average_daily = round(row["used"] / ((end - begin) / _DAY), 4)
    return Report(begin.astimezone(UTC), end.astimezone(UTC), list(types.values()))
