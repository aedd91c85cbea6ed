"""The operator's credit types, each with a small number that both stores use."""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.database import Connection, Queries
from ledger.errors import Conflict

MAX_CREDIT_TYPES = 255
"""One byte in Redis. Types are never deleted: old charges name them."""

_SQL = Queries("credit_types")


@dataclass(frozen=True, slots=True)
class CreditTypeRow:
    """A credit type: its number, its name, and how many decimal places people see."""

    id: int
    name: str
    scale: int


async def register(connection: Connection, scales: Mapping[str, int]) -> dict[str, int]:
    """
    Make sure that these types (name -> scale) exist and return name -> number.

    A repeat changes nothing.

    Raises:
        Conflict: `scale-changed`: stored amounts would mean something else;
            `too-many-credit-types`. Nothing changed.

    """
    async with connection.transaction():
        await connection.execute(_SQL.lock)
        known = {row.name: row for row in await every(connection)}
        for name, scale in scales.items():
            row = known.get(name)
            if row is not None and row.scale != scale:
                raise Conflict(
                    "scale-changed",
                    f"credit type {name} has scale {row.scale} for good; {scale} needs a new name",
                )
        for name in [name for name in scales if name not in known]:
            number = len(known) + 1
            if number > MAX_CREDIT_TYPES:
                raise Conflict("too-many-credit-types", f"at most {MAX_CREDIT_TYPES} in all time")
            known[name] = CreditTypeRow(number, name, scales[name])
            await connection.execute(_SQL.add, number, name, scales[name])
    return {name: known[name].id for name in scales}


async def every(connection: Connection) -> list[CreditTypeRow]:
    """All types there ever were, by number."""
    return [CreditTypeRow(**row) for row in await connection.fetch(_SQL.every)]


async def windows(connection: Connection) -> dict[int, int]:
    """
    Return type -> the most of its units that may be held or spent beyond what is posted.

    0 for all of them while a finding halts the shard, see `ledger.findings`.
    """
    return {row["id"]: row["window_units"] for row in await connection.fetch(_SQL.windows)}


async def chosen_windows(connection: Connection) -> dict[int, int]:
    """Return the windows as they were set, also while they are 0 because the shard is halted."""
    return {row["id"]: row["window_units"] for row in await connection.fetch(_SQL.chosen_windows)}


async def set_windows(connection: Connection, windows: Mapping[int, int]) -> None:
    """Choose windows; those of other types stay. A repeat changes nothing."""
    await connection.execute(_SQL.set_windows, list(windows), list(windows.values()))


async def raise_windows(connection: Connection, windows: Mapping[int, int]) -> None:
    """Make windows at least this large. A repeat changes nothing."""
    await connection.execute(_SQL.raise_windows, list(windows), list(windows.values()))
