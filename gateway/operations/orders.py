"""Orders: what somebody began to buy, what became of it, and money given back on it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from billing import lists
from billing.lists import OrderLine, RefundLine
from billing.money import money_text
from billing.purchases import sessions
from billing.reversing import money_back
from billing.shop import Shop
from gateway.models import Answer, GivenBody, Text, Time
from gateway.operations.payments import PaymentRow, payment_text
from gateway.operations.payments import row as payment_row
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery, pack_cursor, unpack_cursor
from ledger import accounts
from ledger.ids import account_text

State = Literal[
    "created", "open", "awaiting_funds", "review", "paid", "failed", "expired", "canceled",
    "quarantined",
]  # fmt: skip
MAX_MINOR = 10**12


class OrderQuery(PageQuery):
    """Which orders."""

    account: str | None = None
    state: Annotated[
        State | None, Field(description="`review` and `quarantined` wait for a person.")
    ] = None


class OrderRow(Answer):
    """An order as it was offered; credits and money for each one of `quantity`."""

    id: str
    account: str
    kind: str
    state: State
    package: str
    credit_type: str
    scale: int
    credits_each: int
    currency: str
    unit_minor: int
    quantity: int
    session_id: str | None
    payment_intent_id: str | None
    subscription_id: str | None
    customer_id: str | None
    email: str
    failure: Annotated[str | None, Field(description="Stripe's code of the last failed try.")]
    problem: Annotated[str | None, Field(description="Why a person has to decide.")]
    expires_at: Time | None
    created_at: Time
    updated_at: Time
    display: Display


class OrderPage(Answer):
    """A page of orders, newest first."""

    items: list[OrderRow]
    next: str | None


class RefundRow(Answer):
    """Money that we were asked to give back; `asking`: Stripe's answer is not known yet."""

    id: str
    order_id: str
    payment_id: str
    amount_minor: int
    currency: str
    state: str
    stripe_id: str | None
    reason: str
    failure: str | None
    actor: str
    reference: str | None
    created_at: Time
    display: Display


class OrderAnswer(OrderRow):
    """An order with what was paid and given back on it."""

    payments: list[PaymentRow]
    refunds: list[RefundRow]


class MoneyBackDraft(GivenBody):
    """How much money to give back, and why; credits follow in proportion."""

    amount_minor: Annotated[
        int | None, Field(ge=1, le=MAX_MINOR, description="Minor units; null: all that is left.")
    ] = None
    reason: Annotated[str, Field(max_length=500)] = ""
    reference: Annotated[
        Text | None, Field(description="Your own name for it: a repeat gives nothing more back.")
    ] = None


async def listed(shop: Shop, query: OrderQuery) -> OrderPage:
    """Return a page of orders, newest first."""
    before = unpack_cursor("orders", query.cursor)
    async with shop.ledger.database.connection() as connection:
        account = await accounts.find(connection, query.account) if query.account else None
        found = await lists.orders(
            connection,
            livemode=shop.livemode,
            account_id=account.id if account else None,
            state=query.state,
            before=before,
            limit=query.limit,
        )
    return OrderPage(
        items=[OrderRow(**_fields(line)) for line in found],
        next=pack_cursor("orders", found[-1].id) if len(found) == query.limit else None,
    )


async def show(shop: Shop, order: str) -> OrderAnswer:
    """
    Show an order with its payments and what was given back.

    Raises:
        NoSuchObject: There is none of that id.

    """
    async with shop.ledger.database.connection() as connection:
        found = await lists.order(connection, order, livemode=shop.livemode)
        paid = await lists.payments(
            connection, livemode=shop.livemode, order_id=order, limit=SHOWN_PAYMENTS
        )
        back = await lists.refunds_of_order(connection, order, livemode=shop.livemode)
    return OrderAnswer(
        **_fields(found),
        payments=[payment_row(line) for line in paid],
        refunds=[_refund(line) for line in back],
    )


SHOWN_PAYMENTS = 100
"""A subscription's order has one for each period; the list of payments has the rest."""


async def approve(shop: Shop, order: str, *, actor: str) -> OrderAnswer:
    """
    Give the credits of an order in review: completed although nothing was left to pay.

    Raises:
        StateConflict: It is not in review.

    """
    await sessions.approve(shop, order, actor)
    return await show(shop, order)


async def give_back(shop: Shop, order: str, draft: MoneyBackDraft, *, actor: str) -> RefundRow:
    """
    Give money back on an order; its credits are taken back in proportion.

    A repeated reference is answered as the first time; without one, each call is its own.

    Raises:
        NotRefundable: More than is left.
        StripeRefused: Stripe said no; nothing was given back.

    In state `asking` Stripe's answer is not known yet; the reconciler finds out.

    """
    done = await money_back.refund(
        shop,
        order,
        draft.amount_minor,
        reason=draft.reason,
        actor=actor,
        reference=draft.reference,
    )
    async with shop.ledger.database.connection() as connection:
        return _refund(await lists.refund(connection, done.id, livemode=shop.livemode))


def _refund(line: RefundLine) -> RefundRow:
    return RefundRow(
        id=line.id,
        order_id=line.order_id,
        payment_id=payment_text(line.payment_id),
        amount_minor=line.amount_minor,
        currency=line.currency,
        state=line.state,
        stripe_id=line.stripe_id,
        reason=line.reason,
        failure=line.failure,
        actor=line.actor,
        reference=line.reference,
        created_at=line.created_at,
        display={"amount": money_text(line.amount_minor, line.currency)},
    )


def _fields(line: OrderLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "account": account_text(line.account_id),
        "kind": line.kind,
        "state": line.state,
        "package": line.package,
        "credit_type": line.credit_type,
        "scale": line.scale,
        "credits_each": line.credits_each,
        "currency": line.currency,
        "unit_minor": line.unit_minor,
        "quantity": line.quantity,
        "session_id": line.session_id,
        "payment_intent_id": line.payment_intent_id,
        "subscription_id": line.subscription_id,
        "customer_id": line.customer_id,
        "email": line.email,
        "failure": line.failure,
        "problem": line.problem,
        "expires_at": line.expires_at,
        "created_at": line.created_at,
        "updated_at": line.updated_at,
        "display": display(line.scale, {"credits_each": line.credits_each})
        | {"unit": money_text(line.unit_minor, line.currency)},
    }
