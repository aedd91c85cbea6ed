"""billing/purchases/come_back.py: the token of a returning buyer shows one order, for a while."""

from datetime import UTC, datetime

import pytest

from billing.errors import NoSuchObject
from billing.purchases import come_back
from gateway import buy_link

ORDER = "ord_" + "ab" * 12
SECRET = b"a secret"
MADE = datetime(2026, 1, 1, tzinfo=UTC)
THEN_S = int(MADE.timestamp())


def test_a_token_shows_its_order_for_seven_days() -> None:
    token = come_back.sign(ORDER, MADE, secret=SECRET)

    assert come_back.verify(token, secret=SECRET, now_s=THEN_S + 7 * 86_400 - 1) == ORDER
    with pytest.raises(NoSuchObject):
        come_back.verify(token, secret=SECRET, now_s=THEN_S + 7 * 86_400)


def test_the_same_order_always_has_the_same_token() -> None:
    """The address is part of a call to Stripe that may be repeated under its idempotency key."""
    assert come_back.sign(ORDER, MADE, secret=SECRET) == come_back.sign(ORDER, MADE, secret=SECRET)


@pytest.mark.parametrize(
    "spoil", ["other order", "later", "other secret", "cut", "long", "ünicode"]
)
def test_a_changed_token_shows_nothing(spoil: str) -> None:
    order, expiry, mac = come_back.sign(ORDER, MADE, secret=SECRET).split(".")
    token = {
        "other order": f"ord_{'cd' * 12}.{expiry}.{mac}",
        "later": f"{order}.{int(expiry) + 1}.{mac}",
        "other secret": come_back.sign(ORDER, MADE, secret=b"another"),
        "cut": f"{order}.{expiry}",
        "long": f"{order}.{expiry}.{mac}{'x' * 100}",
        "ünicode": f"{order}.{expiry}.{mac}ü",
    }[spoil]

    with pytest.raises(NoSuchObject):
        come_back.verify(token, secret=SECRET, now_s=THEN_S)


def test_a_buy_link_is_no_such_token_though_the_secret_is_the_same() -> None:
    with pytest.raises(NoSuchObject):
        come_back.verify(buy_link.sign(1, secret=SECRET, now_s=THEN_S), secret=SECRET, now_s=THEN_S)
