"""What a session says, and whether it fits its order: without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.errors import Quarantined
from billing.packages.offers import Offer
from billing.purchases import session_reading
from billing.purchases.orders import Order
from billing.purchases.session_reading import Lines

NOW = datetime(2031, 1, 1, tzinfo=UTC)
NAME = "ord_" + "1" * 24


def order(**fields: Any) -> Order:
    offer = Offer(
        name="shared",
        title="Shared",
        credit_type="credits",
        scale=0,
        credits=100,
        prices={"usd": 999},
        source="file",
        discounted="share",
        expires_ms=1_000,
    )
    row = dict.fromkeys(Order.__slots__)
    known = {
        "id": NAME,
        "account_id": 7,
        "livemode": False,
        "kind": "checkout",
        "offer": offer,
        "package": "shared",
        "credit_type_id": 1,
        "credits_each": 100,
        "currency": "usd",
        "unit_minor": 999,
        "least_quantity": 1,
        "most_quantity": 5,
    }
    return Order(**row | known | fields)


def line(quantity: int = 1, **fields: Any) -> dict[str, Any]:
    price = {"id": "price_1", "unit_amount": 999, "currency": "usd"}
    return {
        "quantity": quantity,
        "price": price,
        "currency": "usd",
        "amount_subtotal": 999 * quantity,
    } | fields


def session(subtotal: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": "cs_test_1",
        "mode": "payment",
        "livemode": False,
        "currency": "usd",
        "amount_subtotal": subtotal,
        "amount_total": subtotal,
        "metadata": {"order_id": NAME, "account": "acc_7"},
    } | fields


def test_what_all_lines_come_to_was_bought() -> None:
    lines = [line(2), line(3)]

    assert session_reading.check(order(), session(4995), lines) == Lines(5, 4995)


@pytest.mark.parametrize(
    ("shown", "lines", "why"),
    [
        (session(5994), [line(3), line(3)], "6 were bought"),
        (session(0), [], "0 were bought"),
        (session(999), [line(2)], "amount_subtotal is 999 and should be 1998"),
        (session(999), [line(amount_subtotal=1)], "amount of a line is 1 and"),
        (session(999), [line(currency="eur")], "currency of a line is eur"),
        (session(999, mode="subscription"), [line()], "mode is subscription"),
        (session(999, livemode=True), [line()], "livemode is True"),
        (session(999, metadata={"account": "acc_8"}), [line()], "account is acc_8"),
        (session(999, metadata={"order_id": "ord_2"}), [line()], "order is ord_2"),
    ],
)
def test_what_does_not_fit_is_said(shown: dict[str, Any], lines: list[Any], why: str) -> None:
    with pytest.raises(Quarantined, match=why):
        session_reading.check(order(), shown, lines)


def test_metadata_that_was_wiped_contradicts_nothing() -> None:
    shown = session(999, metadata={}, client_reference_id="somebody's own")

    assert session_reading.check(order(), shown, [line()]) == Lines(1, 999)


def test_a_share_is_rounded_down_and_lives_from_when_it_is_given() -> None:
    """A discount of 334 leaves 665 of 999; tax changes nothing."""
    shown = session(999, amount_total=800)
    shown["total_details"] = {"amount_discount": 334, "amount_tax": 135}
    draft = session_reading.payment(order(), shown, Lines(1, 999))

    (given,) = session_reading.grants(draft, NOW)

    assert (given.credits, given.expires_at) == (66, NOW + timedelta(seconds=1))
    assert (draft.paid_minor, draft.tax_minor, draft.discount_minor) == (800, 135, 334)


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        ({"status": "processing"}, None),
        ({"status": "canceled"}, "payment_failed"),
        (
            {
                "status": "requires_payment_method",
                "last_payment_error": {"code": "card_declined", "decline_code": "lost_card"},
            },
            "card_declined lost_card",
        ),
    ],
)
def test_money_that_will_not_come_has_stripes_words(
    intent: dict[str, Any], words: str | None
) -> None:
    assert session_reading.failure({"payment_intent": intent}) == words
