"""
What was watched and not charged: requests of routes that observe, and what their accounts had.

The ledger only tells it; what each request would have met is worked out by who knows the prices.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.charges import id_at
from ledger.database import Connection, Queries

ROWS_AT_ONCE = 1_000
"""Of a cursor: a report over a million requests holds no more of them in memory."""

LONGEST_S = 600.0
"""For the first statement, which reads every charge of the time."""

_SQL = Queries("observed")


@dataclass(frozen=True, slots=True)
class WatchedPool:
    """
    An account's credits of one type, where requests for them were watched.

    start: what it had before the first of these requests, less its floor; smallest units.
    available: what it has now.
    """

    account_id: int
    credit_type_id: int
    external_id: str | None
    start: int
    available: int


@dataclass(frozen=True, slots=True)
class KeyLife:
    """What a key may do, and until when: revoked at some time, or expiring by itself."""

    id: int
    scopes: int
    expires_ms: int
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Freeze:
    """From this moment on an account was frozen, or not any more."""

    account_id: int
    at: datetime
    frozen: bool


@dataclass(frozen=True, slots=True)
class CapSet:
    """From then on a key might spend so much in a window (of `limits.PERIODS`); None: all."""

    key_id: int
    credit_type_id: int
    at: datetime
    per: int
    units: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """
    A watched request; or, of an account that was watched, a charge or what moved its balance.

    amount: what the request would have cost (0: it would not have been charged, or has no
    price), or was charged. captured: what moved the balance, signed; None where nothing did.
    failed: a charge that was given back whole. duration_ms: how long a watched one took, from
    its id's time. ended: when it was recorded as over; None while it is under way.
    plan: what its account was on, where prices asked for it.
    """

    id: bytes
    what: Literal["watched", "charged", "moved"]
    account_id: int | None
    key_id: int | None
    credit_type_id: int
    amount: int
    captured: int | None
    price_version: int | None
    rule: int | None
    units: list[int] | None
    note: str | None
    failed: bool
    duration_ms: int | None
    ended: datetime | None
    plan: str | None
    route: str | None


async def pools(connection: Connection, since: datetime, until: datetime) -> list[WatchedPool]:
    """Return which accounts were watched, and what they had when it began."""
    rows = await connection.fetch(_SQL.pools, id_at(since), id_at(until), timeout=LONGEST_S)
    return [WatchedPool(**row) for row in rows]


async def freezes(connection: Connection, accounts: list[int]) -> list[Freeze]:
    """Return every freeze and thaw of these accounts, each account's in order."""
    rows = await connection.fetch(_SQL.freezes, accounts)
    return [Freeze(row["account_id"], row["created_at"], row["frozen"]) for row in rows]


async def caps(connection: Connection, accounts: list[int]) -> list[CapSet]:
    """Return every cap of these accounts' keys that was set or lifted, each account's in order."""
    rows = await connection.fetch(_SQL.caps, accounts)
    return [CapSet(**row) for row in rows]


async def keys(connection: Connection, accounts: list[int]) -> list[KeyLife]:
    """Return the keys of these accounts."""
    return [KeyLife(**row) for row in await connection.fetch(_SQL.keys, accounts)]


async def events(
    connection: Connection, since: datetime, until: datetime, accounts: list[int]
) -> AsyncIterator[list[Event]]:
    """
    Yield watched requests, and these accounts' charges and movements, in the order of time.

    The connection must be in a transaction, which keeps them at one moment.
    """
    cursor = await connection.cursor(
        _SQL.events, id_at(since), id_at(until), accounts, timeout=LONGEST_S
    )
    while rows := await cursor.fetch(ROWS_AT_ONCE, timeout=LONGEST_S):
        yield [Event(**row) for row in rows]
