"""Who changed what: one row per change that an admin (or a program in an admin's name) made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Connection, Queries
from ledger.inputs import check_limit

_SQL = Queries("audit")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`actor` did `action` to `target`; `detail` says with what."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


async def write(
    connection: Connection, actor: str, action: str, target: str, detail: Mapping[str, Any]
) -> None:
    """Add a row, in the transaction of the change it tells of. No secrets in `detail`."""
    await connection.execute(_SQL.write, actor, action, target, dict(detail))


async def rows(
    connection: Connection,
    *,
    actor: str | None = None,
    target: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[AuditRow]:
    """Newest first; `before` is the id of the last row of the page before."""
    found = await connection.fetch(_SQL.rows, actor, target, before, check_limit(limit))
    return [AuditRow(**row) for row in found]
