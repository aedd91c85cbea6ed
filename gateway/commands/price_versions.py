"""`farebox prices`: the versions of the price file that were live."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import prices as versions
from gateway.operations.desk import Desk
from gateway.paging import MAX_LIMIT, PageQuery


@click.group()
def prices() -> None:
    """Look at and go back to earlier versions of the price file."""


@prices.command("list")
@operates
async def listed(desk: Desk) -> Said:
    """List the versions, newest first; the newest is the one in force."""
    page = await versions.listed(desk, PageQuery(limit=MAX_LIMIT))
    rows = [
        (str(row.version), row.published_at.isoformat(timespec="seconds"), row.source, row.actor)
        for row in page.items
    ]
    refusal = await versions.last_refusal(desk)
    aside = f"a newer file was refused: {refusal.summary}" if refusal.problems else ""
    return Said(page, columns(("version", "published", "from", "by"), rows), aside=aside)


@prices.command("show")
@click.argument("version", type=click.IntRange(1), required=False)
@operates
async def show(desk: Desk, version: int | None) -> Said:
    """Print the text of a version as it was written; the current one if none is named."""
    shown = await versions.show(desk, version)
    return Said(shown, shown.text.rstrip("\n"))


@prices.command("rollback")
@click.argument("version", type=click.IntRange(1))
@operates
async def rollback(desk: Desk, version: int) -> Said:
    """Make an earlier version's text the newest version; gateways take it within seconds."""
    made = await versions.rollback(desk, version)
    return Said(
        made,
        f"version {made.version} has the text of version {version}",
        aside="Change the price file too: its next change is published over this.",
    )
