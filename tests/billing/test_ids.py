"""billing/ids.py: names that a new database cannot meet again."""

import os

from billing.ids import is_order_id, new_id


def test_an_id_is_its_prefix_and_24_hex_characters() -> None:
    assert new_id("ord", lambda count: b"\x0f" * count) == "ord_" + "0f" * 12
    assert is_order_id(new_id("ord", os.urandom))


def test_only_the_exact_form_is_an_orders_id() -> None:
    good = new_id("ord", os.urandom)

    for text in ["", good[:-1], good + "0", good.upper(), good + "\n", "rfd" + good[3:]]:
        assert not is_order_id(text)
