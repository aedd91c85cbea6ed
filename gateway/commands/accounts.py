"""`farebox account`: who may call, and whether they may right now."""

from dataclasses import replace

import click

from gateway.commands.failed import CommandFailed
from gateway.commands.session import Said, operates
from gateway.commands.text import columns, facts
from gateway.operations import accounts, recovery
from gateway.operations.desk import Desk
from gateway.paging import MAX_LIMIT


@click.group()
def account() -> None:
    """Look after accounts. ACCOUNT is an id (acc_12) or an external id."""


@account.command("create")
@click.argument("external_id", required=False)
@click.option("--name", default="", help="Shown to people.")
@click.option("--email", default="", help="Where messages go.")
@click.option("--plan", default="", help="What it is on: see `plans` in the price file.")
@operates
async def create(desk: Desk, external_id: str | None, name: str, email: str, plan: str) -> Said:
    """Make an account and print its id. EXTERNAL_ID is your own name for it, unique."""
    draft = accounts.AccountDraft(external_id=external_id, name=name, email=email, plan=plan)
    made = await accounts.create(desk, draft)
    return Said(made, made.id)


@account.command("list")
@click.argument("search", required=False)
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=50, show_default=True)
@click.option("--cursor", help="`next` of the page before.")
@operates
async def listed(desk: Desk, search: str | None, limit: int, cursor: str | None) -> Said:
    """List accounts, by number; SEARCH is an id, or part of the external id, name or e-mail."""
    page = await accounts.listed(
        desk, accounts.AccountQuery(search=search, limit=limit, cursor=cursor)
    )
    rows = [(row.id, row.external_id or "-", row.status, row.name, row.email) for row in page.items]
    more = f"more: --cursor {page.next}" if page.next else ""
    return Said(page, columns(("id", "external id", "status", "name", "e-mail"), rows), aside=more)


@account.command("show")
@click.argument("account", metavar="ACCOUNT")
@operates
async def show(desk: Desk, account: str) -> Said:
    """Show one account with its balances."""
    shown = await accounts.show(desk, account)
    return Said(shown, facts(account_facts(shown)))


@account.command("sign-in")
@click.argument("account", metavar="ACCOUNT")
@click.option(
    "--pages-url", metavar="URL", help="Where consumers find their pages; of a running serve known."
)
@operates
async def sign_in(desk: Desk, account: str, pages_url: str | None) -> Said:
    """Print a link into an account's pages. Whoever has the link is let in."""
    url = pages_url or desk.pages_url
    if not url.startswith(("http://", "https://")):
        raise CommandFailed("no gateway runs here: name its pages with --pages-url URL")
    made = await accounts.sign_in(replace(desk, pages_url=url.rstrip("/")), account)
    return Said(made, made.url, aside="It works once, within ten minutes.")


@account.command("plan")
@click.argument("account", metavar="ACCOUNT")
@click.argument("plan", metavar="PLAN")
@operates
async def plan(desk: Desk, account: str, plan: str) -> Said:
    """Put an account on PLAN from its next call on ('' for none). A subscription's goes first."""
    shown = await accounts.set_plan(desk, account, accounts.PlanChange(plan=plan))
    named = f"is on {shown.plan_in_force}" if shown.plan_in_force else "is on no plan"
    if not shown.plan_applied:
        return Said(shown, f"pending: {shown.id} {named} once Redis answers", code=1)
    return Said(shown, f"{shown.id} {named}")


@account.command("freeze")
@click.argument("account", metavar="ACCOUNT")
@click.option("--reason", required=True, help="Kept in the audit.")
@operates
async def freeze(desk: Desk, account: str, reason: str) -> Said:
    """Refuse every request of an account from now on; its balance stays."""
    return changed(await accounts.freeze(desk, account, accounts.Why(reason=reason)), "frozen")


@account.command("thaw")
@click.argument("account", metavar="ACCOUNT")
@click.option("--reason", required=True, help="Kept in the audit.")
@operates
async def thaw(desk: Desk, account: str, reason: str) -> Said:
    """Let a frozen account call again."""
    return changed(await accounts.thaw(desk, account, accounts.Why(reason=reason)), "active")


@account.command("release")
@click.argument("account", metavar="ACCOUNT")
@click.option("--reason", required=True, help="Kept in the audit.")
@operates
async def release(desk: Desk, account: str, reason: str) -> Said:
    """End an account's quarantine: it is frozen from now on, and may be thawed."""
    done = await recovery.release(desk, account, accounts.Why(reason=reason))
    return Said(done, f"{done.id} is out of quarantine, and frozen")


def changed(shown: accounts.AccountChanged, word: str) -> Said:
    """Say what an account is now, or that it will be."""
    if shown.applied:
        return Said(shown, f"{shown.id} is {word}")
    return Said(shown, f"pending: {shown.id} will be {word} once Redis answers", code=1)


def _plan_words(shown: accounts.AccountAnswer) -> str:
    words = shown.plan_in_force or "-"
    if shown.features:
        words += f", with {', '.join(shown.features)}"
    return words if shown.plan_applied else f"{words} (pending)"


def account_facts(shown: accounts.AccountAnswer) -> list[tuple[str, str]]:
    """Return what `show` prints, a name and a value each."""
    rows = [
        ("id", shown.id),
        ("external id", shown.external_id or "-"),
        ("name", shown.name),
        ("e-mail", shown.email),
        ("plan", shown.plan),
        ("plan in force", _plan_words(shown)),
        ("status", shown.status),
        ("created", shown.created_at.isoformat(timespec="seconds")),
    ]
    for balance in shown.balances:
        rows += [
            (f"{balance.credit_type} {name}", balance.display[name])
            for name in ("available", "held", "debt", "purchased", "used", "expiring")
        ]
        rows += [
            (f"{balance.credit_type} on {', '.join(one.routes)}", one.display["available"])
            for one in balance.limited
        ]
    return rows
