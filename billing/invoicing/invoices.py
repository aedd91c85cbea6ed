"""
Invoices of subscriptions: what gives credits each period, and what happens when one is not paid.

A paid invoice is settled line by line; the ledger knows each grant by its line (il_), so that
however many events tell of one invoice, each line gives once.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from billing.errors import Quarantined
from billing.invoicing import subscriptions
from billing.invoicing.invoice_lines import Due, Line, due, paid_anew
from billing.invoicing.invoice_reading import (
    PaidBy,
    draft,
    fetched,
    from_balance_minor,
    lines_of,
    payment_of,
)
from billing.marks import is_ours
from billing.purchases import orders, payments
from billing.purchases.orders import Order
from billing.purchases.payments import GrantDraft, Payment
from billing.reversing import reversals
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, translated
from billing.telling import alerts, notices
from ledger.database import Connection, Queries

PAYABLE: tuple[orders.State, ...] = (
    "created",
    "open",
    "awaiting_funds",
    "failed",
    "expired",
    "review",
    "quarantined",
)
"""An order in any of these is paid when an invoice of its subscription is."""

FAILED_INTENTS = frozenset({"requires_payment_method", "requires_action", "canceled"})
"""States of a PaymentIntent in which the buyer has to do something; others wait for the bank."""

_SQL = Queries("invoices", package="billing")


async def settle(shop: Shop, invoice_id: str) -> Settled:
    """
    Give what a paid invoice of a subscription is due, or say that it was not paid.

    The invoice is fetched (GET /v1/invoices/{id}) with its lines, payments and prices. A repeat
    changes nothing.

    Raises:
        Quarantined: It is a subscription's of ours, and does not fit what was sold.
        StripeUnavailable: No answer; ask again.

    """
    invoice = await fetched(shop, invoice_id)
    if invoice is None:
        return Settled("ignored", "there is no such invoice at Stripe")
    subscription_id = ident(at(invoice, "parent.subscription_details.subscription"))
    if subscription_id is None:
        return await _one_off(shop, invoice)
    order = await _order_of(shop, subscription_id)
    if order is None:
        return Settled("ignored", "an invoice of something else")
    if at(invoice, "livemode") != shop.livemode or at(invoice, "currency") != order.currency:
        raise Quarantined(
            f"invoice {invoice_id} is in {at(invoice, 'currency')}, order {order.id} in "
            f"{order.currency}"
        )
    paid = await payment_of(shop, invoice)
    match at(invoice, "status"):
        case "paid":
            return await _settle_paid(shop, order, invoice, paid)
        case "open" if at(invoice, "attempted"):
            return await _settle_unpaid(shop, order, invoice, paid)
        case "void" | "uncollectible":
            return await _settle_given_up(shop, order, invoice_id)
        case status:
            return Settled("waiting", f"the invoice is {status}", order.account_id)


async def settle_invoice_payment(shop: Shop, object_id: str) -> Settled:
    """Settle the invoice that a payment (inpay_) belongs to; raises as `settle`."""
    with translated():
        payment = await shop.stripe.v1.invoice_payments.retrieve_async(object_id)
    return await settle(shop, ident(at(payment, "invoice")) or "")


async def settle_credit_note(shop: Shop, object_id: str) -> Settled:
    """
    Bring the payment of a credit note's invoice to where its refunds at Stripe say.

    The note itself changes no credits: what it gives back in money is a refund.
    """
    with translated():
        note = await shop.stripe.v1.credit_notes.retrieve_async(object_id)
    invoice_id = ident(at(note, "invoice")) or ""
    async with shop.ledger.database.connection() as connection:
        payment = await _booked(connection, shop, invoice_id)
    if payment is None:
        return await settle(shop, invoice_id)
    return await reversals.reconcile(shop, payment.id)


async def _settle_paid(shop: Shop, order: Order, invoice: Any, paid: PaidBy) -> Settled:
    lines = await lines_of(shop, order, invoice)
    given = due(at(invoice, "billing_reason") or "", lines)
    given = paid_anew(given, at(invoice, "total"), from_balance_minor(invoice))
    async with shop.ledger.database.transaction() as connection:
        locked = await orders.lock(connection, order.id)
        assert locked is not None, "orders are never deleted"
        given = [one for one in given if await _may_have(shop, connection, order, invoice, one)]
        grants = [await _grant(connection, lines, one) for one in given]
        payment = await payments.book(connection, draft(order, invoice, lines, paid), grants)
        new = payment is not None
        if payment is not None:
            await orders.move(connection, order.id, "paid", of=PAYABLE)
            await _tell_paid(connection, order, payment, given)
            if paid.several:
                await alerts.raise_alert(
                    connection,
                    "several-payments",
                    payment.object_id,
                    "the invoice was paid in parts: refunds of the smaller ones take no credits "
                    "back by themselves",
                )
        else:
            await _complete(connection, shop, invoice, paid)
            payment = await _booked(connection, shop, at(invoice, "id"))
            given = []
    if paid.reversed and payment is not None:
        await reversals.reconcile(shop, payment.id)
    # Also what somebody else has booked a moment ago: who is told of credits can use them.
    await shop.push(order.account_id)
    if not new:
        return Settled("unchanged", "the invoice was settled before", order.account_id)
    if not given:
        return Settled("updated", "the invoice is paid and gives no credits", order.account_id)
    total = sum(one.credits for one in given)
    return Settled("granted", f"{total} units for order {order.id}", order.account_id)


async def _settle_unpaid(shop: Shop, order: Order, invoice: Any, paid: PaidBy) -> Settled:
    """Tell the account that a payment failed, once for each try, with the page to pay it on."""
    if paid.intent is not None and at(paid.intent, "status") not in FAILED_INTENTS:
        return Settled("waiting", "the bank has not answered yet", order.account_id)
    error = at(paid.intent, "last_payment_error.message")
    async with shop.ledger.database.transaction() as connection:
        told = await notices.tell(
            connection,
            "payment_failed",
            account_id=order.account_id,
            key=f"{at(invoice, 'id')}:{at(invoice, 'attempt_count')}",
            payload={
                "order_id": order.id,
                "subscription_id": order.subscription_id,
                "package": order.offer.title,
                "amount_minor": at(invoice, "amount_remaining"),
                "currency": at(invoice, "currency"),
                "reason": error or "The payment needs to be confirmed.",
                "retry_url": at(invoice, "hosted_invoice_url"),
            },
        )
        failure = at(paid.intent, "last_payment_error.code")
        if failure:
            await orders.failed_try(connection, order.id, failure)
    return Settled(
        "updated" if told else "unchanged", "the invoice could not be collected", order.account_id
    )


async def _settle_given_up(shop: Shop, order: Order, invoice_id: str) -> Settled:
    """Look whether credits have to be taken back; an invoice that was never paid gave none."""
    async with shop.ledger.database.connection() as connection:
        payment = await _booked(connection, shop, invoice_id)
    if payment is None:
        return Settled("closed", "the invoice was given up unpaid", order.account_id)
    return await reversals.reconcile(shop, payment.id)


async def _one_off(shop: Shop, invoice: Any) -> Settled:
    """Keep the links of an invoice that Checkout made of a single purchase; it gives nothing."""
    paid = await payment_of(shop, invoice)
    async with shop.ledger.database.connection() as connection:
        filled = await _complete(connection, shop, invoice, paid)
    if filled is None:
        # Its session is settled on its own, and finds the invoice then.
        ours = is_ours(shop, invoice)
        return Settled("waiting" if ours else "ignored", "gives no credits by itself")
    payment, new = filled
    return Settled("updated" if new else "unchanged", "links of a purchase", payment.account_id)


async def _complete(
    connection: Connection, shop: Shop, invoice: Any, paid: PaidBy
) -> tuple[Payment, bool] | None:
    """Fill what was not known of the payment; None if it is not booked."""
    payment = await _booked(connection, shop, at(invoice, "id"))
    if payment is None and paid.intent is not None:
        payment = await payments.of_payment_intent(connection, shop.livemode, at(paid.intent, "id"))
    if payment is None:
        return None
    new = await payments.fill(
        connection,
        payment.id,
        payment_intent_id=at(paid.intent, "id"),
        charge_id=at(paid.charge, "id"),
        invoice_id=at(invoice, "id"),
        receipt_url=at(paid.charge, "receipt_url"),
        invoice_url=at(invoice, "hosted_invoice_url"),
        invoice_pdf=at(invoice, "invoice_pdf"),
        fee_minor=at(paid.charge, "balance_transaction.fee"),
        fee_currency=at(paid.charge, "balance_transaction.currency"),
    )
    return payment, new


async def _order_of(shop: Shop, subscription_id: str) -> Order | None:
    """Return the order of a subscription; one that is new to us is looked at first."""
    async with shop.ledger.database.connection() as connection:
        order = await orders.of_subscription(connection, shop.livemode, subscription_id)
    if order is None:
        await subscriptions.settle(shop, subscription_id)
        async with shop.ledger.database.connection() as connection:
            order = await orders.of_subscription(connection, shop.livemode, subscription_id)
    return order


async def _may_have(
    shop: Shop, connection: Connection, order: Order, invoice: Any, given: Due
) -> bool:
    """Whether a line gives its credits; a trial's are given once per account and package."""
    return not given.trial or bool(
        await connection.fetchval(
            _SQL.claim_trial, order.account_id, given.offer.name, shop.livemode, at(invoice, "id")
        )
    )


