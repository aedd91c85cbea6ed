"""
Settling: every event, visit, pass and operator ends here, with the type and id of an object.

Each handler fetches its object from Stripe and brings what we know to where that is. It may be
called any number of times, in any order, by anyone.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from billing.customer import cards, customers
from billing.errors import NoSuchObject
from billing.invoicing import invoices, subscriptions
from billing.packages import mirror
from billing.purchases import sessions
from billing.reversing import reversals
from billing.shop import Settled, Shop
from billing.topup import payment_intents

Handler: TypeAlias = Callable[[Shop, str], Awaitable[Settled]]

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "checkout.session": sessions.settle,
        "payment_intent": payment_intents.settle,
        "charge": reversals.settle_charge,
        "refund": reversals.settle_refund,
        "dispute": reversals.settle_dispute,
        "radar.early_fraud_warning": reversals.settle_warning,
        "review": reversals.settle_review,
        "invoice": invoices.settle,
        "invoice_payment": invoices.settle_invoice_payment,
        "credit_note": invoices.settle_credit_note,
        "subscription": subscriptions.settle,
        "product": mirror.settle_product,
        "price": mirror.settle_price,
        "customer": customers.settle,
        "payment_method": cards.settle,
        "setup_intent": cards.settle_setup_intent,
    }
)
"""By Stripe's own name of the object (`object` in it)."""

PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "cs": "checkout.session",
        "pi": "payment_intent",
        "ch": "charge",
        "py": "charge",
        "re": "refund",
        "pyr": "refund",
        "du": "dispute",
        "dp": "dispute",
        "issfr": "radar.early_fraud_warning",
        "prv": "review",
        "in": "invoice",
        "inpay": "invoice_payment",
        "cn": "credit_note",
        "sub": "subscription",
        "prod": "product",
        "price": "price",
        "cus": "customer",
        "pm": "payment_method",
        "seti": "setup_intent",
    }
)

_ID = re.compile(r"([a-z]+)_[A-Za-z0-9_]{1,200}", re.ASCII)

_NAME = re.compile(r"[A-Za-z0-9][!-~ ]{0,254}", re.ASCII)
"""Ids of products may be chosen by people. An empty one would ask Stripe for a list instead of an
object, and dots lead elsewhere."""


async def settle(shop: Shop, object_type: str, object_id: str) -> Settled:
    """
    Bring what we know of an object at Stripe to where it is; a repeat changes nothing.

    Args:
        shop: Everything that selling stands on.
        object_type: Stripe's name of it, like `checkout.session`.
        object_id: Its id.

    Raises:
        Quarantined: What Stripe shows does not fit what we know; a person decides.
        StripeRefused, StripeUnavailable: Stripe could not be asked; ask again.

    """
    handler = HANDLERS.get(object_type)
    if handler is None:
        return Settled("ignored", f"nothing is done about a {object_type or 'nameless object'}")
    if not _NAME.fullmatch(object_id):
        return Settled("ignored", "it names no object")
    return await handler(shop, object_id)


def object_type_of(object_id: str) -> str:
    """
    Return the type of an object by its id, for people who have only that.

    Raises:
        NoSuchObject: It is not the id of anything that can be settled.

    """
    form = _ID.fullmatch(object_id)
    found = PREFIXES.get(form[1]) if form else None
    if found is None:
        raise NoSuchObject(f"{object_id} is not the id of a session, payment, invoice or the like")
    return found
