"""billing/packages/product_reading.py: a product says clearly what it gives and costs, or it is not sold."""

from typing import Any

import pytest

from billing.packages.product_reading import Unsellable, read_product
from config import load_price_list

ONE = load_price_list(
    """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
""",
    environ={},
)
TWO = load_price_list(
    """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
""",
    environ={},
)


def product(**metadata: str) -> dict[str, Any]:
    return {
        "id": "prod_1", "name": "Plus", "description": "More", "active": True,
        "default_price": {"id": "price_1"}, "metadata": metadata,
    }  # fmt: skip


def price(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"price_{number}", "currency": "usd", "unit_amount": 1000, "created": number,
        "billing_scheme": "per_unit", "recurring": None, "custom_unit_amount": None,
    } | more  # fmt: skip


def month(count: int = 1) -> dict[str, Any]:
    return {"interval": "month", "interval_count": count, "usage_type": "licensed"}


def test_a_product_offers_what_its_metadata_say() -> None:
    said = product(
        credits="100", plan_tier="pro", feature_flags="fast, beta,", expires_days="30", colour="red"
    )

    offer = read_product("plus", said, [price()], ONE)

    assert (offer.name, offer.title, offer.description) == ("plus", "Plus", "More")
    assert (offer.credits, offer.credit_type) == (100, "credits")
    assert (offer.prices, offer.stripe_prices) == ({"usd": 1000}, {"usd": "price_1"})
    assert (offer.plan_tier, offer.feature_flags) == ("pro", ("fast", "beta"))
    assert (offer.expires_ms, offer.interval) == (30 * 86_400_000, None)
    assert offer.metadata["colour"] == "red"


@pytest.mark.parametrize("name", ["credits", "credit_amount", "credits_amount"])
def test_three_names_for_credits_are_read_alike(name: str) -> None:
    assert read_product("plus", product(**{name: "7"}), [price()], ONE).credits == 7


def test_whether_it_recurs_is_read_from_the_price_alone() -> None:
    offer = read_product(
        "plus", product(credits="5", credit_type="calling"), [price(recurring=month(3))], TWO
    )

    assert (offer.interval, offer.interval_count) == ("month", 3)
    assert (offer.credit_type, offer.credits) == ("calling", 500)


def test_each_currency_has_its_newest_price_of_the_same_kind() -> None:
    prices = [
        price(1),
        price(2, currency="eur", unit_amount=900),
        price(3, currency="eur", unit_amount=950),
        price(4, currency="gbp", recurring=month()),
        price(5, unit_amount=1),
    ]

    offer = read_product("plus", product(credits="5"), prices, ONE)

    assert offer.prices == {"usd": 1000, "eur": 950}
    assert offer.stripe_prices == {"usd": "price_1", "eur": "price_3"}


def test_flags_may_be_a_json_list() -> None:
    said = product(credits="5", feature_flags='["fast", "beta"]')

    assert read_product("plus", said, [price()], ONE).feature_flags == ("fast", "beta")


def test_routes_are_read_and_must_be_there() -> None:
    said = product(credits="5", routes="/*")

    assert read_product("plus", said, [price()], ONE).routes == ("/*",)


@pytest.mark.parametrize(
    ("metadata", "prices", "why"),
    [
        ({"credits": "5", "routes": "/*, search"}, [price()], "has no route search"),
        ({"credits": "5", "routes": "[1]"}, [price()], "`routes` must be a list of names"),
        ({}, [price()], "name no `credits`"),
        ({"credits": "0"}, [price()], "more than 0"),
        ({"credits": "-5"}, [price()], "digits"),
        ({"credits": "1e3"}, [price()], "digits"),
        ({"credits": "1.5"}, [price()], "decimal places"),
        ({"credits": "5", "credit_amount": "6"}, [price()], "disagree"),
        ({"credits": "5", "credit_type": "payg"}, [price()], "does not have"),
        ({"credits": "5", "expires_days": "soon"}, [price()], "number of days"),
        ({"credits": "5", "expires_days": "00000199999999"}, [price()], "number of days"),
        ({"credits": "5", "feature_flags": "[1]"}, [price()], "list of names"),
        ({"credits": "5", "feature_flags": "[oops"}, [price()], "not a JSON list"),
        ({"credits": "5"}, [], "default price"),
        ({"credits": "5"}, [price(2)], "default price"),
        ({"credits": "5"}, [price(unit_amount=None)], "whole minor units"),
        ({"credits": "5"}, [price(billing_scheme="tiered")], "fixed price"),
        ({"credits": "5"}, [price(custom_unit_amount={"minimum": 1})], "fixed price"),
        ({"credits": "5"}, [price(recurring={**month(), "usage_type": "metered"})], "metered"),
    ],
)
def test_what_is_unclear_is_not_sold(
    metadata: dict[str, str], prices: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(Unsellable, match=why):
        read_product("plus", product(**metadata), prices, ONE)


def test_among_several_types_one_is_named() -> None:
    with pytest.raises(Unsellable, match="credits, calling"):
        read_product("plus", product(credits="5"), [price()], TWO)
