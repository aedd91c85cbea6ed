"""Which package a recurring price at Stripe stands for, in a subscription that an order began."""

from typing import Any

from billing.packages.catalogue import offer_of_product
from billing.packages.offers import Offer
from billing.purchases.orders import Order
from billing.shop import Shop
from billing.stripe_door import at, ident
from ledger.database import Connection


async def offer_for(shop: Shop, connection: Connection, order: Order, price: Any) -> Offer | None:
    """
    Return what one period at this price gives.

    The order's own package keeps the meaning it was sold with. A subscription that was changed to
    another price gets the package that Stripe's product defines. None: nobody knows this price.

    Args:
        shop: Where.
        connection: To Postgres.
        order: What the subscription began with.
        price: The price at Stripe, an object.

    """
    price_id = at(price, "id")
    if price_id in order.offer.stripe_prices.values():
        return order.offer
    found = await offer_of_product(shop, connection, ident(at(price, "product")) or "")
    if found is not None:
        return found
    same_terms = (
        at(price, "unit_amount"),
        at(price, "currency"),
        at(price, "recurring.interval"),
        at(price, "recurring.interval_count"),
    ) == (order.unit_minor, order.currency, order.offer.interval, order.offer.interval_count)
    # A package of the price file or an admin's has no price of its own at Stripe: one is made for
    # each session. The same money for the same time is the same package.
    return order.offer if same_terms and not order.offer.stripe_prices else None
