"""What an operator asks of Stripe: the endpoint, the catalogue, a look for what was missed."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from billing import settling
from billing.errors import Quarantined
from billing.events import endpoint_setup
from billing.packages import mirror
from billing.reconciling import reconciler
from billing.reconciling.pass_report import Report
from billing.shop import Outcome, Shop
from gateway.models import Answer, GivenBody
from ledger import audit
from ledger.ids import account_text

Pass = Literal["events", "state", "audit"]


class SetUp(Answer):
    """The webhook endpoint at Stripe."""

    endpoint_id: str
    url: str
    created: bool
    secret: Annotated[
        str | None, Field(description="Goes into STRIPE_WEBHOOK_SECRET; shown this once.")
    ]
    differences: Annotated[
        list[str], Field(description="What was not as it should be; put right unless it says so.")
    ]


class Synced(Answer):
    """Packages that Stripe's products define, by what became of them."""

    updated: list[str]
    unchanged: list[str]
    broken: Annotated[Mapping[str, str], Field(description="Package, and why it is not sold.")]


class ReconcileDraft(GivenBody):
    """What to look through, and how far back."""

    passes: Annotated[
        list[Pass] | None, Field(min_length=1, max_length=3, description="Null: all three.")
    ] = None
    dry_run: Annotated[bool, Field(description="Only say what would be done.")] = False


class PassReport(Answer):
    """What one pass came to."""

    name: Pass
    dry_run: bool
    complete: Annotated[bool, Field(description="False: it stopped early; run it again.")]
    looked_at: int
    outcomes: dict[str, int]
    notes: list[str]


class Reconciled(Answer):
    """What each pass came to."""

    passes: list[PassReport]


class SettleDraft(GivenBody):
    """Which object at Stripe."""

    object_id: Annotated[str, Field(min_length=4, max_length=255, pattern=r"^[A-Za-z0-9_]+$")]


class SettledAnswer(Answer):
    """What an object came to, fetched from Stripe just now."""

    object_id: str
    object_type: str
    outcome: Outcome
    detail: str
    account: str | None


async def set_up(shop: Shop, url: str, *, actor: str) -> SetUp:
    """Create the webhook endpoint, or bring it to what this release needs; then it is as it was."""
    done = await endpoint_setup.setup(shop, url)
    async with shop.ledger.database.connection() as connection:
        detail = {"url": done.url, "differences": list(done.differences)}
        await audit.write(connection, actor, "stripe.setup", done.endpoint_id, detail)
    return SetUp(
        endpoint_id=done.endpoint_id,
        url=done.url,
        created=done.created,
        secret=done.secret,
        differences=list(done.differences),
    )


async def sync(shop: Shop, *, actor: str) -> Synced:
    """Take over every product and price of the Stripe account that names credits."""
    done = await mirror.sync(shop)
    counts = {"updated": len(done.updated), "broken": len(done.broken)}
    async with shop.ledger.database.connection() as connection:
        await audit.write(connection, actor, "stripe.sync", "packages", counts)
    return Synced(
        updated=list(done.updated), unchanged=list(done.unchanged), broken=dict(done.broken)
    )


async def reconcile(shop: Shop, draft: ReconcileDraft, *, actor: str) -> Reconciled:
    """Look for what no webhook told, and do what it would have caused; a repeat changes nothing."""
    passes = tuple(draft.passes or reconciler.PASSES)
    reports = await reconciler.run(shop, passes, dry_run=draft.dry_run)
    if not draft.dry_run:
        async with shop.ledger.database.connection() as connection:
            detail = {str(report.name): dict(report.outcomes) for report in reports}
            await audit.write(connection, actor, "stripe.reconcile", "", detail)
    return Reconciled(passes=[_report(report) for report in reports])


async def settle(shop: Shop, object_id: str, *, actor: str) -> SettledAnswer:
    """
    Fetch one object from Stripe and do what it is due; a repeat changes nothing.

    Raises:
        NoSuchObject: The id is of no kind that is settled.
        Quarantined: What Stripe shows does not fit what is known here.

    """
    object_type = settling.object_type_of(object_id)
    try:
        settled = await settling.settle(shop, object_type, object_id)
    except Quarantined as why:
        await _noted(shop, actor, object_id, "quarantined", str(why))
        raise
    await _noted(shop, actor, object_id, settled.outcome, settled.detail)
    return SettledAnswer(
        object_id=object_id,
        object_type=object_type,
        outcome=settled.outcome,
        detail=settled.detail,
        account=account_text(settled.account_id) if settled.account_id else None,
    )


async def _noted(shop: Shop, actor: str, object_id: str, outcome: str, detail: str) -> None:
    async with shop.ledger.database.connection() as connection:
        said = {"outcome": outcome, "detail": detail}
        await audit.write(connection, actor, "stripe.settle", object_id, said)


def _report(report: Report) -> PassReport:
    return PassReport(
        name=report.name,
        dry_run=report.dry_run,
        complete=report.complete,
        looked_at=report.looked_at,
        outcomes=dict(report.outcomes),
        notes=list(report.notes),
    )
