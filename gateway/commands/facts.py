"""`farebox fact`: facts that broke a rule of the books, until a person has decided."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.commands.text import facts as table
from gateway.operations import facts
from gateway.operations.desk import Desk
from gateway.paging import MAX_LIMIT


@click.group()
def fact() -> None:
    """Look after facts that broke a rule. FACT is shard, epoch and number: 0-3-1204."""


@fact.command("list")
@click.option("--account", metavar="ACCOUNT", help="Only of this one.")
@click.option("--all", "every", is_flag=True, help="Also those that are decided about.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=50, show_default=True)
@click.option("--cursor", help="`next` of the page before.")
@operates
async def listed(
    desk: Desk, *, account: str | None, every: bool, limit: int, cursor: str | None
) -> Said:
    """List dead facts in the order of their journal. Exit code 1 where one is open."""
    query = facts.FactQuery(account=account, open=not every, limit=limit, cursor=cursor)
    page = await facts.listed(desk, query)
    rows = [
        (
            row.id,
            row.account or "-",
            row.kind,
            row.charge or "-",
            "-" if row.amount is None else str(row.amount),
            row.charge_state or "-",
            row.why,
        )
        for row in page.items
    ]
    titles = ("id", "account", "kind", "charge", "units", "charge now", "rule")
    text = columns(titles, rows) if rows else "none"
    code = 1 if any(row.resolved_at is None for row in page.items) else 0
    return Said(page, text, code, aside=f"more: --cursor {page.next}" if page.next else "")


@fact.command("show")
@click.argument("fact", metavar="FACT")
@operates
async def show(desk: Desk, fact: str) -> Said:
    """Show a dead fact with all that it says."""
    row = await facts.show(desk, fact)
    known = [
        ("id", row.id),
        ("account", row.account or "-"),
        ("kind", row.kind),
        ("rule", row.why),
        ("charge", row.charge or ""),
        ("charge now", row.charge_state or ""),
        ("posted", row.at.isoformat(timespec="seconds")),
        ("resolved", row.resolved_at.isoformat(timespec="seconds") if row.resolved_at else ""),
        *((name, str(value)) for name, value in row.content.items()),
    ]
    return Said(row, table(known))


@fact.command("resolve")
@click.argument("fact", metavar="FACT")
@click.option("--reason", required=True, help="What was decided and done; kept in the audit.")
@operates
async def resolve(desk: Desk, fact: str, reason: str) -> Said:
    """Say what was decided about a dead fact. It moves nothing by itself."""
    done = await facts.resolve(desk, fact, facts.FactDecision(reason=reason))
    return Said(done, f"fact {done.id} is resolved")
