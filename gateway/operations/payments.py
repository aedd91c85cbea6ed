"""Payments: what an account paid and got for it, with receipts and invoices."""

from typing import Annotated, Any

from pydantic import Field

from billing import lists
from billing.lists import PaymentLine
from billing.money import money_text
from billing.shop import Shop
from gateway.models import Answer, Time
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import accounts
from ledger.ids import account_text


class Payment(Answer):
    """A payment. Money in minor units of `currency`, credits in smallest units."""

    id: str
    order_id: str
    package: str
    recurring: Annotated[bool, Field(description="Of a subscription.")]
    quantity: int
    currency: str
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    paid_minor: Annotated[int, Field(description="With tax, after discounts.")]
    refunded_minor: int
    credit_type: str
    scale: int
    credits: Annotated[int, Field(description="What it gave.")]
    taken_back: Annotated[int, Field(description="Credits, after refunds or disputes.")]
    receipt_url: str | None
    invoice_url: str | None
    invoice_pdf: str | None
    paid_at: Time
    display: Display


class PaymentPage(Answer):
    """A page of payments, newest first."""

    items: list[Payment]
    next: str | None


class PaymentRow(Payment):
    """A payment as the operator sees it."""

    account: str
    source: Annotated[str, Field(description="checkout, invoice or topup.")]
    object_id: Annotated[str, Field(description="The Stripe object that it was booked by.")]
    payment_intent_id: str | None
    charge_id: str | None
    invoice_id: str | None
    customer_id: str | None
    disputed_minor: int
    reversed_minor: int
    fee_minor: Annotated[int | None, Field(description="Stripe's; null until it is known.")]
    fee_currency: str | None


class PaymentRows(Answer):
    """A page of payments, newest first."""

    items: list[PaymentRow]
    next: str | None


class PaymentQuery(PageQuery):
    """Whose payments."""

    account: str | None = None
    order: str | None = None


async def of_account(shop: Shop, account: int, query: PageQuery) -> PaymentPage:
    """Return a page of an account's payments, newest first."""
    before = unpack_number("payments", query.cursor)
    async with shop.ledger.database.connection() as connection:
        found = await lists.payments(
            connection,
            livemode=shop.livemode,
            account_id=account,
            before=before,
            limit=query.limit,
        )
    return PaymentPage(
        items=[Payment(**_seen(line)) for line in found], next=_next(found, query.limit)
    )


async def listed(shop: Shop, query: PaymentQuery) -> PaymentRows:
    """Return a page of payments, of all accounts or one."""
    before = unpack_number("payments", query.cursor)
    async with shop.ledger.database.connection() as connection:
        account = await accounts.find(connection, query.account) if query.account else None
        found = await lists.payments(
            connection,
            livemode=shop.livemode,
            account_id=account.id if account else None,
            order_id=query.order,
            before=before,
            limit=query.limit,
        )
    return PaymentRows(items=[row(line) for line in found], next=_next(found, query.limit))


def row(line: PaymentLine) -> PaymentRow:
    """Describe a payment for the operator."""
    return PaymentRow(
        **_seen(line),
        account=account_text(line.account_id),
        source=line.source,
        object_id=line.object_id,
        payment_intent_id=line.payment_intent_id,
        charge_id=line.charge_id,
        invoice_id=line.invoice_id,
        customer_id=line.customer_id,
        disputed_minor=line.disputed_minor,
        reversed_minor=line.reversed_minor,
        fee_minor=line.fee_minor,
        fee_currency=line.fee_currency,
    )


def _seen(line: PaymentLine) -> dict[str, Any]:
    amounts = display(line.scale, {"credits": line.credits, "taken_back": line.clawed})
    money = {"paid": line.paid_minor, "tax": line.tax_minor, "refunded": line.refunded_minor}
    shown = {name: money_text(minor, line.currency) for name, minor in money.items()}
    return {
        "id": payment_text(line.id),
        "order_id": line.order_id,
        "package": line.package,
        "recurring": line.source == "invoice",
        "quantity": line.quantity,
        "currency": line.currency,
        "subtotal_minor": line.subtotal_minor,
        "discount_minor": line.discount_minor,
        "tax_minor": line.tax_minor,
        "paid_minor": line.paid_minor,
        "refunded_minor": line.refunded_minor,
        "credit_type": line.credit_type,
        "scale": line.scale,
        "credits": line.credits,
        "taken_back": line.clawed,
        "receipt_url": line.receipt_url,
        "invoice_url": line.invoice_url,
        "invoice_pdf": line.invoice_pdf,
        "paid_at": line.paid_at,
        "display": amounts | shown,
    }


def payment_text(payment: int) -> str:
    """`pay_12`."""
    return f"pay_{payment}"


def _next(found: list[PaymentLine], limit: int) -> str | None:
    return pack_cursor("payments", found[-1].id) if len(found) == limit else None
