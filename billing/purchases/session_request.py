"""
What Stripe is asked for when somebody buys: the parameters of a Checkout session. Computes only.

They are made from the order alone, so that asking again under the same idempotency key asks for
the same thing.
"""

from typing import Any

from billing.marks import marks
from billing.purchases import come_back
from billing.purchases.orders import Order
from billing.shop import Shop

LONGEST_DESCRIPTION = 500
"""Characters of a package's description on Stripe's page; the rest is for our own."""


def session_params(shop: Shop, order: Order, customer_id: str) -> dict[str, Any]:
    """
    Return the parameters of `v1.checkout.sessions.create` for an order.

    Stripe's own default ends the session after 24 hours. Addresses come from `shop.pages_url`
    and from nowhere else.
    """
    offer = order.offer
    home = marks(shop, order.id, order.account_id)
    token = come_back.sign(order.id, order.created_at, secret=shop.link_secret)
    params: dict[str, Any] = {
        "mode": "subscription" if offer.interval else "payment",
        "customer": customer_id,
        "client_reference_id": order.id,
        "metadata": home,
        "line_items": [_line(order)],
        # Stripe fills in the braces.
        "success_url": f"{shop.pages_url}/bought?session_id={{CHECKOUT_SESSION_ID}}&order={token}",
        "cancel_url": f"{shop.pages_url}/bought?cancelled=1&order={token}",
    }
    if offer.promotion_codes:
        params["allow_promotion_codes"] = True
    if offer.tax is not None:
        params["automatic_tax"] = {"enabled": True}
        # What is taxed where depends on the address, which the page asks for and keeps.
        params["customer_update"] = {"address": "auto", "name": "auto"}
        params["tax_id_collection"] = {"enabled": True}
    if offer.interval is None:
        # Metadata of a session does not reach its PaymentIntent by itself, and refunds and
        # disputes show only that one.
        params["payment_intent_data"] = {"metadata": home}
        params["invoice_creation"] = {"enabled": True, "invoice_data": {"metadata": home}}
        if order.save_card:
            # Kept for top-up alone: a card that the page offered again could be charged by
            # whoever holds a buy link of the account.
            params["payment_intent_data"]["setup_future_usage"] = "off_session"
    else:
        params["subscription_data"] = {"metadata": home}
        if offer.trial_days is not None:
            params["subscription_data"]["trial_period_days"] = offer.trial_days
    return params


def setup_params(shop: Shop, account_id: int, customer_id: str, currency: str) -> dict[str, Any]:
    """Return the parameters of a session that saves a card and takes no money."""
    home = marks(shop, account_id=account_id)
    return {
        "mode": "setup",
        "currency": currency,
        "customer": customer_id,
        "metadata": home,
        "setup_intent_data": {"metadata": home},
        "success_url": f"{shop.pages_url}/cards?saved=1",
        "cancel_url": f"{shop.pages_url}/cards?cancelled=1",
    }


def _line(order: Order) -> dict[str, Any]:
    offer = order.offer
    line: dict[str, Any] = {"quantity": order.quantity}
    if offer.adjustable:
        line["adjustable_quantity"] = {
            "enabled": True,
            "minimum": offer.least_quantity,
            "maximum": offer.most_quantity,
        }
    if offer.stripe_prices:
        line["price"] = offer.stripe_prices[order.currency]
        return line
    product: dict[str, Any] = {"name": offer.title}
    if offer.description:
        product["description"] = offer.description[:LONGEST_DESCRIPTION]
    if offer.tax is not None and offer.tax != "automatic":
        product["tax_code"] = offer.tax
    line["price_data"] = {
        "currency": order.currency,
        "unit_amount": order.unit_minor,
        "product_data": product,
    }
    if offer.interval:
        line["price_data"]["recurring"] = {
            "interval": offer.interval,
            "interval_count": offer.interval_count,
        }
    return line
