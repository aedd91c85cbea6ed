"""
Payments, and the credits they gave: booked once each, in one transaction with the grants.

A payment's key is the object at Stripe that stands for it (session, invoice, PaymentIntent), never
an event: however many events, visits and passes tell of it, the second booking finds the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from billing.errors import Quarantined
from billing.purchases.orders import Order
from billing.stripe_door import Livemode
from ledger import controls
from ledger.controls import Grant
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound

Source = Literal["checkout", "invoice", "topup"]

CONTROL_SOURCES: Mapping[Source, str] = {
    "checkout": "checkout",
    "invoice": "invoice_line",
    "topup": "topup",
}
"""What the ledger knows the grants by, together with their object's id."""

LATE_CREDITS_LIVE = timedelta(days=30)
"""For credits that came after their end and whose own length is not known."""

_SQL = Queries("payments", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """
    A payment's row. Money in minor units of `currency`.

    Attributes:
        paid_minor: What was captured, with tax.
        fee_minor: Stripe's, in `fee_currency`; None until known.
        reversed_minor: What counts as given back or taken away; see `billing.reversing.reversals`.
        invoice_url: Stripe's page of the invoice; `invoice_pdf` the same as a file.

    """

    id: int
    order_id: str
    account_id: int
    livemode: Livemode
    source: Source
    object_id: str
    payment_intent_id: str | None
    charge_id: str | None
    invoice_id: str | None
    customer_id: str | None
    currency: str
    quantity: int
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    paid_minor: int
    fee_minor: int | None
    fee_currency: str | None
    refunded_minor: int
    disputed_minor: int
    reversed_minor: int
    receipt_url: str | None
    invoice_url: str | None
    invoice_pdf: str | None
    paid_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDraft:
    """A payment that may not be booked yet; the fields are those of `Payment`."""

    order: Order
    source: Source
    object_id: str
    currency: str
    quantity: int
    subtotal_minor: int
    paid_minor: int
    paid_at: datetime
    discount_minor: int = 0
    tax_minor: int = 0
    payment_intent_id: str | None = None
    charge_id: str | None = None
    invoice_id: str | None = None
    customer_id: str | None = None
    fee_minor: int | None = None
    fee_currency: str | None = None
    receipt_url: str | None = None
    invoice_url: str | None = None
    invoice_pdf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantDraft:
    """
    Credits that a payment gives.

    Attributes:
        object_id: cs_, il_ or pi_: each gives credits once for all time.
        credits: Smallest units of the credit type, at least 1.
        routes: Names of the only ones that they may be used on, as was offered; none: all.
        lasts: How long they live from `expires_at`'s point of view; used where that is past
            already. None: from when it was paid to `expires_at`.

    """

    object_id: str
    credit_type_id: int
    credits: int
    kind: Literal["purchase", "subscription"]
    expires_at: datetime | None = None
    lasts: timedelta | None = None
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentGrant:
    """A grant that a payment gave; `clawed` of its credits are taken back, in `steps` steps."""

    grant_id: int
    object_id: str
    credit_type_id: int
    credits: int
    clawed: int
    steps: int
    expires_at: datetime | None


async def book(
    connection: Connection,
    draft: PaymentDraft,
    grants: Sequence[GrantDraft],
    *,
    actor: str = "stripe",
) -> Payment | None:
    """
    Book a payment and give its credits, in the transaction `connection` is in.

    Args:
        connection: In a transaction that holds the lock of the order's row.
        draft: The payment.
        grants: What it gives; may be nothing.
        actor: Whose doing it is, in the ledger's words.

    Returns:
        None if it was booked before: nothing changed.

    Raises:
        Quarantined: The ledger cannot take the credits; the transaction has to be undone.

    """
    order = draft.order
    row = await connection.fetchrow(
        _SQL.insert,
        order.id,
        order.account_id,
        order.livemode,
        draft.source,
        draft.object_id,
        draft.payment_intent_id,
        draft.charge_id,
        draft.invoice_id,
        draft.customer_id,
        draft.currency,
        draft.quantity,
        draft.subtotal_minor,
        draft.discount_minor,
        draft.tax_minor,
        draft.paid_minor,
        draft.fee_minor,
        draft.fee_currency,
        draft.receipt_url,
        draft.invoice_url,
        draft.invoice_pdf,
        draft.paid_at,
    )
    if row is None:
        return None
    payment = Payment(**row)
    now: datetime = await connection.fetchval(_SQL.now)
    for grant in grants:
        await _give(connection, payment, grant, now, actor)
    return payment


async def get(connection: Connection, payment_id: int) -> Payment | None:
    """Return a payment."""
    return _maybe(await connection.fetchrow(_SQL.get, payment_id))


async def lock(connection: Connection, payment_id: int) -> Payment | None:
    """Return a payment that nobody else changes until the transaction ends."""
    return _maybe(await connection.fetchrow(_SQL.lock, payment_id))


async def of_object(connection: Connection, livemode: Livemode, object_id: str) -> Payment | None:
    """Return the payment a session, invoice or PaymentIntent stands for."""
    return _maybe(await connection.fetchrow(_SQL.of_object, livemode, object_id))


async def of_payment_intent(
    connection: Connection, livemode: Livemode, intent: str
) -> Payment | None:
    """Return the payment that went through a PaymentIntent."""
    return _maybe(await connection.fetchrow(_SQL.of_payment_intent, livemode, intent))


async def of_charge(connection: Connection, livemode: Livemode, charge: str) -> Payment | None:
    """Return the payment that a charge took; unknown until the charge was seen."""
    return _maybe(await connection.fetchrow(_SQL.of_charge, livemode, charge))


async def of_invoice(connection: Connection, livemode: Livemode, invoice: str) -> Payment | None:
    """Return the payment of an invoice, also of the one that Checkout makes of a purchase."""
    return _maybe(await connection.fetchrow(_SQL.of_invoice, livemode, invoice))


async def of_order(connection: Connection, order_id: str) -> list[Payment]:
    """List an order's payments, oldest first: a subscription has one each period."""
    return [Payment(**row) for row in await connection.fetch(_SQL.of_order, order_id)]


async def grants_of(connection: Connection, payment_id: int) -> list[PaymentGrant]:
    """List what a payment gave, in the order in which it was given."""
    rows = await connection.fetch(_SQL.grants_of, payment_id)
    return [PaymentGrant(**row) for row in rows]


async def fill(
    connection: Connection,
    payment_id: int,
    *,
    payment_intent_id: str | None = None,
    charge_id: str | None = None,
    invoice_id: str | None = None,
    receipt_url: str | None = None,
    invoice_url: str | None = None,
    invoice_pdf: str | None = None,
    fee_minor: int | None = None,
    fee_currency: str | None = None,
) -> bool:
    """Complete what was not known when the payment was booked; whether anything was new."""
    return bool(
        await connection.fetchval(
            _SQL.fill,
            payment_id,
            payment_intent_id,
            charge_id,
            invoice_id,
            receipt_url,
            invoice_url,
            invoice_pdf,
            fee_minor,
            fee_currency,
        )
    )


async def _give(
    connection: Connection, payment: Payment, grant: GrantDraft, now: datetime, actor: str
) -> None:
    expires_at = _expiry(grant, payment.paid_at, now)
    control = Grant(
        grant.credit_type_id,
        grant.credits,
        kind=grant.kind,
        expires_at=expires_at,
        description=grant.description,
        metadata={"order": payment.order_id, **grant.metadata},
        routes=grant.routes,
    )
    source = CONTROL_SOURCES[payment.source]
    try:
        added = await controls.add(
            connection, payment.account_id, control, source, grant.object_id, actor
        )
    except (Conflict, InvalidInput, NotFound) as refused:
        raise Quarantined(f"the ledger cannot take the credits: {refused}") from refused
    await connection.execute(
        _SQL.insert_grant,
        payment.id,
        added.object_id,
        grant.object_id,
        grant.credit_type_id,
        grant.credits,
        expires_at,
    )


def _expiry(grant: GrantDraft, paid_at: datetime, now: datetime) -> datetime | None:
    """Return when the credits end: a buyer loses nothing because we heard of the payment late."""
    if grant.expires_at is None or grant.expires_at > now:
        return grant.expires_at
    lasts = grant.lasts or grant.expires_at - paid_at
    return now + (lasts if lasts > timedelta(0) else LATE_CREDITS_LIVE)


def _maybe(row: Mapping[str, Any] | None) -> Payment | None:
    return None if row is None else Payment(**row)
