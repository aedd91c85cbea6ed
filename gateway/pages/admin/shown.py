"""Words and axes that several of the admin's templates share."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.pages.filters import amount, count

_WHEN, _REST = "When", ("Route", "Ended as", ("Charged", "n"), ("Balance after", "n wide"))


def axis_of(scale: int) -> Callable[[int], str]:
    """Return what writes amounts of a scale beside a chart."""
    return lambda units: amount(units, scale)


WORDS: Mapping[str, Any] = {
    "CHARGE_HEADS": (_WHEN, *_REST),
    "CHARGE_HEADS_OF_ALL": (_WHEN, "Account", *_REST),
    "axis_of": axis_of,
    "counted": count,
}
