"""
What a Checkout session says, and whether it fits the order it was made for. Computes only.

Prices and credits are the order's, quantities those of the session's actual lines: the buyer may
have changed them on the page. Metadata gives nothing; it can only contradict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.errors import Quarantined
from billing.purchases.orders import Order
from billing.purchases.payments import GrantDraft, PaymentDraft
from billing.stripe_door import at, ident, moment
from ledger.ids import account_text

EXPAND = ("line_items", "payment_intent.latest_charge.balance_transaction", "invoice")
"""What has to be in the session that is read here; the list of lines may be cut off even so."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_FAILED_INTENTS = frozenset({"requires_payment_method", "canceled"})


@dataclass(frozen=True, slots=True)
class Lines:
    """What was bought: how many, and what they cost before discounts and tax."""

    quantity: int
    subtotal_minor: int


def check(order: Order, session: Any, lines: Sequence[Any]) -> Lines:
    """
    Return what was bought, after everything was compared with the order.

    Raises:
        Quarantined: Something does not fit; the sentence says what.

    """
    mode = "subscription" if order.kind == "subscription" else "payment"
    _same("mode", at(session, "mode"), mode)
    _same("livemode", at(session, "livemode"), order.livemode)
    _same("currency", at(session, "currency"), order.currency)
    # What we wrote on it ourselves may have been wiped in the dashboard, but not be another's.
    # Its client_reference_id says nothing: that of a payment link is the buyer's to choose.
    _same("order", at(session, "metadata.order_id") or order.id, order.id)
    account = account_text(order.account_id)
    _same("account", at(session, "metadata.account") or account, account)
    if order.customer_id is not None:
        _same("customer", ident(at(session, "customer")), order.customer_id)
    bought = Lines(0, 0)
    for line in lines:
        bought = _with_line(order, bought, line)
    if not order.least_quantity <= bought.quantity <= order.most_quantity:
        raise Quarantined(
            f"{bought.quantity} were bought, {order.least_quantity} to {order.most_quantity} were "
            f"offered by order {order.id}"
        )
    if mode == "payment":  # what a subscription costs now may be a trial's nothing
        _same("amount_subtotal", at(session, "amount_subtotal"), bought.subtotal_minor)
    return bought


def payment(order: Order, session: Any, bought: Lines) -> PaymentDraft:
    """Return the payment that a completed session of a single purchase stands for."""
    charge = at(session, "payment_intent.latest_charge")
    paid_at = moment(at(charge, "created")) or moment(at(session, "created")) or _BEGINNING
    return PaymentDraft(
        order=order,
        source="checkout",
        object_id=at(session, "id"),
        payment_intent_id=ident(at(session, "payment_intent")),
        charge_id=ident(charge),
        invoice_id=ident(at(session, "invoice")),
        customer_id=ident(at(session, "customer")),
        currency=order.currency,
        quantity=bought.quantity,
        subtotal_minor=bought.subtotal_minor,
        discount_minor=at(session, "total_details.amount_discount") or 0,
        tax_minor=at(session, "total_details.amount_tax") or 0,
        # In our currency also where the buyer paid in another one.
        paid_minor=at(session, "amount_total") or 0,
        fee_minor=at(charge, "balance_transaction.fee"),
        fee_currency=at(charge, "balance_transaction.currency"),
        receipt_url=at(charge, "receipt_url"),
        invoice_url=at(session, "invoice.hosted_invoice_url"),
        invoice_pdf=at(session, "invoice.invoice_pdf"),
        paid_at=paid_at,
    )


def grants(draft: PaymentDraft, now: datetime) -> list[GrantDraft]:
    """
    Return the credits that a payment gives: all, or the share that was paid, rounded down.

    Their time runs from `now`, when they are given: nobody loses any because we heard late.
    """
    order, offer = draft.order, draft.order.offer
    due = order.credits_each * draft.quantity
    if offer.discounted == "share" and draft.discount_minor and draft.subtotal_minor:
        left_minor = max(draft.subtotal_minor - draft.discount_minor, 0)
        due = due * left_minor // draft.subtotal_minor
    if due == 0:
        return []
    lasts = None if offer.expires_ms is None else timedelta(milliseconds=offer.expires_ms)
    return [
        GrantDraft(
            object_id=draft.object_id,
            credit_type_id=order.credit_type_id,
            credits=due,
            kind="purchase",
            expires_at=None if lasts is None else now + lasts,
            lasts=lasts,
            description=offer.title,
            metadata={"package": order.package},
            routes=offer.routes,
        )
    ]


def failure(session: Any) -> str | None:
    """Return Stripe's words for why the money of a completed session will not come, if so."""
    if at(session, "payment_intent.status") not in _FAILED_INTENTS:
        return None
    error = at(session, "payment_intent.last_payment_error")
    codes = [at(error, "code"), at(error, "decline_code")]
    return " ".join(code for code in codes if code) or "payment_failed"


def is_reversed(session: Any) -> bool:
    """Whether some of the money went back already, or is disputed."""
    charge = at(session, "payment_intent.latest_charge")
    return bool(at(charge, "amount_refunded") or at(charge, "disputed"))


def _with_line(order: Order, bought: Lines, line: Any) -> Lines:
    quantity = at(line, "quantity") or 0
    known = order.offer.stripe_prices.get(order.currency)
    if known is not None:
        _same("price of a line", at(line, "price.id"), known)
    else:
        _same("price of a line", at(line, "price.unit_amount"), order.unit_minor)
        _same("currency of a price", at(line, "price.currency"), order.currency)
    _same("currency of a line", at(line, "currency"), order.currency)
    if order.kind != "subscription":
        _same("amount of a line", at(line, "amount_subtotal"), order.unit_minor * quantity)
    return Lines(bought.quantity + quantity, bought.subtotal_minor + order.unit_minor * quantity)


def _same(what: str, shown: object, expected: object) -> None:
    if shown != expected:
        raise Quarantined(f"the {what} is {shown} and should be {expected}")
