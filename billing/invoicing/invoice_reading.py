"""What is read of an invoice at Stripe: how it was paid, its lines and their packages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.errors import Quarantined, StripeRefused
from billing.invoicing.invoice_lines import Line
from billing.invoicing.recurring import offer_for
from billing.packages.offers import Offer
from billing.purchases.orders import Order
from billing.purchases.payments import PaymentDraft
from billing.shop import Shop
from billing.stripe_door import at, ident, listed, moment, translated


@dataclass(frozen=True, slots=True)
class PaidBy:
    """How an invoice was paid: its PaymentIntent and charge at Stripe, where there are any."""

    intent: Any = None
    several: bool = False

    @property
    def charge(self) -> Any:
        """The charge that took the money, with its balance transaction."""
        return at(self.intent, "latest_charge")

    @property
    def reversed(self) -> bool:
        """Whether something of it was given back, or is disputed, already."""
        return bool(at(self.charge, "amount_refunded") or at(self.charge, "disputed"))


async def fetched(shop: Shop, invoice_id: str) -> Any | None:
    """Return the invoice as it is at Stripe now, with its payments; None: it is not there."""
    try:
        with translated():
            return await shop.stripe.v1.invoices.retrieve_async(
                invoice_id, {"expand": ["payments"]}
            )
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return None


async def payment_of(shop: Shop, invoice: Any) -> PaidBy:
    """Return how the invoice was paid, or how paying it was tried last."""
    tries = [one for one in at(invoice, "payments.data") or [] if at(one, "status") != "canceled"]
    paid = [one for one in tries if at(one, "status") == "paid"]
    best = max(paid or tries, key=lambda one: bool(at(one, "is_default")), default=None)
    intent_id = ident(at(best, "payment.payment_intent"))
    if intent_id is None:
        return PaidBy()
    with translated():
        intent = await shop.stripe.v1.payment_intents.retrieve_async(
            intent_id, {"expand": ["latest_charge.balance_transaction"]}
        )
    return PaidBy(intent, several=len(paid) > 1)


def from_balance_minor(invoice: Any) -> int:
    """Return what a finalized invoice took from the customer's balance; a credit is below 0."""
    before: int = min(0, at(invoice, "starting_balance") or 0)
    after: int = min(0, at(invoice, "ending_balance") or 0)
    return max(0, min(int(at(invoice, "total")), after - before))


async def lines_of(shop: Shop, order: Order, invoice: Any) -> list[Line]:
    """
    Return the invoice's lines with their packages.

    Raises:
        Quarantined: A line's price is of no package we know, or it has none.

    """
    invoice_id = at(invoice, "id")
    lines = list(at(invoice, "lines.data") or [])
    if at(invoice, "lines.has_more"):
        pages = shop.stripe.v1.invoices.line_items
        lines = [line async for line in listed(lambda params: pages.list_async(invoice_id, params))]
    known: dict[str, tuple[Offer, int]] = {}
    found = []
    for line in lines:
        price_id = ident(at(line, "pricing.price_details.price"))
        if price_id is None:
            raise Quarantined(f"line {at(line, 'id')} of invoice {invoice_id} has no price")
        if price_id not in known:
            known[price_id] = await _offer_of(shop, order, price_id)
        found.append(_line(line, *known[price_id]))
    return found


async def _offer_of(shop: Shop, order: Order, price_id: str) -> tuple[Offer, int]:
    with translated():
        price = await shop.stripe.v1.prices.retrieve_async(price_id)
    async with shop.ledger.database.connection() as connection:
        offer = await offer_for(shop, connection, order, price)
    if offer is None:
        raise Quarantined(f"price {price_id} belongs to no package we know")
    unit_minor = at(price, "unit_amount")
    if unit_minor is None:  # tiers, or parts of a minor unit: no share of it can be told
        raise Quarantined(f"price {price_id} is not over whole minor units for each one")
    return offer, unit_minor


def _line(line: Any, offer: Offer, unit_minor: int) -> Line:
    parent = at(line, "parent")
    details = at(parent, "subscription_item_details") or at(parent, "invoice_item_details")
    return Line(
        id=at(line, "id"),
        amount_minor=at(line, "amount"),
        discount_minor=sum(one.amount for one in at(line, "discount_amounts") or []),
        quantity=at(line, "quantity") or 1,
        unit_minor=unit_minor,
        proration=bool(at(details, "proration")),
        period_start=_time(at(line, "period.start")),
        period_end=_time(at(line, "period.end")),
        offer=offer,
    )


def draft(order: Order, invoice: Any, lines: Sequence[Line], paid: PaidBy) -> PaymentDraft:
    """Return the payment that a paid invoice is."""
    return PaymentDraft(
        order=order,
        source="invoice",
        object_id=at(invoice, "id"),
        payment_intent_id=at(paid.intent, "id"),
        charge_id=at(paid.charge, "id"),
        invoice_id=at(invoice, "id"),
        customer_id=ident(at(invoice, "customer")),
        currency=at(invoice, "currency"),
        quantity=max((line.quantity for line in lines), default=1),
        # A downgrade can make it negative; then nothing was paid.
        subtotal_minor=max(0, at(invoice, "subtotal")),
        discount_minor=_sum(at(invoice, "total_discount_amounts")),
        tax_minor=_sum(at(invoice, "total_taxes")),
        paid_minor=max(at(invoice, "amount_paid"), at(invoice, "amount_paid_off_stripe") or 0),
        fee_minor=at(paid.charge, "balance_transaction.fee"),
        fee_currency=at(paid.charge, "balance_transaction.currency"),
        receipt_url=at(paid.charge, "receipt_url"),
        invoice_url=at(invoice, "hosted_invoice_url"),
        invoice_pdf=at(invoice, "invoice_pdf"),
        paid_at=_time(at(invoice, "status_transitions.paid_at") or at(invoice, "created")),
    )


def _sum(parts: Any) -> int:
    return sum(part.amount for part in parts or [])


def _time(seconds: int) -> datetime:
    found = moment(seconds)
    assert found is not None, "Stripe always gives this time"
    return found.astimezone(UTC)
