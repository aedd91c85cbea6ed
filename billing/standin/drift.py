"""
Rendering events as endpoints of older API versions get them.

Only a few well-known differences: enough to show that a receiver does not lean on the payload.
"""

from typing import TYPE_CHECKING, Any

from billing.standin.rendering import public

if TYPE_CHECKING:
    from billing.standin.world import World

# The first versions with the present shape.
CHARGES_WITHOUT_REFUNDS = "2022-11-15"
BASIL = "2025-03-31"
CLOVER = "2025-09-30"


def as_of(world: "World", event: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the event as an endpoint of that version gets it; it may be changed in place."""
    event["api_version"] = version
    about = event["data"]["object"]
    kind = about.get("object")
    if version < CHARGES_WITHOUT_REFUNDS and kind == "charge":
        about["refunds"] = _refunds_of(world, about["id"])
    if version < BASIL and kind == "invoice":
        _old_invoice(about)
    if version < BASIL and kind == "subscription":
        _old_subscription(about)
    if version < CLOVER and kind == "promotion_code":
        about["coupon"] = public(world.find("coupon", about.pop("promotion")["coupon"]))
    return event


def _refunds_of(world: "World", charge_id: str) -> dict[str, Any]:
    refunds = [refund for refund in world.every("refund") if refund["charge"] == charge_id]
    url = f"/v1/charges/{charge_id}/refunds"
    return {"object": "list", "data": public(refunds[::-1]), "has_more": False, "url": url}


def _old_invoice(invoice: dict[str, Any]) -> None:
    parent = invoice.pop("parent", None) or {}
    details = parent.get("subscription_details") or {}
    invoice["subscription"] = details.get("subscription")
    invoice["paid"] = invoice.get("status") == "paid"
    invoice.pop("payments", None)


def _old_subscription(subscription: dict[str, Any]) -> None:
    items = subscription.get("items", {}).get("data", [])
    for name in ("current_period_start", "current_period_end"):
        values = [item.pop(name) for item in items if name in item]
        subscription[name] = values[0] if values else None
