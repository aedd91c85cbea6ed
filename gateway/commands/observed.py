"""`farebox observed`: what routes that observe would have charged and refused."""

import sys
from collections.abc import Sequence
from datetime import datetime

import click

from config.amounts import format_amount
from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.commands.times import Moment
from gateway.operations import observed as observing
from gateway.operations.desk import Desk
from gateway.operations.now import utc_now
from ledger.ports import SystemClock

PROGRESS_ROWS = 100_000


@click.command()
@click.option("--since", type=Moment(), help="So long ago (24h), or a time. The last day if none.")
@click.option("--until", type=Moment(), help="Up to here; now if none.")
@click.option(
    "--limit",
    type=click.IntRange(1, observing.MAX_ACCOUNTS),
    default=20,
    show_default=True,
    help="Accounts shown.",
)
@operates
async def observed(desk: Desk, since: datetime | None, until: datetime | None, limit: int) -> Said:
    """
    Report what observed requests would have come to, had they been charged.

    By route and account: requests, what they would have cost, what would have been refused and
    why, what could not be priced, and who would have run dry. Nothing is changed.
    """
    answer = await observing.report(
        desk.ledger.database,
        observing.ObservedQuery.model_validate({"from": since, "to": until, "limit": limit}),
        now=utc_now(SystemClock()),
        progress=_progress if sys.stderr.isatty() else None,
    )
    return Said(answer, _text(answer))


def _progress(rows: int) -> None:
    if rows % PROGRESS_ROWS == 0:
        click.echo(f"{rows} requests and movements read", err=True)


def _text(answer: observing.ObservedAnswer) -> str:
    span = f"{_time(answer.since)} to {_time(answer.until)}"
    lines = [f"{span}: {answer.requests} observed request{'' if answer.requests == 1 else 's'}"]
    for total in answer.types:
        charge, cost = total.display["charge"], total.display["cost"]
        lines.append(
            f"{total.credit_type}: {charge} would be charged for {total.charged} requests "
            f"(all that were priced cost {cost})"
        )
        lines += [f"  would be free: {total.free}"] if total.free else []
        lines += [f"  would be refused: {_reasons(total.refused)}"] if total.refused else []
        lines += [f"  not priced: {_reasons(total.unpriced)}"] if total.unpriced else []
    if answer.routes:
        lines += ["", _table("route", [(row.route, row) for row in answer.routes])]
        lines += ["", _table("account", [(_account(row), row) for row in answer.accounts])]
    if answer.accounts_total > len(answer.accounts):
        lines.append(f"and {answer.accounts_total - len(answer.accounts)} more accounts: --limit")
    if answer.dry:
        lines += ["", "would have run dry:", _dry(answer.dry)]
    if answer.dry_total > len(answer.dry):
        lines.append(f"and {answer.dry_total - len(answer.dry)} more: --limit")
    if answer.unread_versions:
        versions = ", ".join(map(str, answer.unread_versions))
        lines.append(f"limits and holds of price version {versions} are not known here")
    return "\n".join(lines)


def _table(title: str, rows: Sequence[tuple[str, observing.Would]]) -> str:
    return columns(
        (title, "type", "requests", "charged", "charge", "cost", "free", "refused", "not priced"),
        [
            (
                name,
                row.credit_type,
                str(row.requests),
                str(row.charged),
                row.display["charge"],
                row.display["cost"],
                str(row.free),
                _reasons(row.refused) or "-",
                _reasons(row.unpriced) or "-",
            )
            for name, row in rows
        ],
    )


def _dry(rows: Sequence[observing.WouldAccount]) -> str:
    return columns(
        ("account", "type", "at", "had", "could not pay", "has now"),
        [
            (
                _account(row),
                row.credit_type,
                _time(row.dry_at) if row.dry_at else "-",
                format_amount(row.start, row.scale),
                format_amount(row.short, row.scale),
                format_amount(row.available, row.scale),
            )
            for row in rows
        ],
    )


def _account(row: observing.WouldAccount) -> str:
    return row.external_id or row.account or "nobody known"


def _reasons(rows: Sequence[observing.Reason]) -> str:
    return ", ".join(
        f"{row.reason} {f'({row.limit}) ' if row.limit else ''}{row.requests}" for row in rows
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
