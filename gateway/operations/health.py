"""Whether the money is right, who is there, and whether a request can be charged."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import Field

from gateway.models import Answer, GivenBody, LongText, Time
from gateway.operations.desk import Desk
from gateway.paging import PageQuery, pack_cursor, unpack_number
from gateway.readiness import readiness, warnings_of
from ledger import findings, gateways
from ledger import verify as verifying
from ledger.heads import Head
from ledger.ids import account_text
from ledger.ledger import Ledger


class Finding(Answer):
    """One thing that does not add up."""

    check: str
    account: str | None
    detail: str


class Report(Answer):
    """What a check found; nothing is how it should be."""

    clean: bool
    findings: list[Finding]


class FindingsQuery(PageQuery):
    """Which findings."""

    open: bool = True


class FindingRow(Finding):
    """A finding of the steward's checks, with its history."""

    id: int
    effect: Literal["account", "shard"] | None = Field(
        description="`account`: it was quarantined; `shard`: no new holds while this is open."
    )
    found_at: Time
    seen_at: Time
    resolved_at: Time | None


class FindingsPage(Answer):
    """A page of findings, newest first."""

    items: list[FindingRow]
    next: str | None


class Resolution(GivenBody):
    """What was done about a finding."""

    reason: LongText


class Resolved(Answer):
    """A finding is closed."""

    id: int


class GatewayRow(Answer):
    """A running serve."""

    id: str
    host: str
    started_at: Time
    seen_at: Time
    price_version: int | None
    file_sha256: str | None
    refused: bool


class GatewayList(Answer):
    """The gateways seen within half a minute."""

    items: list[GatewayRow]
    warnings: list[str]


class Live(Answer):
    """A process that answers."""

    live: bool = True


class Ready(Answer):
    """Requests can be charged; the warnings are for the operator."""

    ready: bool
    price_version: int
    warnings: list[str]


class HeadRow(Answer):
    """How far history had come, signed: see `ledger.heads`."""

    shard: int
    epoch: int
    q: int
    sha: str
    seal: str
    batches: int
    facts: int
    retired: int
    at: str
    key: str
    signature: str


class HeadList(Answer):
    """The heads this gateway exported, the oldest first."""

    items: list[HeadRow]


async def verify(desk: Desk, heads: Sequence[Head] = ()) -> Report:
    """Check that the ledger in Postgres adds up, also to heads kept before; changes nothing."""
    async with desk.ledger.database.connection() as connection:
        return _report(await verifying.verify(connection, heads))


def with_forged(report: Report, sentences: Sequence[str]) -> Report:
    """Add what is wrong with the heads themselves."""
    forged = [Finding(check="head-signature", account=None, detail=each) for each in sentences]
    return Report(clean=report.clean and not forged, findings=[*forged, *report.findings])


def head_list(heads: Sequence[Head]) -> HeadList:
    """Return heads as they are shown."""
    return HeadList(items=[HeadRow(**asdict(head)) for head in heads])


async def reconcile(desk: Desk) -> Report:
    """Check that Redis and the ledger say the same; changes nothing."""
    return _report(await desk.ledger.reconcile())


async def listed(desk: Desk, query: FindingsQuery) -> FindingsPage:
    """Return a page of what the steward's checks found, newest first."""
    before = unpack_number("findings", query.cursor)
    async with desk.ledger.database.connection() as connection:
        rows = await findings.rows(
            connection, only_open=query.open, before=before, limit=query.limit
        )
    return FindingsPage(
        items=[_finding(row) for row in rows],
        next=pack_cursor("findings", rows[-1].id) if len(rows) == query.limit else None,
    )


async def show(desk: Desk, finding: int) -> FindingRow:
    """Return one finding."""
    async with desk.ledger.database.connection() as connection:
        return _finding(await findings.get(connection, finding))


async def resolve(desk: Desk, finding: int, resolution: Resolution) -> Resolved:
    """Close a finding, saying what was done about it."""
    async with desk.ledger.database.connection() as connection:
        await findings.resolve(connection, finding, actor=desk.actor, reason=resolution.reason)
    return Resolved(id=finding)


async def running(ledger: Ledger) -> GatewayList:
    """Return the running gateways, and what is odd about them."""
    async with ledger.database.connection() as connection:
        rows = await gateways.running(connection)
    return GatewayList(
        items=[
            GatewayRow(
                id=row.id,
                host=row.host,
                started_at=row.started_at,
                seen_at=row.seen_at,
                price_version=row.price_version,
                file_sha256=None if row.file_sha256 is None else row.file_sha256.hex(),
                refused=row.refusal is not None,
            )
            for row in rows
        ],
        warnings=warnings_of(rows),
    )


async def ready(ledger: Ledger) -> Ready:
    """
    Say that requests can be charged.

    Raises:
        Problem: `not-ready`, see `readiness`.

    """
    found = await readiness(ledger)
    return Ready(ready=True, price_version=found.price_version, warnings=found.warnings)


def _finding(row: findings.FindingRow) -> FindingRow:
    return FindingRow(
        id=row.id,
        check=row.check_name,
        account=None if row.account_id is None else account_text(row.account_id),
        detail=row.detail,
        effect=row.effect,
        found_at=row.found_at,
        seen_at=row.seen_at,
        resolved_at=row.resolved_at,
    )


def _report(found: list[findings.Finding]) -> Report:
    return Report(
        clean=not found,
        findings=[
            Finding(
                check=finding.check,
                account=None if finding.account_id is None else account_text(finding.account_id),
                detail=finding.detail,
            )
            for finding in found
        ],
    )
