"""Buying a package: an order, and the page of Stripe's where it is paid."""

from typing import Annotated

from pydantic import Field

from billing.purchases import checkout
from billing.purchases.orders import Origin
from billing.shop import Shop
from gateway.models import Answer, GivenBody, Time
from gateway.operations.package_terms import MOST_QUANTITY

Currency = Annotated[
    str | None, Field(pattern=r"^[A-Za-z]{3}$", description="Null: the first the package names.")
]


class PurchaseDraft(GivenBody):
    """What to buy. What it costs and gives is the operator's, never the caller's."""

    package: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)] = 1
    currency: Currency = None
    save_card: Annotated[
        bool, Field(description="Keep the card, so that automatic top-up can charge it.")
    ] = False


class CheckoutStarted(Answer):
    """A page of Stripe's where it is paid; nothing is charged before."""

    checkout_url: str
    session_id: str
    order_id: str
    expires_at: Time | None


async def begin(
    shop: Shop, account: int, asked: PurchaseDraft, *, origin: Origin = "api"
) -> CheckoutStarted:
    """Begin a purchase."""
    purchase = checkout.Purchase(
        package=asked.package,
        quantity=asked.quantity,
        currency=asked.currency,
        save_card=asked.save_card,
    )
    started = await checkout.start(shop, account, purchase, origin=origin)
    return CheckoutStarted(
        checkout_url=started.checkout_url,
        session_id=started.session_id,
        order_id=started.order_id,
        expires_at=started.expires_at,
    )
