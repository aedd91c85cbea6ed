"""Amounts of credits: whole numbers inside, decimal text outside, and the one place that rounds."""

import re
from collections.abc import Sequence
from math import lcm

LARGEST_AMOUNT = 90_000_000_000_000
"""9e13: the store's numbers are doubles, and sums of amounts must stay exact in them."""

LARGEST_QUANTITY = 2**53 - 1
"""The largest count that every JSON implementation reads exactly; larger counts are refused."""

LARGEST_SCALE = 9

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")


def parse_amount(text: str, scale: int) -> int:
    """
    Read a decimal amount exactly: "0.25" at scale 2 is 25.

    Args:
        text: Digits, at most one point; no sign, no exponent, no spaces.
        scale: Decimal places of the credit type; fewer may be written.

    Raises:
        ValueError: Not such a text, more than `scale` decimals, or above 9e13 smallest units.
    """
    found = _DECIMAL.fullmatch(text)
    if not found:
        raise ValueError("an amount is digits with at most one point, like 5 or 0.25")
    whole, decimals = found[1], found[2] or ""
    if len(decimals) > scale:
        raise ValueError(f"the credit type has {scale} decimal places and this has {len(decimals)}")
    # Twenty digits are already far out of range; int() of a million digits would take seconds.
    if len(whole) > 20:
        raise ValueError("an amount is at most 90000000000000 of the smallest unit")
    amount = int(whole + decimals.ljust(scale, "0"))
    if amount > LARGEST_AMOUNT:
        raise ValueError("an amount is at most 90000000000000 of the smallest unit")
    return amount


def format_amount(amount: int, scale: int) -> str:
    """Write an amount of smallest units as decimal text: 25 at scale 2 is "0.25"."""
    if not scale:
        return str(amount)
    digits = str(abs(amount)).rjust(scale + 1, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def total_cost(flat: int, parts: Sequence[tuple[int, int, int]]) -> int:
    """
    Add up a price, rounding **up**, once, at the end: ceil(flat + sum of quantity x cost / unit).

    This is the only place where Farebox rounds money. Rounding the sum instead of each
    part keeps a price of several parts from costing a unit more for each of them.

    Args:
        flat: Smallest units of the credit type.
        parts: (quantity, unit, cost) each; cost in smallest units per `unit` of quantity.
    """
    if len(parts) == 1:
        quantity, unit, cost = parts[0]
        return flat - (-quantity * cost // unit)
    shared = lcm(*(unit for _, unit, _ in parts))
    numerator = sum(quantity * cost * (shared // unit) for quantity, unit, cost in parts)
    return flat - (-numerator // shared)
