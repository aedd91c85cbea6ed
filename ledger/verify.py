"""
Whether the ledger in Postgres adds up: the invariants, checked from the rows alone.

Everything is read in one snapshot, so a gateway may be at work meanwhile. Large tables are
read in slices of accounts and of batches. Nothing is ever corrected here.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from ledger import partitions
from ledger.allocation import read_allocation
from ledger.books import Books, Line
from ledger.books_store import Batch
from ledger.database import Connection, Queries
from ledger.findings import Finding
from ledger.posting import batch_sha

ACCOUNTS_AT_ONCE = 1_000
BATCHES_AT_ONCE = 1_000
_NO_SHA = bytes(32)
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
)
"""Statements of `verify.sql` that return (account_id, detail) for a slice of accounts."""

FROM_ALL_CHARGES = ("totals_from_charges", "facts_counted")
"""The same, but true only for accounts of which no charge was dropped by retention."""

OF_ALL = (
    "lines_balance",
    "books_are_the_pools",
    "dead_facts",
    "quarantined",
    "overdue_holds",
    "gateways_differ",
)
"""Statements that look at everything at once, and return (account_id, detail) too."""


async def verify(connection: Connection) -> list[Finding]:
    """
    Check every invariant and return what is wrong; nothing found means clean.

    Args:
        connection: Not inside a transaction of the caller's.

    """
    found: list[Finding] = []
    async with _one_snapshot(connection):
        for check in OF_ALL:
            found += await _run(connection, check)
        since = await partitions.complete_since(connection) or _BEGINNING
        async for first, last in _account_slices(connection):
            for check in PER_ACCOUNT:
                found += await _run(connection, check, first, last)
            for check in FROM_ALL_CHARGES:
                found += await _run(connection, check, first, last, since)
            found += await _lots_held(connection, first, last)
        for shard in await connection.fetch(_SQL.shards):
            found += await _chain(connection, shard["id"], shard["last_sha"])
    return found


@asynccontextmanager
async def _one_snapshot(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield


async def _run(connection: Connection, check: str, *arguments: object) -> list[Finding]:
    rows = await connection.fetch(getattr(_SQL, check), *arguments)
    name = check.replace("_", "-")
    return [Finding(name, row["account_id"], row["detail"]) for row in rows]


async def _account_slices(connection: Connection) -> AsyncIterator[tuple[int, int]]:
    last = 0
    while True:
        ids = await connection.fetchrow(_SQL.next_accounts, last, ACCOUNTS_AT_ONCE)
        if ids["last"] is None:
            return
        yield ids["first"], ids["last"]
        last = ids["last"]


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


async def _chain(connection: Connection, shard: int, head: bytes) -> list[Finding]:
    """Recompute the chain of batches, and see that no fact is missing between them."""
    sha, epoch, q = _NO_SHA, 0, 0
    while True:
        rows = await connection.fetch(_SQL.batches, shard, epoch, q, BATCHES_AT_ONCE)
        for row in rows:
            batch = Batch(*(row[name] for name in Batch._fields))
            where = f"batch {batch.epoch}-{batch.q_from}"
            expected_q = q + 1 if batch.epoch == epoch else 1
            if batch.q_from != expected_q:
                gap = f"{where} follows {epoch}-{q}"
                return [Finding("batches-continuous", None, gap)]
            books = Books()
            for credit_type, book, route, amount in row["lines"]:
                books.lines[Line(credit_type, book, route)] = amount
            if batch_sha(sha, batch, books) != row["sha"]:
                return [Finding("batch-chain", None, f"{where} is not what was posted")]
            sha, epoch, q = row["sha"], batch.epoch, batch.q_to
        if len(rows) < BATCHES_AT_ONCE:
            break
    if sha != head:
        return [Finding("batch-chain", None, f"shard {shard} ends with another batch than posted")]
    return []
