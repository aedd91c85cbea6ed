"""`farebox prices`: the versions that were live; another put in force, or an earlier one again."""

from pathlib import Path

import click

from config import Settings
from gateway.commands.options import chosen
from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.commands.trying import text_of
from gateway.data_folder import DataFolder
from gateway.operations import prices as versions
from gateway.operations.desk import Desk
from gateway.paging import MAX_LIMIT, PageQuery
from gateway.publishing import FilePlace

EXPECTED = click.option(
    "--expected", type=click.IntRange(0), metavar="VERSION", help="Refuse if another is in force."
)


@click.group()
def prices() -> None:
    """Put prices in force, look at earlier versions, and go back to one."""


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


@prices.command("publish")
@click.argument("file")
@EXPECTED
@operates
async def publish(desk: Desk, file: str, expected: int | None) -> Said:
    """
    Make the text of FILE the newest version; gateways take it within seconds.

    Where prices live in files (`prices: file`), it is written into the price file of the gateway
    too; with `prices: database` only there.
    """
    text, settings = text_of(file), Settings.from_environment(data=chosen("data"))
    made = await versions.publish(
        desk, text, environ=settings.environ, expected=expected, place=_place(settings)
    )
    where = "in the database" if made.file is None else f"and in {made.file}"
    if made.repeated:
        return Said(made, f"version {made.version} by {made.actor} has this text already, {where}")
    return Said(made, f"version {made.version} is in force, {where}")


@prices.command("rollback")
@click.argument("version", type=click.IntRange(1))
@EXPECTED
@operates
async def rollback(desk: Desk, version: int, expected: int | None) -> Said:
    """Make an earlier version's text the newest version; gateways take it within seconds."""
    made = await versions.rollback(desk, version, expected=expected)
    aside = "Change the price file too: its next change is published over this."
    return Said(
        made,
        f"version {made.version} has the text of version {version}",
        aside="" if made.home == "database" else aside,
    )


def _place(settings: Settings) -> FilePlace:
    """Return the price file of the gateway that runs on this data folder, or the one for it."""
    running = DataFolder(settings.data).running()
    given = chosen("postgres_url") or settings.postgres_url
    if running is not None and running.config and given in (None, running.postgres_url):
        return FilePlace(Path(running.config), running.gateway)
    return FilePlace(settings.config.absolute())
