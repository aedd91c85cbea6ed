"""billing/marks.py: what carries our mark is ours, all else in the Stripe account is not."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from billing.marks import is_ours, marks
from billing.shop import Shop

SHOP = cast(Shop, SimpleNamespace(installation="here"))
ORDER = "ord_" + "0a" * 12


def test_the_mark_leads_home_to_order_and_account() -> None:
    assert marks(SHOP, ORDER, 12) == {"farebox": "here", "order_id": ORDER, "account": "acc_12"}
    assert marks(SHOP) == {"farebox": "here"}


@pytest.mark.parametrize(
    ("thing", "ours"),
    [
        ({"metadata": {"farebox": "here"}}, True),
        ({"metadata": {"farebox": "elsewhere"}}, False),
        ({"metadata": {"farebox": "elsewhere"}, "client_reference_id": ORDER}, False),
        ({"metadata": {}, "client_reference_id": ORDER}, True),
        ({"metadata": None, "client_reference_id": "cart-17"}, False),
        ({"metadata": {}}, False),
        ({}, False),
    ],
)
def test_a_mark_counts_and_where_it_was_wiped_the_form_of_the_reference(
    thing: dict[str, Any], ours: bool
) -> None:
    assert is_ours(SHOP, thing) is ours
