"""
What checks found wrong and nobody has settled yet, and what is done about it meanwhile.

A finding about one account's money quarantines that account. A finding about the books or the
chain of batches, which is nobody's alone, stops new holds on the shard until it is resolved;
what is under way is settled and posted. All others are only told.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from ledger import audit, controls
from ledger.database import Connection, Queries
from ledger.errors import NotFound
from ledger.inputs import check_limit, clean_text

log = logging.getLogger(__name__)

Effect: TypeAlias = Literal["account", "shard"]

HALTING = frozenset(
    {
        "batch-chain",
        "batch-rows",
        "batches-continuous",
        "books-are-the-pools",
        "lines-balance",
    }
)
"""I1, I6, I14. Rows are sealed by the batch, so whose row was changed cannot be told."""

QUARANTINING = frozenset(
    {
        "account-history",
        "controls-continuous",
        "controls-were-applied",
        "facts-counted",
        "grants-were-asked-for",
        "held-is-open-charges",
        "limits-of-grants",
        "lot-is-held",
        "pool-identity",
        "pool-is-its-lots",
        "refunds-of-charges",
        "stray-charges",
        "stray-movements",
        "totals-from-charges",
        "totals-from-history",
    }
)
"""Seen in one snapshot of Postgres, so they are as certain at the first look as at the second."""

QUARANTINING_AGAIN = frozenset({"accounts_equal", "keys_equal"})
"""Two stores are compared while they move: only what is still there at the next look counts."""

_SQL = Queries("findings")


class Finding(NamedTuple):
    """A check that failed, the account it is about (None: none, or all), and what was seen."""

    check: str
    account_id: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its history. resolved_at: None while it is open; effect: what it did."""

    id: int
    check_name: str
    account_id: int | None
    detail: str
    effect: Effect | None
    found_at: datetime
    seen_at: datetime
    resolved_at: datetime | None


async def record(connection: Connection, findings: Sequence[Finding]) -> None:
    """
    Keep findings, and do what their kind asks for; one that is open already is only seen again.

    Nothing is corrected. What a person has settled before, word for word, is kept and has no
    effect any more.

    Args:
        connection: Not inside a transaction of the caller's.
        findings: From one look; the next look may bring the same again.

    """
    for finding in findings:
        async with connection.transaction():
            row = await connection.fetchrow(_SQL.record, *finding)
            if row["new"]:
                log.error("finding %d: %s: %s", row["id"], finding.check, finding.detail)
            effect = effect_of(finding, again=row["again"])
            if effect is None or row["effect"] is not None or row["settled_before"]:
                continue
            if effect == "account":
                await _quarantine(connection, finding, row["id"])
            await connection.execute(_SQL.set_effect, row["id"], effect)


def effect_of(finding: Finding, *, again: bool) -> Effect | None:
    """Return what a finding does; `again`: it was there at an earlier look too."""
    if finding.check in HALTING:
        return "shard"
    if finding.account_id is None:
        return None
    if finding.check in QUARANTINING or (again and finding.check in QUARANTINING_AGAIN):
        return "account"
    return None


async def halted(connection: Connection) -> bool:
    """Whether a finding is open because of which no new holds are taken."""
    found: bool = await connection.fetchval(_SQL.halted)
    return found


async def open_by_check(connection: Connection) -> dict[str, int]:
    """Count open findings by the check that found them."""
    return {row["check_name"]: row["open"] for row in await connection.fetch(_SQL.open_by_check)}


async def _quarantine(connection: Connection, finding: Finding, number: int) -> None:
    """Refuse the account in both stores until a person releases it, as posting does with poison."""
    assert finding.account_id is not None
    try:
        await controls.add(
            connection,
            finding.account_id,
            controls.Freeze(frozen=True),
            "quarantine",
            f"finding:{number}",
            "audit",
        )
    except NotFound:
        return  # a stray row may name an account that there is not
    await connection.execute(_SQL.quarantine, finding.account_id)


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
