"""The months of `charges`: made ahead, and dropped when nobody wants them any more."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from ledger.charges import id_at
from ledger.database import Connection, Queries
from ledger.errors import InvalidInput, LedgerUnavailable

MONTHS_AHEAD = 3
LOCK_LIMIT = "1s"
"""Posting waits behind a lock that is asked for, so asking ends soon. Whoever asked tries again."""

_NAME = re.compile(r"charges_(\d{4})_(\d{2})", re.ASCII)
_SQL = Queries("partitions")


class Month(NamedTuple):
    """A calendar month, UTC."""

    year: int
    month: int

    @property
    def name(self) -> str:
        """Of its partition."""
        return f"charges_{self.year:04d}_{self.month:02d}"

    @property
    def begin(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def plus(self, months: int) -> "Month":
        """Return the month so many months later (or earlier)."""
        years, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(years, month + 1)


def month_of(moment: datetime) -> Month:
    """Return the month a moment lies in."""
    utc = moment.astimezone(UTC)
    return Month(utc.year, utc.month)


async def existing(connection: Connection) -> list[Month]:
    """Return the months that have a partition, in order."""
    names = [row["name"] for row in await connection.fetch(_SQL.existing)]
    found = [_NAME.fullmatch(name) for name in names]
    return sorted(Month(int(match[1]), int(match[2])) for match in found if match)


async def hold_still(connection: Connection) -> None:
    """
    Keep months from being made or dropped until this transaction ends.

    Who reads ranges of charges as of one moment asks first, before any other statement: Postgres
    chooses partitions as they are now and rows as they were then, so a row that moved is in none.
    """
    await connection.execute(_SQL.hold_still)


async def ensure(connection: Connection, now: datetime, ahead: int = MONTHS_AHEAD) -> list[Month]:
    """
    Make the partitions from last month to `ahead` months from now; return those made.

    What already lies in the default partition is moved. A repeat does nothing.

    Raises:
        LedgerUnavailable: Something long (a backup, a `verify`) is reading; try again later.

    """
    there = set(await existing(connection))
    here = month_of(now)
    made = []
    for month in (here.plus(n) for n in range(-1, ahead + 1)):
        if month not in there:
            await _make(connection, month)
            made.append(month)
    return made


async def retire(connection: Connection, now: datetime, keep_months: int) -> list[Month]:
    """
    Drop months older than the last `keep_months`, and return them.

    Balances and totals stay; single charges and the chance to refund them go. A month with
    an open hold stays. A repeat does nothing.

    Raises:
        InvalidInput: Less than one month would be kept.
        LedgerUnavailable: Something long (a backup, a `verify`) is reading; try again later.

    """
    if keep_months < 1:
        raise InvalidInput("retention", "at least 1 month")
    oldest = month_of(now).plus(-keep_months)
    return [
        month
        for month in await existing(connection)
        if month < oldest and await _drop(connection, month)
    ]


async def complete_since(connection: Connection) -> datetime | None:
    """Return the moment from which on no charge was dropped; None if none ever was."""
    moment: datetime | None = await connection.fetchval(_SQL.complete_since)
    return moment


async def _make(connection: Connection, month: Month) -> None:
    low, high = id_at(month.begin), id_at(month.plus(1).begin)
    async with connection.transaction():
        await _lock(connection)
        if await connection.fetchval(_SQL.exists, month.name):
            return  # another steward was quicker
        await connection.execute(_named(_SQL.create, month))
        await connection.execute(_named(_SQL.move, month), low, high)
        await connection.execute(_named(_SQL.attach, month, low=low.hex(), high=high.hex()))


async def _drop(connection: Connection, month: Month) -> bool:
    low, high = id_at(month.begin), id_at(month.plus(1).begin)
    async with connection.transaction():
        await _lock(connection)
        if not await connection.fetchval(_SQL.exists, month.name):
            return False
        counted: Any = await connection.fetchrow(_named(_SQL.count, month))
        if counted["open"]:
            return False
        await connection.execute(_SQL.remember, month.name, low, high, counted["charges"])
        await connection.execute(_named(_SQL.drop, month))
    return True


async def _lock(connection: Connection) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_LIMIT}'")
    try:
        await connection.execute(_SQL.lock)
    except asyncpg.LockNotAvailableError as busy:
        raise LedgerUnavailable("the charges are being read, their months must wait") from busy


def _named(statement: str, month: Month, **values: str) -> str:
    """Put the partition's name in, where Postgres takes no parameter; it is made of digits."""
    return statement.format(name=month.name, **values)
