"""How far quotas and allowances are used, as far as posted: for people who ask, never to decide."""

from collections.abc import Callable

from ledger.books import UseKey
from ledger.database import Connection, Queries
from ledger.limits import window_number

_SQL = Queries("limit_uses")

Used = Callable[[UseKey], int]
"""Requests in the window of now."""


async def of_caller(connection: Connection, account_id: int, key_id: int, now_ms: int) -> Used:
    """Return how far limits of a key, its account and everyone are used."""
    rows = await connection.fetch(_SQL.of_caller, account_id, key_id)
    found = {
        (row["whose"], row["owner"], row["route"], row["limit_id"]): row["used"]
        for row in rows
        if row["window_number"] == window_number(row["limit_id"], now_ms)
    }
    return lambda key: found.get(key, 0)
