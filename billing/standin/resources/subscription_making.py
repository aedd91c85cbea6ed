"""What a subscription is made of: items with their prices and periods, and the lines they cost."""

from collections.abc import Sequence
from typing import Any

from billing.standin.resources import invoice_making
from billing.standin.resources.periods import DAY_S, end_after
from billing.standin.world import World

Subscription = dict[str, Any]
Item = dict[str, Any]


def make(
    world: World,
    *,
    customer: str,
    items: Sequence[tuple[dict[str, Any], int]],
    metadata: dict[str, str],
    method_id: str | None,
    trial_days: int = 0,
    taxed: bool = False,
    coupon_id: str | None = None,
) -> Subscription:
    """Make a subscription that is not kept yet; `items` are prices with their quantities."""
    now = world.now_s()
    subscription_id = world.new_id("sub")
    trial_end = now + trial_days * DAY_S if trial_days else None
    # The cycle begins when the trial ends, and the trial is a period of its own.
    anchor = trial_end or now
    made = [
        _item(world, subscription_id, price, quantity) | _period(price, anchor, now, trial_end)
        for price, quantity in items
    ]
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {
            "enabled": taxed,
            "liability": {"type": "self"} if taxed else None,
            "disabled_reason": None,
        },
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": items[0][0]["currency"],
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": method_id,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": {
            "object": "list",
            "data": made,
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": dict(metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "presentment_details": None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "status_details": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": None,
                "missing_payment_method": "create_invoice",
            }
        },
        "trial_start": now if trial_end else None,
        # Lines that wait for the next invoice, what is left of a coupon, and what the merchant
        # wants done after the last failed try.
        "_pending": [],
        "_coupon": coupon_id,
        "_coupon_until": _coupon_until(world, coupon_id),
        "_when_unpaid": "cancel",
        # The payment_behavior of a resumption that waits for its invoice.
        "_resuming": None,
    }


def period_lines(
    world: World, subscription: Subscription, *, trial: bool = False
) -> list[invoice_making.Line]:
    """Make the lines for the period its items are in; over nothing in a trial."""
    return [
        invoice_making.line(
            world,
            item["price"],
            item["quantity"],
            (item["current_period_start"], item["current_period_end"]),
            amount_minor=0 if trial else None,
            subscription=subscription,
            item=item,
            description="Trial period" if trial else None,
        )
        for item in subscription["items"]["data"]
    ]


def coupon_of(world: World, subscription: Subscription) -> dict[str, Any] | None:
    """Give the coupon that still takes something off its invoices."""
    until = subscription["_coupon_until"]
    if subscription["_coupon"] is None or (until is not None and world.now_s() > until):
        return None
    return world.objects[subscription["_coupon"]]


def item_of(world: World, subscription: Subscription, price: dict[str, Any], quantity: int) -> Item:
    """Make a further item, in the period of the others."""
    first = subscription["items"]["data"][0]
    period = {name: first[name] for name in ("current_period_start", "current_period_end")}
    return _item(world, subscription["id"], price, quantity) | period


def set_price(item: Item, price: dict[str, Any]) -> None:
    """Give an item another price."""
    item |= {"price": dict(price), "plan": _plan(price)}


def _item(world: World, subscription_id: str, price: dict[str, Any], quantity: int) -> Item:
    return {
        "id": world.new_id("si"),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": world.now_s(),
        "current_trial": None,
        "discounts": [],
        "metadata": {},
        "plan": _plan(price),
        "price": dict(price),
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _period(price: dict[str, Any], anchor: int, now: int, trial_end: int | None) -> dict[str, int]:
    recurring = price["recurring"]
    end = trial_end or end_after(anchor, recurring["interval"], recurring["interval_count"], now)
    return {"current_period_start": now, "current_period_end": end}


def _plan(price: dict[str, Any]) -> dict[str, Any]:
    """Give the older shape of a price, which items still carry."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": str(price["unit_amount"]),
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": dict(price["metadata"]),
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _coupon_until(world: World, coupon_id: str | None) -> int | None:
    """When a coupon takes nothing off any more; None: never."""
    coupon = world.objects.get(coupon_id or "")
    if coupon is None or coupon["duration"] == "forever":
        return None
    if coupon["duration"] == "once":
        return world.now_s()
    return world.now_s() + int(coupon["duration_in_months"]) * 31 * DAY_S - DAY_S
