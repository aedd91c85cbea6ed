"""
What a buyer sees of a purchase: on the success page, and by `v1/checkout/{id}`.

Looking settles first: somebody who comes back before the webhook, or without one, still finds the
credits there.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from billing.errors import BillingError, NoSuchObject
from billing.purchases import orders, payments, sessions
from billing.purchases.orders import Order, State
from billing.purchases.payments import Payment, PaymentGrant
from billing.shop import Shop

log = logging.getLogger(__name__)

Word = Literal["open", "processing", "paid", "failed", "expired", "review"]

WORDS: MappingProxyType[State, Word] = MappingProxyType(
    {
        "created": "open",
        "open": "open",
        "awaiting_funds": "processing",
        "review": "review",
        "paid": "paid",
        "failed": "failed",
        "expired": "expired",
        "canceled": "expired",
        "quarantined": "review",
    }
)

_SESSION = re.compile(r"cs_(test|live)_[A-Za-z0-9]{1,200}", re.ASCII)
"""Checked before Stripe is asked: an empty id would ask for a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    A purchase as its buyer sees it.

    Attributes:
        booked: A payment is booked; its credits are given.
        credits: Smallest units of `credit_type`: what was given, or what will be.
        amount_minor: What was paid with tax, or what is asked for without it.
        checkout_url: Where it can still be paid; None once that is over.
        failure: Stripe's code of the last failed try.

    """

    order_id: str
    session_id: str | None
    account_id: int
    state: Word
    booked: bool
    package: str
    title: str
    credit_type: str
    scale: int
    credits: int
    quantity: int
    amount_minor: int
    currency: str
    email: str
    checkout_url: str | None
    payment_intent: str | None
    subscription: str | None
    receipt_url: str | None
    invoice_url: str | None
    invoice_pdf: str | None
    failure: str | None
    created_at: datetime
    expires_at: datetime | None


async def show(shop: Shop, account_id: int, session_id: str) -> Shown:
    """
    Return a purchase of this account by its session, settled as far as can be done now.

    Raises:
        NoSuchObject: There is none, or it is somebody else's: both look alike, and Stripe is not
            asked for either.

    """
    order = None
    if _SESSION.fullmatch(session_id):
        async with shop.ledger.database.connection() as connection:
            order = await orders.of_session(connection, shop.livemode, session_id)
    if order is None or order.account_id != account_id:
        raise NoSuchObject("there is no such purchase")
    return await _shown(shop, order)


async def show_order(shop: Shop, order_id: str) -> Shown:
    """
    Return a purchase for whoever may see the order, as `come_back.verify` says.

    Raises:
        NoSuchObject: There is none.

    """
    async with shop.ledger.database.connection() as connection:
        order = await orders.get(connection, order_id)
    if order is None or order.livemode != shop.livemode:
        raise NoSuchObject("there is no such purchase")
    return await _shown(shop, order)


async def _shown(shop: Shop, order: Order) -> Shown:
    if order.session_id is not None:
        try:
            await sessions.settle(shop, order.session_id)
        except BillingError as failure:
            # What is known is shown all the same; the reconciler asks again.
            log.warning("order %s is shown as it was: %s", order.id, failure)
    async with shop.ledger.database.connection() as connection:
        now = await orders.get(connection, order.id) or order
        paid = await payments.of_order(connection, order.id)
        given = await payments.grants_of(connection, paid[0].id) if paid else []
    return _view(now, paid[0] if paid else None, given)


def _view(order: Order, payment: Payment | None, given: list[PaymentGrant]) -> Shown:
    offer, state = order.offer, WORDS[order.state]
    return Shown(
        order_id=order.id,
        session_id=order.session_id,
        account_id=order.account_id,
        state=state,
        booked=payment is not None,
        package=order.package,
        title=offer.title,
        credit_type=offer.credit_type,
        scale=offer.scale,
        credits=sum(grant.credits for grant in given)
        if payment
        else order.credits_each * order.quantity,
        quantity=payment.quantity if payment else order.quantity,
        amount_minor=payment.paid_minor if payment else order.unit_minor * order.quantity,
        currency=order.currency,
        email=order.email,
        checkout_url=order.session_url if state == "open" else None,
        payment_intent=order.payment_intent_id,
        subscription=order.subscription_id,
        receipt_url=payment.receipt_url if payment else None,
        invoice_url=payment.invoice_url if payment else None,
        invoice_pdf=payment.invoice_pdf if payment else None,
        failure=order.failure,
        created_at=order.created_at,
        expires_at=order.expires_at,
    )
