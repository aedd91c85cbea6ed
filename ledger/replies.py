"""
Answers that are kept for a day, so that a repeat under the same Idempotency-Key gets the same.

A gateway keeps an answer before its client has the last byte of it. The first one under a key
stands, whoever brings another later; so nobody who has one is ever told something else.
"""

from dataclasses import dataclass
from typing import Final

from ledger.database import PROMPT_LIMIT_S, Connection, Database, Queries

LARGEST_BODY: Final = 64 * 1024
"""Bytes of one kept body; of a larger one is only known that it was given."""

ROOM: Final = 16 * 1024 * 1024
"""Bytes that the answers of one account may take; the oldest go first."""

OVERHEAD: Final = 256
"""Bytes that each kept answer counts besides its own: rows and indexes take room too."""

KEPT_S: Final = 86_400

AT_ONCE: Final = 1_000
"""Rows that one step of the sweep, or of making room, looks at."""

Headers = list[tuple[bytes, bytes]]

_SQL = Queries("replies")


@dataclass(frozen=True, slots=True)
class Reply:
    """
    An answer as it was given.

    body: None where it was too large, or had to make room: then only its charge is known.
    """

    charge_id: bytes
    fingerprint: bytes
    status: int
    headers: Headers
    body: bytes | None


class Replies:
    """Keeps answers, with connections of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, account: int, key_hash: bytes, reply: Reply) -> bool:
        """
        Keep an answer; False where another is kept under the key already. A repeat is that too.

        A body larger than `LARGEST_BODY` is not kept, only that there was one.

        Raises:
            LedgerUnavailable: No answer in time; it may be kept all the same.

        """
        body = reply.body if len(reply.body or b"") <= LARGEST_BODY else None
        headers = b"" if body is None else pack_headers(reply.headers)
        size = 0 if body is None else len(body) + len(headers) + OVERHEAD
        row = (reply.fingerprint, reply.charge_id, reply.status, headers, body, size)
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            used = await connection.fetchval(_SQL.keep, account, key_hash, *row)
            if used is not None and used > ROOM:
                await _make_room(connection, account)
        return used is not None


async def sweep(connection: Connection) -> int:
    """Forget what is older than a day; return how many accounts had such."""
    seen = 0
    while True:
        rows = await connection.fetch(_SQL.with_old, float(KEPT_S), AT_ONCE)
        for row in rows:
            async with connection.transaction():
                await connection.execute(_SQL.lock_room, row["account_id"])
                await connection.execute(_SQL.forget, row["account_id"], float(KEPT_S))
        seen += len(rows)
        if not rows:
            return seen


def pack_headers(headers: Headers) -> bytes:
    """Return one line each; neither names nor values have line ends."""
    return b"\n".join(name + b":" + value for name, value in headers)


def read_headers(raw: bytes) -> Headers:
    """Return the headers as they were packed."""
    lines = raw.split(b"\n") if raw else []
    return [(name, value) for name, _, value in (line.partition(b":") for line in lines)]


async def _make_room(connection: Connection, account: int) -> None:
    """Drop the oldest bodies until the rest fits; who makes room for the same account waits."""
    async with connection.transaction():
        used = await connection.fetchval(_SQL.lock_room, account)
        while used is not None and used > ROOM:
            left = await connection.fetchval(_SQL.make_room, account, used - ROOM, AT_ONCE)
            if left is None or left >= used:
                return  # what is left is still being written by others, who will look again
            used = left
