"""billing/purchases/session_request.py: what Stripe is asked for follows from the order alone."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from billing.packages.offers import Offer
from billing.purchases.orders import Order
from billing.purchases.session_request import session_params, setup_params
from billing.shop import Shop
from billing.standin.parameters import checked

SHOP = cast(
    Shop,
    SimpleNamespace(
        installation="here", pages_url="https://api.example.com/farebox", link_secret=b"secret"
    ),
)
ID = "ord_" + "0a" * 12
OFFER = Offer(
    name="starter",
    title="Starter",
    credit_type="credits",
    credits=100,
    scale=0,
    prices={"usd": 1000},
    source="file",
)


def order_for(offer: Offer = OFFER, **fields: Any) -> Order:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        **dict.fromkeys(Order.__slots__),
        "id": ID,
        "account_id": 12,
        "offer": offer,
        "currency": "usd",
        "unit_minor": 1000,
        "quantity": 1,
        "save_card": False,
        "created_at": made,
    }
    return Order(**values | fields)


def params_of(offer: Offer = OFFER, **fields: Any) -> dict[str, Any]:
    """The parameters, after the pinned SDK's own types have seen nothing wrong with them."""
    params = session_params(SHOP, order_for(offer, **fields), "cus_1")
    accept(params)
    return params


def accept(params: dict[str, Any]) -> None:
    checked("checkout.SessionCreateParams", as_sent(params))


def as_sent(value: Any) -> Any:
    """As a form is read: every scalar is text, a list has numbered fields."""
    match value:
        case dict():
            return {key: as_sent(one) for key, one in value.items()}
        case list():
            return {str(place): as_sent(one) for place, one in enumerate(value)}
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def test_a_single_purchase_marks_session_intent_and_invoice() -> None:
    params = params_of()
    home = {"farebox": "here", "order_id": ID, "account": "acc_12"}

    assert (params["mode"], params["customer"]) == ("payment", "cus_1")
    assert params["client_reference_id"] == ID
    assert params["metadata"] == home
    assert params["payment_intent_data"] == {"metadata": home}
    assert params["invoice_creation"] == {"enabled": True, "invoice_data": {"metadata": home}}
    assert params["line_items"] == [
        {
            "quantity": 1,
            "price_data": {
                "currency": "usd",
                "unit_amount": 1000,
                "product_data": {"name": "Starter"},
            },
        }
    ]


def test_the_same_order_asks_for_the_same_thing() -> None:
    assert params_of() == params_of()


def test_a_subscription_asks_for_a_recurring_price_and_its_trial() -> None:
    offer = replace(OFFER, interval="month", interval_count=3, trial_days=14)
    params = params_of(offer)

    assert params["mode"] == "subscription"
    assert params["line_items"][0]["price_data"]["recurring"] == {
        "interval": "month",
        "interval_count": 3,
    }
    assert params["subscription_data"]["trial_period_days"] == 14
    assert params["subscription_data"]["metadata"]["order_id"] == ID
    assert "payment_intent_data" not in params, "Stripe takes it for single purchases only"
    assert "invoice_creation" not in params


def test_a_card_is_kept_for_later_only_where_that_was_asked_for() -> None:
    kept = params_of(save_card=True)

    assert kept["payment_intent_data"]["setup_future_usage"] == "off_session"
    assert "saved_payment_method_options" not in kept, "no later page may offer it again"
    assert "setup_future_usage" not in params_of()["payment_intent_data"]


@pytest.mark.parametrize(("tax", "code"), [("automatic", None), ("txcd_10000000", "txcd_10000000")])
def test_tax_needs_the_buyers_address(tax: str, code: str | None) -> None:
    params = params_of(replace(OFFER, tax=tax))

    assert params["automatic_tax"] == {"enabled": True}
    assert params["customer_update"]["address"] == "auto"
    assert params["line_items"][0]["price_data"]["product_data"].get("tax_code") == code
    assert "automatic_tax" not in params_of()


def test_promotion_codes_and_quantities_are_the_packages_choice() -> None:
    free = replace(OFFER, promotion_codes=True, adjustable=True, least_quantity=2, most_quantity=9)
    params = params_of(free, quantity=3)

    assert params["allow_promotion_codes"] is True
    assert params["line_items"][0]["quantity"] == 3
    assert params["line_items"][0]["adjustable_quantity"] == {
        "enabled": True,
        "minimum": 2,
        "maximum": 9,
    }
    assert "allow_promotion_codes" not in params_of()
    assert "adjustable_quantity" not in params_of()["line_items"][0]


def test_a_package_of_stripes_is_sold_by_stripes_own_price() -> None:
    params = params_of(replace(OFFER, source="stripe", stripe_prices={"usd": "price_1"}))

    assert params["line_items"] == [{"quantity": 1, "price": "price_1"}]


def test_a_card_can_be_saved_without_paying() -> None:
    params = setup_params(SHOP, 12, "cus_1", "usd")
    accept(params)

    assert params["mode"] == "setup"
    assert params["setup_intent_data"]["metadata"] == {"farebox": "here", "account": "acc_12"}
    assert params["success_url"] == "https://api.example.com/farebox/cards?saved=1"
