"""Trying prices before they are live: `diff` says what changes."""

from itertools import groupby
from pathlib import Path

import click

from config import PriceFileError, PriceList, load_price_list, read_price_file
from gateway.commands.failed import CommandFailed
from gateway.commands.options import json_option, store_options
from gateway.commands.session import Said, at_a_desk, printed
from gateway.operations import price_changes
from gateway.operations.desk import Desk

LIVE = "live"
CHANGES = 1


@click.command()
@click.argument("old")
@click.argument("new")
@store_options
@json_option
def diff(old: str, new: str) -> int:
    """
    Say in words what changes from the price file OLD to NEW.

    Either may be `live`: the prices in force, from the stores of a gateway. Exit code 0: nothing
    changes; 1: something does; 2: it could not be compared.
    """
    if LIVE in (old, new):
        return printed(at_a_desk(_on_stores, False, old, new))
    return printed(_compared(old, new, old_text=text_of(old), new_text=text_of(new)))


async def _on_stores(desk: Desk, old: str, new: str) -> Said:
    live = await price_changes.live_text(desk)
    texts = [live if one == LIVE else text_of(one) for one in (old, new)]
    return _compared(old, new, old_text=texts[0], new_text=texts[1])


def _compared(old: str, new: str, *, old_text: str, new_text: str) -> Said:
    for name, text in ((old, old_text), (new, new_text)):
        readable(name, text)
    changes = price_changes.compared(old_text, new_text)
    if changes.same:
        return Said(changes, "no change")
    lines: list[str] = []
    for group, rows in groupby(changes.changes, key=lambda row: row.group):
        lines += [group, *(f"  {row.sentence}" for row in rows)]
    return Said(changes, "\n".join(lines), code=CHANGES)


def text_of(name: str) -> str:
    """
    Read a file that should be a price file.

    Raises:
        CommandFailed: It cannot be read.

    """
    try:
        return read_price_file(Path(name))
    except PriceFileError as error:
        raise CommandFailed(error.problems[0].message) from None


def readable(name: str, text: str) -> PriceList:
    """
    Read a text as a price file, `${NAME}` unexpanded.

    Raises:
        CommandFailed: It is none; the line names the first wrong place.

    """
    try:
        return load_price_list(text, environ=None)
    except PriceFileError as error:
        first, count = error.problems[0], len(error.problems)
        more = f" (and {count - 1} more; see `farebox check`)" if count > 1 else ""
        raise CommandFailed(f"{name}:{first}{more}") from None
