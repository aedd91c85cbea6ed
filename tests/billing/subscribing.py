"""Subscribing through the stand-in: what tests of subscriptions and invoices share."""

from typing import Any

from billing import settling
from billing.shop import Settled, Shop
from tests.billing.conftest import buy
from tests.standin import RunningStandIn

PRICES = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
packages:
  monthly:
    { name: Monthly, credits: 500, price: { usd: 2000 }, interval: month, plan_tier: pro,
      feature_flags: [export], adjustable_quantity: { min: 1, max: 10 }, promotion_codes: true }
  trial:
    { name: Trial, credits: 500, price: { usd: 2000 }, interval: month, trial: { days: 14, credits: 50 } }
  short: { name: Short, credits: 100, price: { usd: 500 }, interval: month, expires: 7d }
  shared:
    { name: Shared, credits: 500, price: { usd: 2000 }, interval: month, promotion_codes: true, discounted: share }
  single: { name: Single, credits: 100, price: { usd: 1000 } }
"""


async def subscribe(
    shop: Shop, standin: RunningStandIn, account: int, package: str = "monthly", **paying: Any
) -> tuple[str, dict[str, Any]]:
    """Buy a subscription on the page; the order's id and the subscription as the stand-in has it."""
    quantity = paying.pop("ordered", 1)
    started = await buy(shop, account, package, quantity=quantity)
    standin.pay(started.session_id, **paying)
    session = standin.world.objects[started.session_id]
    return started.order_id, standin.world.objects[session["subscription"]]


async def settle_all(shop: Shop, standin: RunningStandIn) -> list[Settled]:
    """Settle every subscription and invoice there is, as their events would have it."""
    return [
        await settling.settle(shop, kind, thing["id"])
        for kind in ("subscription", "invoice")
        for thing in list(standin.world.every(kind))
    ]


async def upgrade(
    shop: Shop, subscription: dict[str, Any], *, amount: int = 2000, minor: int = 6000, **how: Any
) -> str:
    """Change to a package that Stripe defines; gives its product's id."""
    v1 = shop.stripe.v1
    product = await v1.products.create_async(
        {
            "name": "Bigger",
            "metadata": {"credits": str(amount), "credit_type": "credits", "plan_tier": "max"},
        }
    )
    price = await v1.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": minor,
            "recurring": {"interval": "month"},
        }
    )
    await v1.products.update_async(product.id, {"default_price": price.id})
    await settling.settle(shop, "product", product.id)
    item = subscription["items"]["data"][0]["id"]
    await v1.subscriptions.update_async(
        subscription["id"],
        {"items": [{"id": item, "price": price.id}], "proration_behavior": "always_invoice"} | how,
    )
    return str(product.id)
