"""What checks found wrong and nobody has settled yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ledger import audit
from ledger.database import Connection, Queries
from ledger.errors import NotFound
from ledger.inputs import check_limit, clean_text

_SQL = Queries("findings")


class Finding(NamedTuple):
    """A check that failed, the account it is about (None: none, or all), and what was seen."""

    check: str
    account_id: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its history. resolved_at: None while it is open."""

    id: int
    check_name: str
    account_id: int | None
    detail: str
    found_at: datetime
    seen_at: datetime
    resolved_at: datetime | None


async def record(connection: Connection, findings: Sequence[Finding]) -> None:
    """Keep findings; one that is open already is only seen again."""
    await connection.executemany(_SQL.record, [tuple(finding) for finding in findings])


async def rows(
    connection: Connection, *, only_open: bool = True, before: int | None = None, limit: int = 50
) -> list[FindingRow]:
    """List findings, the newest first; `before` is the last id of the page before."""
    found = await connection.fetch(_SQL.rows, only_open, before, check_limit(limit))
    return [FindingRow(**row) for row in found]


async def get(connection: Connection, finding_id: int) -> FindingRow:
    """
    Return a finding.

    Raises:
        NotFound: No such finding.

    """
    row = await connection.fetchrow(_SQL.one, finding_id)
    if row is None:
        raise NotFound(f"no finding {finding_id}")
    return FindingRow(**row)


async def resolve(connection: Connection, finding_id: int, *, actor: str, reason: str) -> None:
    """
    Close a finding. A repeat changes nothing.

    Raises:
        NotFound: No such finding.
        InvalidInput: No reason given.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    async with connection.transaction():
        closed = await connection.fetchval(_SQL.resolve, finding_id)
        if closed is None:
            raise NotFound(f"no finding {finding_id}")
        if closed:
            target = f"finding {finding_id}"
            await audit.write(connection, actor, "finding.resolve", target, {"reason": why})
