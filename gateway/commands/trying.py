"""Trying prices before they are live: `diff` says what changes, `replay` what it would come to."""

import re
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import click

from config import PriceFileError, PriceList, load_price_list, read_price_file
from gateway.commands.failed import CommandFailed
from gateway.commands.options import json_option, store_options
from gateway.commands.replay_text import replay_text
from gateway.commands.session import Said, at_a_desk, operates, printed
from gateway.operations import price_changes, replays
from gateway.operations.desk import Desk
from gateway.operations.now import utc_now
from gateway.operations.replay_answer import ReplayQuery
from ledger.ports import SystemClock

LIVE = "live"
CHANGES = 1
CANNOT = 1
PROGRESS_CHARGES = 100_000
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

_TIME = "So long ago (90m, 24h, 7d), or a moment like 2026-11-21T08:00:00Z."


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


@click.command()
@click.argument("new")
@click.option("--since", default="24h", show_default=True, metavar="TIME", help=_TIME)
@click.option("--until", metavar="TIME", help="Up to here; now if left out.")
@click.option("--account", help="Only of this account.")
@operates
async def replay(desk: Desk, new: str, since: str, until: str | None, account: str | None) -> Said:
    """
    Reprice recorded charges with the price file NEW; nothing is changed.

    Exit code 1 where some of them cannot be repriced: the answer says which, and why.
    """
    text = text_of(new)
    readable(new, text)
    now = utc_now(SystemClock())
    query = ReplayQuery.model_validate(
        {
            "from": moment("--since", since, now),
            "to": None if until is None else moment("--until", until, now),
            "account": account,
        }
    )
    answer = await replays.replay(desk, text, query, now=now, most=None, progress=_Progress())
    return Said(answer, replay_text(answer), code=CANNOT if answer.unrepriced else 0)


class _Progress:
    """Says on stderr how far a long replay has come."""

    def __init__(self) -> None:
        self._next = PROGRESS_CHARGES

    def __call__(self, charges: int, share: float) -> None:
        if charges >= self._next:
            self._next += PROGRESS_CHARGES
            click.echo(f"{charges} charges read, {share:.0%} of the time", err=True)


def moment(option: str, text: str, now: datetime) -> datetime:
    """
    Read a time: so long ago (90m, 24h, 7d), or a moment like 2026-11-21T08:00:00Z.

    Raises:
        click.BadParameter: It is neither.

    """
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text, re.ASCII)
    if ago:
        return now - timedelta(seconds=int(ago[1]) * SECONDS[ago[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        sentence = f"{text} is neither like 24h nor like 2026-11-21T08:00:00Z"
        raise click.BadParameter(sentence, param_hint=option) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
