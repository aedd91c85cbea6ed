"""Which gateways run, with which prices: one row per running `serve`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Connection, Queries
from ledger.errors import NotFound

SILENT_S = 30
"""A gateway that was not seen for so long does not count as running."""

FORGET_DAYS = 7

_SQL = Queries("gateways")


@dataclass(frozen=True, slots=True)
class Gateway:
    """
    A running serve.

    price_version: What its workers charge by. file_sha256: Of its price file as last read.
    refusal: Why that file was refused; None when it was not.
    """

    id: str
    host: str
    started_at: datetime
    seen_at: datetime
    price_version: int | None
    file_sha256: bytes | None
    refusal: Any


async def register(connection: Connection, gateway_id: str, host: str) -> None:
    """Say that this gateway runs. A repeat starts it anew."""
    await connection.execute(_SQL.register, gateway_id, host)


async def seen(connection: Connection, gateway_id: str) -> None:
    """
    Say that this gateway still runs.

    Raises:
        NotFound: It was forgotten meanwhile: register again.

    """
    if not await connection.fetchval(_SQL.seen, gateway_id):
        raise NotFound(f"no gateway {gateway_id}")


async def set_prices(
    connection: Connection,
    gateway_id: str,
    *,
    price_version: int | None,
    file_sha256: bytes | None,
    refusal: Any = None,
) -> None:
    """
    Say by which version this gateway charges, and how its file stands.

    Raises:
        NotFound: It was forgotten meanwhile: register again.

    """
    done = await connection.fetchval(
        _SQL.set_prices, gateway_id, price_version, file_sha256, refusal
    )
    if not done:
        raise NotFound(f"no gateway {gateway_id}")


async def get(connection: Connection, gateway_id: str) -> Gateway:
    """
    Return a gateway's row.

    Raises:
        NotFound: There is none.

    """
    row = await connection.fetchrow(_SQL.by_id, gateway_id)
    if row is None:
        raise NotFound(f"no gateway {gateway_id}")
    return Gateway(**row)


async def running(connection: Connection) -> list[Gateway]:
    """Return the gateways seen within half a minute, the oldest first."""
    return [Gateway(**row) for row in await connection.fetch(_SQL.running, SILENT_S)]


async def forget(connection: Connection, gateway_id: str) -> None:
    """Take a gateway that stops off the list. A repeat is harmless."""
    await connection.execute(_SQL.forget, gateway_id)


async def sweep(connection: Connection) -> None:
    """Forget gateways that were killed long ago."""
    await connection.execute(_SQL.sweep, FORGET_DAYS)
