"""A shard's row: which epoch is current and how far Postgres has followed its journal."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ledger.database import Connection, Queries
from ledger.errors import NotFound

JOURNAL_CAP = 1_000_000
"""Facts of a shard not yet posted; about 100 MB of journal. New holds are refused beyond it."""

_SQL = Queries("shards")


class OpenHolds(NamedTuple):
    """Open holds of one credit type, and the units they hold."""

    credit_type_id: int
    holds: int
    units: int


@dataclass(frozen=True, slots=True)
class ShardRow:
    """Epoch 0: never opened. `open_at_start`: what was open when the epoch began."""

    id: int
    epoch: int
    incarnation: str
    last_q: int
    last_chain: str
    open_at_start: tuple[OpenHolds, ...]
    clock_ms: int


async def read(connection: Connection, shard: int) -> ShardRow:
    """
    Read the row.

    Raises:
        NotFound: There is no such shard.

    """
    row = await connection.fetchrow(_SQL.read, shard)
    if row is None:
        raise NotFound(f"no shard {shard}")
    return _shard(row)


async def posted_at(connection: Connection, shard: int) -> datetime | None:
    """Return when a batch was last posted; None before the first."""
    found: datetime | None = await connection.fetchval(_SQL.posted_at, shard)
    return found


async def advance(
    connection: Connection, shard: int, from_epoch: int, incarnation: str, *, above: int = 0
) -> ShardRow | None:
    """
    Begin the next epoch if `from_epoch` still is the current one; None if it is not.

    Its number is higher than `above` too, where Redis has seen epochs that Postgres lost.

    What is open is counted in the same transaction, under the row's lock, so no posting of
    the old epoch can come after it.
    """
    async with connection.transaction():
        if await connection.fetchval(_SQL.lock_epoch, shard) != from_epoch:
            return None
        held = {
            str(row["credit_type_id"]): [row["count"], row["units"]]
            for row in await connection.fetch(_SQL.open_holds, shard)
        }
        return _shard(await connection.fetchrow(_SQL.advance, shard, incarnation, held, above))


async def open_holds(connection: Connection, shard: int) -> list[OpenHolds]:
    """Count what is open now, per credit type."""
    rows = await connection.fetch(_SQL.open_holds, shard)
    return [OpenHolds(row["credit_type_id"], row["count"], row["units"]) for row in rows]


async def next_session(connection: Connection) -> int:
    """Return a session number nobody had before, in any epoch (1 to 2^32 - 1)."""
    number: int = await connection.fetchval(_SQL.next_session)
    return number


def _shard(row: dict[str, object]) -> ShardRow:
    values = dict(row)
    opened: dict[str, list[int]] = values.pop("open_at_start")  # type: ignore[assignment]
    at_start = tuple(
        OpenHolds(int(number), holds, units) for number, (holds, units) in sorted(opened.items())
    )
    return ShardRow(**values, open_at_start=at_start)  # type: ignore[arg-type]
