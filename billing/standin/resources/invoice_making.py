"""What an invoice is made of: lines, and who owes them for what."""

from collections.abc import Sequence
from typing import Any

from billing.standin.resources import invoice_sums
from billing.standin.world import World

Invoice = dict[str, Any]
Line = dict[str, Any]

LINES_SHOWN = 10
"""So many lines an invoice shows by itself; the rest is listed in pages, as at Stripe."""


def line(
    world: World,
    price: dict[str, Any],
    quantity: int,
    period: tuple[int, int],
    *,
    amount_minor: int | None = None,
    subscription: dict[str, Any] | None = None,
    item: dict[str, Any] | None = None,
    proration: bool = False,
    description: str | None = None,
) -> Line:
    """
    Make a line, of a subscription's item or of a purchase (no item).

    `amount_minor` is for a line over something else than the price times the quantity, and
    negative to give money back. A `proration` is for a part of a period.
    """
    unit = int(price["unit_amount"])
    amount = unit * quantity if amount_minor is None else amount_minor
    product = world.objects.get(price["product"], {})
    return {
        "id": world.new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description or f"{quantity} x {product.get('name') or price['product']}",
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": dict(subscription["metadata"]) if subscription else {},
        "parent": _parent(subscription, item, proration=proration) if item else None,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": str(unit),
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription["id"] if subscription else None,
        "subtotal": amount,
        "taxes": [],
        "_inclusive": price["tax_behavior"] == "inclusive",
    }


def draft(
    world: World,
    *,
    customer: str | None,
    currency: str,
    lines: Sequence[Line],
    billing_reason: str,
    subscription: dict[str, Any] | None = None,
    taxed: bool = False,
    coupon: dict[str, Any] | None = None,
    discount_minor: int = 0,
    metadata: dict[str, str] | None = None,
) -> Invoice:
    """
    Make an invoice that is not kept yet, with its sums; nothing is said about it.

    A `coupon` takes something off, or `discount_minor` where the amount is known already.
    """
    now = world.now_s()
    buyer = world.objects.get(customer or "", {})
    made: Invoice = {
        "id": world.new_id("in"),
        "object": "invoice",
        "account_country": "DE",
        "account_name": "Stand-in",
        "account_tax_ids": None,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "enabled": taxed,
            "liability": {"type": "self"} if taxed else None,
            "disabled_reason": None,
            "provider": "stripe" if taxed else None,
            "status": "complete" if taxed else None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": billing_reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer,
        "customer_account": None,
        "customer_address": None,
        "customer_email": buyer.get("email"),
        "customer_name": buyer.get("name"),
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": False,
        "metadata": dict(metadata or {}),
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": _invoice_parent(subscription),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_details": None,
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "test_clock": None,
        "threshold_reason": None,
        "total_pretax_credit_amounts": [],
        "webhooks_delivered_at": now,
        "_lines": list(lines),
        "_taxed": taxed,
    }
    for each in lines:
        each["invoice"] = made["id"]
    made["lines"] = {
        "object": "list",
        "data": made["_lines"][:LINES_SHOWN],
        "has_more": len(lines) > LINES_SHOWN,
        "url": f"/v1/invoices/{made['id']}/lines",
    }
    invoice_sums.take_off(world, made, coupon, discount_minor)
    invoice_sums.sum_up(made)
    return made


def _invoice_parent(subscription: dict[str, Any] | None) -> dict[str, Any] | None:
    if subscription is None:
        return None
    return {
        "type": "subscription_details",
        "quote_details": None,
        "subscription_details": {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
        },
    }


def _parent(
    subscription: dict[str, Any] | None, item: dict[str, Any], *, proration: bool
) -> dict[str, Any]:
    return {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": proration,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"] if subscription else None,
            "subscription_item": item["id"],
        },
    }
