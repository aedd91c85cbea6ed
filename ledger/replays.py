"""
Recorded charges read again, in the order of time, and sums over them by account.

Memory stays the same however many charges and accounts there are: rows come through a cursor
of the server's, and sums go into a temporary table that the transaction takes with it.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ledger.charges import id_at
from ledger.database import Connection, Queries

ROWS_AT_ONCE = 2_000
"""Fetched together: enough to make the way to Postgres cheap, few enough to hold nobody up."""

_SQL = Queries("replays")


class Sums(NamedTuple):
    """Of one account and credit type; amounts in smallest units."""

    charges: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class AccountSums:
    """
    The same with who the account is.

    available: Of that credit type, now; None where it was not asked for.
    of: How many accounts there are in all, when only the first are listed.
    """

    account_id: int
    external_id: str | None
    plan: str
    credit_type: str
    charges: int
    before: int
    after: int
    of: int
    available: int | None = None


@dataclass(frozen=True, slots=True)
class PlanSums:
    """Of all accounts of a plan."""

    plan: str
    credit_type: str
    charges: int
    before: int
    after: int


async def begin(connection: Connection) -> None:
    """Make room for sums; the transaction that this is in takes it away."""
    await connection.execute(_SQL.make_sums)


async def recorded(
    connection: Connection, since: datetime, until: datetime, account_id: int | None = None
) -> AsyncIterator[Sequence[Any]]:
    """
    Read the charges begun from `since` to before `until`, the oldest first, in heaps of rows.

    A row is id, account, price version, rule, state, reason, status, held, due, then units,
    measured and record as JSON text, the note, the key and the plan. due: captured or written off.
    Only inside a transaction, after `partitions.hold_still`.
    """
    span = (id_at(since), id_at(until))
    if account_id is None:
        cursor = await connection.cursor(_SQL.recorded, *span)
    else:
        cursor = await connection.cursor(_SQL.recorded_of_account, *span, account_id)
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        yield rows


async def add(connection: Connection, sums: Mapping[tuple[int, str], Iterable[int]]) -> None:
    """Add sums (see `Sums`) by account and credit type to those that were added before."""
    rows = [(account, credit_type, *one) for (account, credit_type), one in sums.items()]
    columns = ("account_id", "credit_type", *Sums._fields)
    await connection.copy_records_to_table("replayed", records=rows, columns=columns)


async def changed(connection: Connection, most: int) -> list[AccountSums]:
    """List the accounts with the greatest changes."""
    return [_account(row) for row in await connection.fetch(_SQL.changed, most)]


async def dry(connection: Connection, most: int) -> list[AccountSums]:
    """List the accounts whose credits are less than `after`, the scarcest first."""
    return [_account(row) for row in await connection.fetch(_SQL.dry, most)]


async def plans(connection: Connection) -> list[PlanSums]:
    """Add up by the plan that each account has now."""
    rows = await connection.fetch(_SQL.plans)
    return [
        PlanSums(**row | {"before": int(row["before"]), "after": int(row["after"])})
        for row in map(dict, rows)
    ]


def _account(row: Any) -> AccountSums:
    values = dict(row)
    return AccountSums(**values | {name: int(values[name]) for name in ("before", "after")})
