"""
Whether the ledger in Postgres adds up: the invariants, checked from the rows alone.

Everything is read in one snapshot, so a gateway may be at work meanwhile. Large tables are
read in slices of accounts and of batches. Nothing is ever corrected here.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from ledger import account_history, partitions
from ledger.allocation import read_allocation
from ledger.batch_walk import Walk
from ledger.database import Connection, Queries
from ledger.findings import Finding
from ledger.heads import Head

ACCOUNTS_AT_ONCE = 1_000
FACTS_AT_ONCE = 50_000
"""Of a slice of accounts, whose histories are in memory together; one account may have more."""

MOST_REPLAYED = 1_000_000
"""Facts of one account, a gigabyte while they are replayed; with more, its sums have to do."""

CHARGES_AT_ONCE = 50_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = Queries("verify")

PER_ACCOUNT = (
    "controls_continuous",
    "pool_identity",
    "pool_is_its_lots",
    "held_is_open_charges",
    "controls_were_applied",
    "totals_from_history",
    "refunds_of_charges",
    "grants_were_asked_for",
    "limits_of_grants",
    "stray_movements",
)
"""Statements of `verify.sql` that return (account_id, detail) for a slice of accounts."""

FROM_ALL_CHARGES = ("totals_from_charges", "facts_counted")
"""The same, but true only for accounts of which no charge was dropped by retention."""

OF_ALL = (
    "dead_facts",
    "quarantined",
    "overdue_holds",
    "gateways_differ",
    "months_dropped_are_gone",
    "unresolved",
)
"""Statements that look at everything at once, and return (account_id, detail) too."""


class Slice(NamedTuple):
    """Accounts that are looked at together: numbers `first` to `last`, with so many facts."""

    first: int
    last: int
    facts: int


async def verify(connection: Connection, heads: Sequence[Head] = ()) -> list[Finding]:
    """
    Check every invariant and return what is wrong; nothing found means clean.

    Args:
        connection: Not inside a transaction of the caller's.
        heads: Kept from before; history up to each must still be the one it was taken of.

    """
    found: list[Finding] = []
    async with one_snapshot(connection):
        for check in OF_ALL:
            found += await _run(connection, check)
        last = 0
        while accounts := await next_accounts(connection, last):
            found += await of_accounts(connection, accounts)
            last = accounts.last
        charge = b""
        while charges := await next_charges(connection, charge):
            found += await strays(connection, *charges)
            charge = charges[1]
        for shard in await connection.fetch(_SQL.shards):
            own = [head for head in heads if head.shard == shard["id"]]
            found += await Walk(shard["id"], own).to_the_end(connection)
    return found


@asynccontextmanager
async def one_snapshot(connection: Connection) -> AsyncIterator[None]:
    """Read as of one moment for as long as the block runs."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await partitions.hold_still(connection)
        yield


async def dead_facts(connection: Connection) -> list[Finding]:
    """Return the facts that broke a rule and that nobody has resolved."""
    return await _run(connection, "dead_facts")


async def next_accounts(
    connection: Connection, after: int, facts: int = FACTS_AT_ONCE
) -> Slice | None:
    """Return the accounts behind `after` that have so many facts together, at least one."""
    row = await connection.fetchrow(_SQL.next_accounts, after, ACCOUNTS_AT_ONCE, facts)
    return None if row["last"] is None else Slice(row["first"], row["last"], row["facts"])


async def of_accounts(
    connection: Connection, accounts: Slice, replayed: int = MOST_REPLAYED
) -> list[Finding]:
    """
    Check what can be checked of each account by itself.

    Args:
        connection: In one snapshot.
        accounts: Which.
        replayed: Accounts with more facts are checked by their sums and not fact by fact.

    """
    first, last, _ = accounts
    since = await partitions.complete_since(connection) or _BEGINNING
    found: list[Finding] = []
    for check in PER_ACCOUNT:
        found += await _run(connection, check, first, last)
    for check in FROM_ALL_CHARGES:
        found += await _run(connection, check, first, last, since)
    found += await _lots_held(connection, first, last)
    found += await _lots_within_reach(connection, first, last)
    whole = [
        row["id"] for row in await connection.fetch(_SQL.complete, first, last, since, replayed)
    ]
    return found + await account_history.check(connection, whole)


async def next_charges(
    connection: Connection, after: bytes, most: int = CHARGES_AT_ONCE
) -> tuple[bytes, bytes] | None:
    """Return the first and the last id of the charges behind `after`, at most so many."""
    rows = await connection.fetch(_SQL.next_charges, after, most)
    return (rows[0]["id"], rows[-1]["id"]) if rows else None


async def strays(connection: Connection, first: bytes, last: bytes) -> list[Finding]:
    """See that each charge is of a batch that knows it; what batches know is `Walk`'s to check."""
    return await _run(connection, "stray_charges", first, last)


async def _run(connection: Connection, check: str, *arguments: object) -> list[Finding]:
    rows = await connection.fetch(getattr(_SQL, check), *arguments)
    name = check.replace("_", "-")
    return [Finding(name, row["account_id"], row["detail"]) for row in rows]


async def _lots_held(connection: Connection, first: int, last: int) -> list[Finding]:
    """See that each lot's held part is what the open charges say they took from it."""
    held: Counter[tuple[int, int]] = Counter()
    for row in await connection.fetch(_SQL.open_allocations, first, last):
        for part in read_allocation(row["allocation"]):
            held[row["account_id"], part.lot] += part.amount
    rows = await connection.fetch(_SQL.lots_held, first, last)
    stored = Counter({(row["account_id"], row["id"]): row["held"] for row in rows})
    return [
        Finding(
            "lot-is-held",
            account,
            f"lot {lot} holds {stored[account, lot]}, its open charges {held[account, lot]}",
        )
        for account, lot in sorted(held.keys() | stored.keys())
        if held[account, lot] != stored[account, lot]
    ]


async def _lots_within_reach(connection: Connection, first: int, last: int) -> list[Finding]:
    """See that credits which are limited to some routes paid for no other."""
    rows = await connection.fetch(_SQL.limited_lots, first, last)
    if not rows:
        return []
    routes = {row["id"]: frozenset(row["routes"]) for row in rows}
    owners = sorted({row["account_id"] for row in rows})
    return [
        Finding(
            "lot-within-reach",
            row["account_id"],
            f"charge {row['id'].hex()} of route {row['route']} took from lot {part.lot}, "
            f"which is limited to {', '.join(sorted(routes[part.lot]))}",
        )
        for row in await connection.fetch(_SQL.charges_of_limited, owners)
        for part in read_allocation(row["allocation"])
        if part.lot in routes and row["route"] not in routes[part.lot]
    ]
