"""An account's credits, put in and corrected by an admin."""

import secrets
from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from gateway.operations import grants
from gateway.operations.credit_types import chosen, typed_amount
from gateway.operations.grants import Adjustment, GrantDraft
from gateway.pages import forms
from gateway.pages.admin.account_actions import ACCOUNT, NAME, Reason, account_of, called
from gateway.pages.admin.asking import AdminAsked, desk, given, signed, types_of
from gateway.pages.admin.form_page import Action, Asks, Input

ONCE = Input("once", "", kind="hidden")

Amount = Annotated[str, Field(max_length=40)]


class Given(forms.Fields):
    """
    Credits to put in.

    once: Made with the form, so that sending it twice gives nothing twice.
    """

    amount: Amount
    credit_type: str | None = None
    kind: str = "promotion"
    expires_on: date | None = None
    description: Annotated[str, Field(max_length=1_000)] = ""
    reference: str | None = None
    once: str | None = None


class Corrected(Reason):
    """A balance to correct; once: as of Given."""

    amount: Amount
    credit_type: str | None = None
    reference: str | None = None
    once: str | None = None


async def _type_choice(asked: AdminAsked) -> Input:
    types = await types_of(asked)
    options = [(row.name, f"{row.name} ({_decimals(row.scale)})") for row in types]
    return Input("credit_type", "Credit type", kind="choice", options=options)


def _decimals(scale: int) -> str:
    return "whole numbers" if not scale else f"up to {scale} decimals"


async def _asks_grant(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Give credits to {called(account)}",
        lead="They can be spent as soon as this is saved.",
        button="Give the credits",
        back=f"/accounts/{account.id}",
        values={"once": f"page-{secrets.token_hex(8)}"},
        inputs=(
            Input("amount", "Amount", "Like 100 or 12.50.", required=True),
            await _type_choice(asked),
            Input("kind", "What for", kind="choice", options=(
                ("promotion", "A gift or promotion"),
                ("purchase", "Paid outside of here"),
                ("adjustment", "A correction"),
            )),
            Input("expires_on", "Expires on", "What is left then is lost. Empty: never.",
                  kind="date"),
            Input("description", "Description", "Its owner sees it."),
            Input("reference", "Reference",
                  "Your own name for this, such as an invoice: it is given once only."),
            ONCE,
        ),
    )  # fmt: skip


async def _grant(asked: AdminAsked, form: Given) -> Response:
    account = await account_of(asked)
    credit_type = chosen(await types_of(asked), form.credit_type)
    draft = given(
        GrantDraft,
        credit_type=credit_type.name,
        amount=typed_amount(form.amount, credit_type),
        kind=form.kind,
        expires_at=_end_of(form.expires_on),
        description=form.description,
        reference=form.reference or form.once,
    )
    await grants.grant(desk(asked), account.id, draft)
    return asked.onward(f"/accounts/{account.id}", done="given")


def _end_of(day: date | None) -> datetime | None:
    """Return the last moment of a day, in UTC."""
    return None if day is None else datetime.combine(day, time.max, UTC)


async def _asks_adjustment(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Correct the balance of {called(account)}",
        lead="Where more is taken than is left, the rest becomes a debt that the next credits pay.",
        button="Correct the balance",
        back=f"/accounts/{account.id}",
        values={"once": f"page-{secrets.token_hex(8)}"},
        inputs=(
            Input("amount", "Amount", "Like 5 to add, or -5 to take.", required=True),
            await _type_choice(asked),
            Input("reason", "Reason", "Its owner and the audit log see it.", kind="lines",
                  required=True),
            Input("reference", "Reference", "Your own name for this: it is done once only."),
            ONCE,
        ),
    )  # fmt: skip


async def _adjust(asked: AdminAsked, form: Corrected) -> Response:
    account = await account_of(asked)
    credit_type = chosen(await types_of(asked), form.credit_type)
    change = given(
        Adjustment,
        credit_type=credit_type.name,
        amount=signed(form.amount, credit_type),
        reason=form.reason,
        reference=form.reference or form.once,
    )
    await grants.adjust(desk(asked), account.id, change)
    return asked.onward(f"/accounts/{account.id}", done="corrected")


ACTIONS = (
    Action(path=f"{ACCOUNT}/grant", name=NAME, model=Given, asks=_asks_grant, do=_grant),
    Action(path=f"{ACCOUNT}/adjust", name=NAME, model=Corrected, asks=_asks_adjustment, do=_adjust),
)  # fmt: skip
