from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.amounts import LARGEST_AMOUNT, format_amount, parse_amount, total_cost

QUANTITIES = st.integers(0, 2**53 - 1)
PARTS = st.lists(
    st.tuples(QUANTITIES, st.integers(1, 10**9), st.integers(1, 10**6)), min_size=0, max_size=4
)


@pytest.mark.parametrize(
    ("text", "scale", "amount"),
    [
        ("0.25", 2, 25),
        ("0.2", 2, 20),
        ("5", 2, 500),
        ("0", 0, 0),
        ("90000000000000", 0, 9 * 10**13),
    ],
)
def test_an_amount_is_read_exactly(text: str, scale: int, amount: int) -> None:
    assert parse_amount(text, scale) == amount


@pytest.mark.parametrize(
    "text",
    [
        "0.255",
        "-1",
        "+1",
        "1e3",
        "1_000",
        " 1",
        "1.",
        ".5",
        "01",
        "",
        "900000000000.01",
        "9" * 5000,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimal places"):
        parse_amount(text, 2)


@given(st.integers(0, LARGEST_AMOUNT), st.integers(0, 9))
def test_an_amount_written_and_read_is_the_same(amount: int, scale: int) -> None:
    assert parse_amount(format_amount(amount, scale), scale) == amount


def test_a_negative_amount_is_written_with_its_sign() -> None:
    assert format_amount(-5, 2) == "-0.05"


@given(st.integers(0, 10**12), PARTS)
def test_the_total_is_rounded_up_once_and_exactly(
    flat: int, parts: list[tuple[int, int, int]]
) -> None:
    exact = flat + sum(Fraction(quantity * cost, unit) for quantity, unit, cost in parts)
    assert total_cost(flat, parts) == ceil(exact)