async def _grant(connection: Connection, lines: Sequence[Line], given: Due) -> GrantDraft:
    credit_type_id = await connection.fetchval(_SQL.credit_type_id, given.offer.credit_type)
    if credit_type_id is None:
        raise Quarantined(f"credit type {given.offer.credit_type} is not in use")
    line = next(line for line in lines if line.id == given.line_id)
    lasts = line.period_end - line.period_start
    if given.offer.expires_ms is not None:
        lasts = min(lasts, timedelta(milliseconds=given.offer.expires_ms))
    return GrantDraft(
        object_id=given.line_id,
        credit_type_id=credit_type_id,
        credits=given.credits,
        kind="subscription",
        expires_at=given.expires_at,
        lasts=lasts,
        description=f"{given.offer.title}{' (trial)' if given.trial else ''}",
        metadata={"package": given.offer.name},
        routes=given.offer.routes,
    )


async def _tell_paid(
    connection: Connection, order: Order, payment: Payment, given: Sequence[Due]
) -> None:
    if payment.paid_minor == 0:
        return  # a trial, or paid with what a downgrade had left: nothing to acknowledge
    offer = given[0].offer if given else order.offer
    links: Mapping[str, str | None] = {
        "receipt_url": payment.receipt_url,
        "invoice_url": payment.invoice_url,
        "invoice_pdf": payment.invoice_pdf,
    }
    await notices.tell(
        connection,
        "purchase",
        account_id=order.account_id,
        key=payment.object_id,
        payload={
            "order_id": order.id,
            "package": offer.title,
            "credits": sum(one.credits for one in given),
            "credit_type": offer.credit_type,
            "paid_minor": payment.paid_minor,
            "currency": payment.currency,
            **{name: link for name, link in links.items() if link},
        },
    )


async def _booked(connection: Connection, shop: Shop, invoice_id: str) -> Payment | None:
    return await payments.of_invoice(connection, shop.livemode, invoice_id)
