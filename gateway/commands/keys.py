"""`farebox key`: the secrets that callers show."""

from datetime import datetime, timedelta

import click

from gateway.commands.kinds import MOMENT
from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import keys
from gateway.operations.credit_types import credit_type_of, typed_amount
from gateway.operations.desk import Desk
from ledger.limits import Per

SCOPES = click.Choice(["call", "manage"])

KEEP = "This is the only time the key is shown; keep it where secrets are kept."


@click.group()
def key() -> None:
    """Look after API keys. KEY is an id (key_7), never the secret."""


@key.command("create")
@click.argument("account", metavar="ACCOUNT")
@click.option("--name", default="", help="To tell keys apart.")
@click.option("--scope", "scopes", type=SCOPES, multiple=True, default=["call"], show_default=True)
@click.option("--expires", type=MOMENT, help="When it stops working, as 2031-01-31 or with a time.")
@operates
async def create(
    desk: Desk, account: str, name: str, scopes: tuple[keys.Scope, ...], expires: datetime | None
) -> Said:
    """Make a key for an account and print it, once."""
    draft = keys.KeyDraft(name=name, scopes=list(scopes), expires_at=expires)
    made = await keys.create(desk, account, draft)
    return said(made, made.key, aside=KEEP)


@key.command("rename")
@click.argument("key", metavar="KEY")
@click.argument("name")
@operates
async def rename(desk: Desk, key: str, name: str) -> Said:
    """Call a key otherwise; the secret stays."""
    renamed = await keys.rename(desk, key, keys.KeyName(name=name))
    return said(renamed, f"{renamed.id} is called {renamed.name}")


@key.command("rotate")
@click.argument("key", metavar="KEY")
@click.option(
    "--overlap", "overlap_s", type=click.IntRange(0), default=24 * 3600, show_default=True,
    help="Seconds the old key goes on working.",
)  # fmt: skip
@operates
async def rotate(desk: Desk, key: str, overlap_s: int) -> Said:
    """Make a key that replaces another and print it, once; the old one ends after the overlap."""
    made = await keys.rotate(desk, key, keys.Rotation(overlap_s=overlap_s))
    over = timedelta(seconds=overlap_s)
    return said(made, made.key, aside=f"{KEEP} {key} works for another {over}.")


@key.command("caps")
@click.argument("key", metavar="KEY")
@click.option("--day", help="The most it may spend in a day, in UTC.")
@click.option("--month", help="In a month of the calendar.")
@click.option("--total", help="For ever, from now on.")
@click.option("--type", "credit_type", help="Of which credits; needed where there are several.")
@operates
async def caps(  # noqa: PLR0917 - one parameter for each option
    desk: Desk,
    key: str,
    day: str | None,
    month: str | None,
    total: str | None,
    credit_type: str | None,
) -> Said:
    """Bound what a key may spend of a credit type; a window that is not named has no cap then."""
    given: dict[Per, str | None] = {"day": day, "month": month, "total": total}
    found = await credit_type_of(desk, credit_type)
    drafts = [
        keys.CapDraft(credit_type=found.name, per=per, amount=typed_amount(written, found))
        for per, written in given.items()
        if written is not None
    ]
    capped = await keys.put_caps(desk, key, keys.CapsDraft(caps=drafts), of_type=found.id)
    told = [
        f"{cap.display['amount']} {cap.credit_type} per {cap.per}"
        if cap.per != "total"
        else f"{cap.display['amount']} {cap.credit_type} in total"
        for cap in capped.caps
    ]
    return said(capped, f"{capped.id} may spend {', '.join(told) or 'what its account has'}")


@key.command("revoke")
@click.argument("key", metavar="KEY")
@operates
async def revoke(desk: Desk, key: str) -> Said:
    """Refuse a key from its next request on."""
    gone = await keys.revoke(desk, key)
    return said(gone, f"{gone.id} is revoked")


@key.command("list")
@click.argument("account", metavar="ACCOUNT")
@operates
async def listed(desk: Desk, account: str) -> Said:
    """List the keys of an account; of the secret only its first characters are known."""
    found = await keys.listed(desk, account)
    rows = [(row.id, row.prefix, "+".join(row.scopes), row.status, row.name) for row in found.items]
    return Said(found, columns(("id", "begins", "scopes", "status", "name"), rows))


def said(answer: keys.KeyChanged, text: str, aside: str = "") -> Said:
    """Print what was asked for; a change that Redis has not applied yet is pending."""
    if answer.applied:
        return Said(answer, text, aside=aside)
    pending = "pending: it takes effect once Redis answers, without another command"
    return Said(answer, text, code=1, aside=f"{aside} {pending}".strip())
