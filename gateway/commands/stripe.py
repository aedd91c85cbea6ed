"""`farebox stripe`: the webhook endpoint, the catalogue, money back, and what was missed."""

import click

from gateway.commands.failed import CommandFailed
from gateway.commands.session import Said
from gateway.commands.text import columns, facts
from gateway.commands.till import Till, sells
from gateway.operations import orders
from gateway.operations import stripe as operations

WEBHOOK = "/stripe/webhook"
PASSES = ("events", "state", "audit")


@click.group()
def stripe() -> None:
    """Look after selling through Stripe. Needs STRIPE_SECRET_KEY, as serve has it."""


@stripe.command("setup")
@click.argument("url", required=False)
@sells
async def setup(till: Till, url: str | None) -> Said:
    """
    Create the webhook endpoint at Stripe, or bring it to what this release needs.

    URL is where Stripe reaches this gateway's webhook, like
    https://api.example.com/farebox/stripe/webhook; by default what FAREBOX_PUBLIC_URL says.
    """
    address = url or f"{till.desk.pages_url}{WEBHOOK}"
    if not address.startswith(("http://", "https://")):
        raise CommandFailed("say where Stripe reaches the webhook: URL, or FAREBOX_PUBLIC_URL")
    done = await operations.set_up(till.shop, address, actor=till.desk.actor)
    rows = [("endpoint", done.endpoint_id), ("url", done.url), ("secret", done.secret or "")]
    rows += [("changed", sentence) for sentence in done.differences]
    aside = "Put the secret into STRIPE_WEBHOOK_SECRET; it is not shown again."
    return Said(done, facts(rows), aside=aside if done.secret else "")


@stripe.command("sync")
@sells
async def sync(till: Till) -> Said:
    """Take over the packages that Stripe's products define."""
    done = await operations.sync(till.shop, actor=till.desk.actor)
    rows = [
        *((name, "updated", "") for name in done.updated if name not in done.broken),
        *((name, "unchanged", "") for name in done.unchanged if name not in done.broken),
        *((name, "not sold", why) for name, why in done.broken.items()),
    ]
    text = columns(("package", "", "why"), rows) if rows else "no product at Stripe names credits"
    return Said(done, text, code=1 if done.broken else 0)


@stripe.command("reconcile")
@click.option("--only", "passes", type=click.Choice(PASSES), multiple=True, help="Only this pass.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@sells
async def reconcile(till: Till, *, passes: tuple[str, ...], dry_run: bool) -> Said:
    """Look for what no webhook told, and do what it would have caused; a repeat changes nothing."""
    draft = operations.ReconcileDraft.model_validate(
        {"passes": list(passes) or None, "dry_run": dry_run}
    )
    done = await operations.reconcile(till.shop, draft, actor=till.desk.actor)
    lines = [
        f"{one.name}: {one.looked_at} looked at, {_counts(one.outcomes)}"
        + ("" if one.complete else " (stopped early: run it again)")
        for one in done.passes
    ]
    notes = [f"  {note}" for one in done.passes for note in one.notes]
    odd = any(not one.complete or one.outcomes.get("quarantined") for one in done.passes)
    return Said(done, "\n".join([*lines, *notes]), code=1 if odd else 0)


@stripe.command("settle")
@click.argument("object_id", metavar="OBJECT")
@sells
async def settle(till: Till, object_id: str) -> Said:
    """Fetch one object (cs_, pi_, in_, sub_, re_, ...) from Stripe and do what it is due."""
    done = await operations.settle(till.shop, object_id, actor=till.desk.actor)
    rows = [
        ("object", done.object_id),
        ("outcome", done.outcome),
        ("detail", done.detail),
        ("account", done.account or ""),
    ]
    return Said(done, facts(rows))


@stripe.command("refund")
@click.argument("order", metavar="ORDER")
@click.argument("minor_units", type=click.IntRange(1), required=False)
@click.option("--reason", default="", help="Kept here and at Stripe.")
@click.option(
    "--reference", help="Your own name for this; running it again with the same changes nothing."
)
@sells
async def refund(
    till: Till, order: str, minor_units: int | None, reason: str, reference: str | None
) -> Said:
    """
    Give money back on an order, and take its credits back in proportion.

    MINOR_UNITS are cents; without them all that is left is given back.
    """
    draft = orders.MoneyBackDraft(amount_minor=minor_units, reason=reason, reference=reference)
    made = await orders.give_back(till.shop, order, draft, actor=till.desk.actor)
    text = f"{made.id}: {made.display['amount']} of {made.order_id} back, {made.state}"
    known = made.state in ("succeeded", "pending", "requires_action")
    return Said(made, text, code=0 if known else 1)


def _counts(outcomes: dict[str, int]) -> str:
    said = ", ".join(f"{count} {word}" for word, count in sorted(outcomes.items()))
    return said or "nothing to do"
