"""Prices: what a product costs, once or again and again. Amounts never change."""

import decimal
from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import expands, listed
from billing.standin.resources import products
from billing.standin.resources.changes import change, metadata
from billing.standin.world import World

Json = dict[str, Any]

UNSUPPORTED = ("custom_unit_amount", "tiers", "tiers_mode", "transform_quantity")
PLAIN = ("active", "lookup_key", "nickname", "tax_behavior")


def make(world: World, given: Json, *, active: bool = True) -> Json:
    """Make a price of a product that exists and tell of it."""
    for name in UNSUPPORTED:
        if name in given:
            raise invalid(f"The stand-in does not support {name} on prices.", name)
    if given.get("billing_scheme") == "tiered":
        raise invalid("The stand-in does not support tiers.", "billing_scheme")
    product = world.get("product", given["product"], "product")
    currency = given["currency"].lower()
    recurring = given.get("recurring")
    minor, exact = _amounts(given)
    price = world.put(
        {
            "id": world.new_id("price"),
            "object": "price",
            "active": active,
            "billing_scheme": "per_unit",
            "created": world.now_s(),
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": metadata(given.get("metadata")),
            "nickname": None,
            "product": product["id"],
            "recurring": _recurring(recurring) if recurring else None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": minor,
            "unit_amount_decimal": exact,
            # Shown only when expanded; the price's own currency is among them.
            "_currency_options": {},
        }
    )
    change(price, {name: given[name] for name in PLAIN if name in given})
    options = {currency: given, **given.get("currency_options", {})}
    price["_currency_options"] = {
        name.lower(): _option(option, price["tax_behavior"]) for name, option in options.items()
    }
    world.emit("price.created", price)
    return price


def inline(world: World, given: Json) -> Json:
    """
    Make the price of a line's `price_data`, and its product if only described.

    Stripe keeps both as inactive objects: they serve this one purchase.
    """
    if ("product" in given) == ("product_data" in given):
        raise invalid("You must specify either `product` or `product_data`.", "price_data")
    fields = {key: value for key, value in given.items() if key != "product_data"}
    if "product_data" in given:
        fields["product"] = products.make(world, given["product_data"], active=False)["id"]
    return make(world, fields, active=False)


@endpoint("POST", "/v1/prices", params="PriceCreateParams", answers=stripe.Price)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Make a price, with its product if that is only described."""
    del path
    if ("product" in given) == ("product_data" in given):
        raise invalid("You must specify either `product` or `product_data`.", "product")
    if "product_data" in given:
        product = products.make(world, given["product_data"])
        given = {**given, "product": product["id"]}
    _take_lookup_key(world, given)
    return make(world, given)


@endpoint("GET", "/v1/prices/{price}", params="PriceRetrieveParams", answers=stripe.Price)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer a price."""
    del given
    return world.get("price", path["price"])


@endpoint("POST", "/v1/prices/{price}", params="PriceUpdateParams", answers=stripe.Price)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Change what may change: everything but the amount, the currency and the rhythm."""
    price = world.get("price", path["price"])
    if "currency_options" in given:
        raise invalid("The stand-in does not change currency options.", "currency_options")
    if given.get("lookup_key") != price["lookup_key"]:
        _take_lookup_key(world, given)
    before = change(price, {name: given[name] for name in (*PLAIN, "metadata") if name in given})
    if before:
        world.emit("price.updated", price, before)
    return price


@endpoint("GET", "/v1/prices", params="PriceListParams", answers=stripe.Price)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List prices."""
    del path
    names = ("active", "currency", "product", "type")
    found = [
        price
        for price in world.every("price")
        if all(given.get(name) in (None, price[name]) for name in names)
        and price["lookup_key"] in given.get("lookup_keys", [price["lookup_key"]])
        and _has_rhythm(price, given.get("recurring", {}))
    ]
    return listed(given, found, "/v1/prices")


@expands("price", "currency_options")
def currency_options(world: World, price: Json) -> Json:
    """Give the amounts in other currencies."""
    del world
    return price.get("_currency_options") or {}


def _has_rhythm(price: Json, wanted: Json) -> bool:
    recurring = price["recurring"] or {}
    return all(recurring.get(name) == value for name, value in wanted.items())


def _take_lookup_key(world: World, given: Json) -> None:
    wanted = given.get("lookup_key")
    for price in world.every("price"):
        if wanted and price["lookup_key"] == wanted:
            if not given.get("transfer_lookup_key"):
                raise invalid(
                    f"A price (`{price['id']}`) already uses that lookup key.", "lookup_key"
                )
            price["lookup_key"] = None


def _amounts(given: Json) -> tuple[int | None, str]:
    """Give the unit amount in minor units (None if there is a fraction) and as exact text."""
    if ("unit_amount" in given) == ("unit_amount_decimal" in given):
        raise invalid(
            "Exactly one of `unit_amount` and `unit_amount_decimal` must be set.", "unit_amount"
        )
    if "unit_amount" in given:
        minor, exact = given["unit_amount"], str(given["unit_amount"])
    else:
        number = decimal.Decimal(given["unit_amount_decimal"])
        minor = int(number) if number == int(number) else None
        exact = format(number, "f")
    if exact.startswith("-"):
        raise invalid("This value must be greater than or equal to 0.", "unit_amount")
    return minor, exact


def _option(given: Json, tax_behavior: str) -> Json:
    minor, exact = _amounts(given)
    return {
        "custom_unit_amount": None,
        "tax_behavior": given.get("tax_behavior", tax_behavior),
        "unit_amount": minor,
        "unit_amount_decimal": exact,
    }


def _recurring(given: Json) -> Json:
    if given.get("usage_type") == "metered" or "meter" in given:
        raise invalid("The stand-in does not meter usage.", "recurring[usage_type]")
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": None,
        "trial_period_days": given.get("trial_period_days"),
        "usage_type": "licensed",
    }
