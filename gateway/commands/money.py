"""`farebox grant`, `grants import`, `adjust` and `refund`: what moves balances besides calls."""

from datetime import datetime
from typing import BinaryIO

import click
from pydantic import BaseModel

from gateway.commands.failed import CommandFailed
from gateway.commands.first_types import register_first_types
from gateway.commands.kinds import MOMENT
from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import grants as granting
from gateway.operations import imports, refunds
from gateway.operations.credit_types import credit_type_of, typed_amount
from gateway.operations.desk import Desk
from gateway.reading import MAX_BODY_BYTES

TYPE = click.option("--type", "credit_type", help="Credit type; needed where there are several.")
REFERENCE = click.option(
    "--reference", help="Your own name for this; running it again with the same changes nothing."
)


@click.command()
@click.argument("account", metavar="ACCOUNT")
@click.argument("amount")
@TYPE
@click.option("--kind", type=click.Choice(granting.KINDS), default="promotion", show_default=True)
@click.option("--priority", type=click.IntRange(0, 255), default=100, show_default=True,
              help="Lower is used up first.")  # fmt: skip
@click.option("--effective", type=MOMENT, help="When it enters; now, if not given.")
@click.option("--expires", type=MOMENT, help="When what is left is lost.")
@click.option("--description", default="", help="Shown in the account's history.")
@click.option(
    "--routes", default="", help="Names of the only routes it may be used on, with commas."
)
@REFERENCE
@operates
async def grant(
    desk: Desk,
    *,
    account: str,
    amount: str,
    credit_type: str | None,
    kind: granting.Kind,
    priority: int,
    effective: datetime | None,
    expires: datetime | None,
    description: str,
    routes: str,
    reference: str | None,
) -> Said:
    """Put credits into an account. AMOUNT is written in the type's decimals: 100, or 12.50."""
    await register_first_types(desk)
    found = await credit_type_of(desk, credit_type)
    draft = granting.GrantDraft(
        credit_type=found.name,
        amount=typed_amount(amount, found),
        kind=kind,
        priority=priority,
        effective_at=effective,
        expires_at=expires,
        description=description,
        reference=reference,
        routes=granting.names_of(routes),
    )
    made = await granting.grant(desk, account, draft)
    text = f"{made.id}: {made.display['amount']} {made.credit_type} for {made.account}"
    if made.routes:
        text += f", on {', '.join(made.routes)} only"
    return _said(made, text, made.applied)


@click.group()
def grants() -> None:
    """Put credits into many accounts at once."""


@grants.command("import")
@click.argument("file", type=click.File("rb"))
@operates
async def imported(desk: Desk, file: BinaryIO) -> Said:
    """
    Grant each row of a CSV file: account, amount, reference and, if wanted, more columns.

    A row whose reference was used before changes nothing, so a file may be run again.
    """
    raw = file.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise CommandFailed(f"{file.name} is larger than {MAX_BODY_BYTES} bytes: split it")
    await register_first_types(desk)
    done = await imports.from_csv(desk, raw)
    rows = [
        (str(row.row), row.account, row.outcome, row.id or "", row.message) for row in done.rows
    ]
    counts = f"{done.granted} granted, {done.repeated} granted before, {done.refused} refused"
    text = f"{columns(('row', 'account', 'outcome', 'grant', 'why'), rows)}\n{counts}"
    code = 0 if done.applied and not done.refused else 1
    return Said(done, text, code, aside="" if done.applied else "pending: not all are applied yet")


@click.command(context_settings={"ignore_unknown_options": True})  # -5 is an amount, no option
@click.argument("account", metavar="ACCOUNT")
@click.argument("amount", metavar="+/-AMOUNT")
@TYPE
@click.option("--reason", required=True, help="Shown in the account's history and the audit.")
@REFERENCE
@operates
async def adjust(
    desk: Desk,
    *,
    account: str,
    amount: str,
    credit_type: str | None,
    reason: str,
    reference: str | None,
) -> Said:
    """Correct a balance by hand. Taking more than is there leaves a debt."""
    await register_first_types(desk)
    found = await credit_type_of(desk, credit_type)
    sign = -1 if amount.startswith("-") else 1
    draft = granting.Adjustment(
        credit_type=found.name,
        amount=sign * typed_amount(amount.lstrip("+-"), found),
        reason=reason,
        reference=reference,
    )
    made = await granting.adjust(desk, account, draft)
    text = f"{made.account}: {made.display['amount']} {made.credit_type}"
    return _said(made, text, made.applied)


@click.command()
@click.argument("charge", metavar="CHARGE")
@click.argument("amount", required=False)
@click.option("--reason", default="", help="Shown in the account's history.")
@REFERENCE
@operates
async def refund(
    desk: Desk, charge: str, amount: str | None, reason: str, reference: str | None
) -> Said:
    """Give back what a charge took: AMOUNT, or all that is not refunded yet."""
    smallest = None if amount is None else await refunds.typed_refund(desk, charge, amount)
    draft = refunds.RefundDraft(amount=smallest, reason=reason, reference=reference)
    made = await refunds.refund(desk, charge, draft)
    text = f"{made.id}: {made.display['amount']} {made.credit_type} back to {made.account}"
    return _said(made, text, made.applied)


def _said(answer: BaseModel, text: str, applied: bool) -> Said:  # noqa: FBT001
    if applied:
        return Said(answer, text)
    return Said(answer, f"{text} (pending: it takes effect once Redis answers)", code=1)
