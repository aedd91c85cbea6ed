from typing import Any

import pytest

from billing.standin.failures import StripeFailure
from billing.standin.forms import decode
from billing.standin.parameters import checked


def checked_form(name: str, form: str) -> dict[str, Any]:
    return checked(name, decode(form))


def test_text_becomes_the_type_of_the_parameter() -> None:
    given = checked_form(
        "checkout.SessionCreateParams",
        "mode=payment&line_items[0][price]=price_1&line_items[0][quantity]=2"
        "&allow_promotion_codes=true&metadata[0]=x&expand[0]=line_items",
    )
    assert given == {
        "mode": "payment",
        "line_items": [{"price": "price_1", "quantity": 2}],
        "allow_promotion_codes": True,
        "metadata": {"0": "x"},
        "expand": ["line_items"],
    }


@pytest.mark.parametrize(
    ("name", "form", "message", "code", "param"),
    [
        (
            "checkout.SessionCreateParams",
            "mode=payment&payment_method_types[0]=card",
            "Received unknown parameter: payment_method_types",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        (
            "checkout.SessionCreateParams",
            "line_items[0][prize]=x",
            "Received unknown parameter: line_items[0][prize]",
            "parameter_unknown",
            "line_items[0][prize]",
        ),
        (
            "PaymentIntentCreateParams",
            "currency=usd",
            "Missing required param: amount.",
            "parameter_missing",
            "amount",
        ),
        (
            "PaymentIntentCreateParams",
            "currency=usd&amount=ten",
            "Invalid integer: ten",
            "parameter_invalid_integer",
            "amount",
        ),
        (
            "RefundCreateParams",
            "payment_intent=pi_1&reason=because",
            "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer",
            None,
            "reason",
        ),
        ("EventListParams", "delivery_success=1", "Invalid boolean: 1", None, "delivery_success"),
        ("EventListParams", "types=a", "Invalid array", None, "types"),
        ("EventListParams", "types[x]=a", "Invalid array", None, "types"),
        ("ProductCreateParams", "name[a]=b", "Invalid string: {'a': 'b'}", None, "name"),
    ],
)
def test_a_wrong_parameter_is_refused_in_stripes_words(
    name: str, form: str, message: str, code: str | None, param: str
) -> None:
    with pytest.raises(StripeFailure) as refused:
        checked_form(name, form)
    assert (refused.value.message, refused.value.code, refused.value.param) == (
        message,
        code,
        param,
    )


def test_an_empty_text_unsets_only_what_can_be_unset() -> None:
    assert checked_form("ProductUpdateParams", "description=&metadata[a]=") == {
        "description": "",
        "metadata": {"a": ""},
    }
    with pytest.raises(StripeFailure) as refused:
        checked_form("ProductUpdateParams", "name=")
    assert refused.value.code == "parameter_invalid_empty"


def test_a_moment_or_a_range_is_taken() -> None:
    assert checked_form("EventListParams", "created=5") == {"created": 5}
    assert checked_form("EventListParams", "created[gte]=5") == {"created": {"gte": 5}}


def test_options_of_a_call_are_no_parameters() -> None:
    with pytest.raises(StripeFailure):
        checked_form("CustomerCreateParams", "idempotency_key=x")
