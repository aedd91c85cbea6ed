"""Coupons: how much less is paid."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import expands, listed
from billing.standin.resources.changes import change, metadata, remains
from billing.standin.world import World

Json = dict[str, Any]


def is_valid(world: World, coupon: Json) -> bool:
    """Say whether a coupon can still be applied."""
    used_up = coupon["max_redemptions"] and coupon["times_redeemed"] >= coupon["max_redemptions"]
    late = coupon["redeem_by"] and coupon["redeem_by"] <= world.now_s()
    return not (coupon.get("deleted") or used_up or late)


@endpoint("POST", "/v1/coupons", params="CouponCreateParams", answers=stripe.Coupon)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Make a coupon for a share or for an amount in minor units."""
    del path
    if ("percent_off" in given) == ("amount_off" in given):
        raise invalid("You must pass either `percent_off` or `amount_off`.", "percent_off")
    if "amount_off" in given and "currency" not in given:
        raise invalid("You must pass `currency` when passing `amount_off`.", "currency")
    if "percent_off" in given and not 0 < given["percent_off"] <= 100:
        raise invalid("Invalid percent_off: must be between 0 and 100.", "percent_off")
    if "amount_off" in given and given["amount_off"] < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount_off")
    duration = given.get("duration", "once")
    if (duration == "repeating") != ("duration_in_months" in given):
        raise invalid("`duration_in_months` goes with `duration=repeating`.", "duration_in_months")
    if given.get("id") in world.objects:
        raise invalid("Coupon already exists.", "id", "resource_already_exists")
    currency = given.get("currency")
    coupon = world.put(
        {
            "id": given.get("id") or world.new_id("coupon", 8).removeprefix("coupon_"),
            "object": "coupon",
            "amount_off": given.get("amount_off"),
            "created": world.now_s(),
            "currency": currency.lower() if currency else None,
            "duration": duration,
            "duration_in_months": given.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": given.get("max_redemptions"),
            "metadata": metadata(given.get("metadata")),
            "name": given.get("name"),
            "percent_off": given.get("percent_off"),
            "redeem_by": given.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
            "_applies_to": given.get("applies_to"),
        }
    )
    world.emit("coupon.created", coupon)
    return coupon


@endpoint("GET", "/v1/coupons/{coupon}", params="CouponRetrieveParams", answers=stripe.Coupon)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer a coupon."""
    del given
    coupon = world.get("coupon", path["coupon"])
    coupon["valid"] = is_valid(world, coupon)
    return coupon


@endpoint("POST", "/v1/coupons/{coupon}", params="CouponUpdateParams", answers=stripe.Coupon)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Change the name or the metadata."""
    coupon = world.get("coupon", path["coupon"])
    before = change(coupon, {name: given[name] for name in ("name", "metadata") if name in given})
    if before:
        world.emit("coupon.updated", coupon, before)
    return coupon


@endpoint("DELETE", "/v1/coupons/{coupon}", params="CouponDeleteParams", answers=stripe.Coupon)
def delete(world: World, given: Json, path: dict[str, str]) -> Json:
    """Delete a coupon; who has it keeps it."""
    del given
    coupon = world.get("coupon", path["coupon"])
    world.emit("coupon.deleted", coupon)
    return world.put(remains(coupon))


@endpoint("GET", "/v1/coupons", params="CouponListParams", answers=stripe.Coupon)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List coupons."""
    del path
    return listed(given, world.every("coupon"), "/v1/coupons")


@expands("coupon", "applies_to")
def applies_to(world: World, coupon: Json) -> Json | None:
    """Give the products a coupon is for; null for all."""
    del world
    limited: Json | None = coupon.get("_applies_to")
    return limited
