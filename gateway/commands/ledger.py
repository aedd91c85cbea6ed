"""`farebox verify`, `reconcile` and `heads`: whether the money is right, and still as it was."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from config import Settings
from gateway.commands.failed import CommandFailed
from gateway.commands.options import chosen
from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.head_book import HeadBook, signature_sentence
from gateway.operations import health
from gateway.operations.desk import Desk
from ledger.heads import Head, read_heads
from ledger.ports import SystemClock


@click.command()
@click.option(
    "--since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="HEADS",
    help="A file of heads kept from before: history must still lead to each of them.",
)
@operates
async def verify(desk: Desk, since: Path | None) -> Said:
    """Check that the ledger in Postgres adds up; each finding is printed, nothing is changed."""
    if since is None:
        return _said(await health.verify(desk))
    heads = _kept(since)
    if not heads:
        raise CommandFailed(f"{since} has no head in it")
    key = HeadBook(_settings()).known_key()
    report = await health.verify(desk, heads)
    forged = [sentence for head in heads if (sentence := signature_sentence(head, key))]
    report = health.with_forged(report, forged)
    return replace(_said(report), aside=_about_heads(report, heads, signed=key is not None))


@click.command()
@click.option("--now", is_flag=True, help="Take one of this moment too, and keep it with the rest.")
@operates
async def heads(desk: Desk, now: bool) -> Said:  # noqa: FBT001 - click's own way to pass a flag
    """Print the signed heads of history that this gateway exported, one on each line."""
    book = HeadBook(_settings())
    if now:
        await book.add(desk.ledger, SystemClock())
    kept = book.heads()
    return Said(health.head_list(kept), "\n".join(head.line for head in kept))


@click.command()
@operates
async def reconcile(desk: Desk) -> Said:
    """Check that Redis and the ledger say the same; each finding is printed, nothing is changed."""
    return _said(await health.reconcile(desk))


def _kept(file: Path) -> list[Head]:
    return read_heads(file.read_text("utf-8").splitlines())


def _settings() -> Settings:
    return Settings.from_environment(data=chosen("data"))


def _about_heads(report: health.Report, heads: Sequence[Head], *, signed: bool) -> str:
    """Say in a sentence or two what the comparison with kept heads came to."""
    newest = max(heads, key=lambda head: (head.epoch, head.q))
    wrong = {finding.check for finding in report.findings}
    before = wrong & {"head-differs", "head-missing", "head-signature"}
    sentences = [
        f"history up to {newest.at} is not the one these heads were taken of"
        if before
        else f"history still leads to all of {len(heads)} heads, the newest of {newest.at}"
    ]
    if not signed:
        sentences.append("signatures were not checked: the key is not here")
    return "\n".join(sentences)


def _said(report: health.Report) -> Said:
    if not report.findings:
        return Said(report, "clean")
    rows = [(row.check, row.account or "-", row.detail) for row in report.findings]
    return Said(report, columns(("check", "account", "what"), rows), code=1)
