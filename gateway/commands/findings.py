"""`farebox finding`: what the steward's checks found, until a person has settled it."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns, facts
from gateway.operations import health
from gateway.operations.desk import Desk
from gateway.paging import MAX_LIMIT


@click.group()
def finding() -> None:
    """Look after what the steward's checks found. FINDING is its number."""


@finding.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are settled.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=50, show_default=True)
@click.option("--cursor", help="`next` of the page before.")
@operates
async def listed(desk: Desk, *, every: bool, limit: int, cursor: str | None) -> Said:
    """List findings, newest first. Exit code 1 where one is open."""
    query = health.FindingsQuery(open=not every, limit=limit, cursor=cursor)
    page = await health.listed(desk, query)
    rows = [(str(row.id), row.check, row.account or "-", row.detail) for row in page.items]
    text = columns(("id", "check", "account", "what"), rows) if rows else "clean"
    code = 1 if any(row.resolved_at is None for row in page.items) else 0
    return Said(page, text, code, aside=f"more: --cursor {page.next}" if page.next else "")


@finding.command("show")
@click.argument("finding", type=int)
@operates
async def show(desk: Desk, finding: int) -> Said:
    """Show one finding with its history."""
    row = await health.show(desk, finding)
    known = [
        ("id", str(row.id)),
        ("check", row.check),
        ("account", row.account or "-"),
        ("what", row.detail),
        ("found", row.found_at.isoformat(timespec="seconds")),
        ("last seen", row.seen_at.isoformat(timespec="seconds")),
        ("resolved", row.resolved_at.isoformat(timespec="seconds") if row.resolved_at else ""),
    ]
    return Said(row, facts(known))


@finding.command("resolve")
@click.argument("finding", type=int)
@click.option("--reason", required=True, help="What was done about it; kept in the audit.")
@operates
async def resolve(desk: Desk, finding: int, reason: str) -> Said:
    """Close a finding. The same trouble later is a new one."""
    done = await health.resolve(desk, finding, health.Resolution(reason=reason))
    return Said(done, f"finding {done.id} is resolved")
