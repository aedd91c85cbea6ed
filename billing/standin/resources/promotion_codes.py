"""Promotion codes: what buyers type in to get a coupon."""

import string
from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources import coupons
from billing.standin.resources.changes import change, metadata
from billing.standin.world import World

Json = dict[str, Any]


def usable(world: World, code: str) -> Json | None:
    """Give the promotion code a buyer typed, in any case of letters, if it can still be used."""
    for promotion in world.every("promotion_code"):
        if promotion["code"].upper() == code.strip().upper() and _can_be_used(world, promotion):
            return promotion
    return None


def redeem(world: World, promotion: Json) -> None:
    """Count one use of a promotion code and its coupon."""
    promotion["times_redeemed"] += 1
    coupon = world.find("coupon", promotion["promotion"]["coupon"])
    if coupon is not None and not coupon.get("deleted"):
        coupon["times_redeemed"] += 1
        coupon["valid"] = coupons.is_valid(world, coupon)
    before = {"times_redeemed": promotion["times_redeemed"] - 1}
    world.emit("promotion_code.updated", promotion, before)


def _can_be_used(world: World, promotion: Json) -> bool:
    coupon = world.find("coupon", promotion["promotion"]["coupon"])
    most, until = promotion["max_redemptions"], promotion["expires_at"]
    return (
        promotion["active"]
        and (most is None or promotion["times_redeemed"] < most)
        and (until is None or until > world.now_s())
        and coupon is not None
        and coupons.is_valid(world, coupon)
    )


@endpoint(
    "POST",
    "/v1/promotion_codes",
    params="PromotionCodeCreateParams",
    answers=stripe.PromotionCode,
)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Make a code for a coupon; one is made up if none is given."""
    del path
    wanted = given["promotion"].get("coupon")
    if wanted is None:
        raise invalid(
            "Missing required param: promotion[coupon].", "promotion[coupon]", "parameter_missing"
        )
    coupon = world.get("coupon", wanted, "promotion[coupon]")
    letters = world.random.choices(string.ascii_uppercase + string.digits, k=8)
    code = given.get("code") or "".join(letters)
    if usable(world, code) is not None:
        raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")
    restrictions = given.get("restrictions", {})
    promotion = world.put(
        {
            "id": world.new_id("promo"),
            "object": "promotion_code",
            "active": given.get("active", True),
            "code": code,
            "created": world.now_s(),
            "customer": given.get("customer"),
            "customer_account": None,
            "expires_at": given.get("expires_at"),
            "livemode": False,
            "max_redemptions": given.get("max_redemptions"),
            "metadata": metadata(given.get("metadata")),
            "promotion": {"coupon": coupon["id"], "type": "coupon"},
            "restrictions": {
                "first_time_transaction": restrictions.get("first_time_transaction", False),
                "minimum_amount": restrictions.get("minimum_amount"),
                "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
            },
            "times_redeemed": 0,
        }
    )
    world.emit("promotion_code.created", promotion)
    return promotion


@endpoint(
    "GET",
    "/v1/promotion_codes/{promotion_code}",
    params="PromotionCodeRetrieveParams",
    answers=stripe.PromotionCode,
)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer a promotion code, by id."""
    del given
    return world.get("promotion_code", path["promotion_code"])


@endpoint(
    "POST",
    "/v1/promotion_codes/{promotion_code}",
    params="PromotionCodeUpdateParams",
    answers=stripe.PromotionCode,
)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Switch a code on or off, or change its metadata."""
    promotion = world.get("promotion_code", path["promotion_code"])
    fields: Json = {name: given[name] for name in ("active", "metadata") if name in given}
    before = change(promotion, fields)
    if before:
        world.emit("promotion_code.updated", promotion, before)
    return promotion


@endpoint(
    "GET", "/v1/promotion_codes", params="PromotionCodeListParams", answers=stripe.PromotionCode
)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List promotion codes."""
    del path
    found = [
        one
        for one in world.every("promotion_code")
        if all(given.get(name) in (None, one[name]) for name in ("active", "code", "customer"))
        and given.get("coupon") in (None, one["promotion"]["coupon"])
    ]
    return listed(given, found, "/v1/promotion_codes")
