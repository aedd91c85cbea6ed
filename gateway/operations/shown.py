"""Amounts and times as people and programs see them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from config.amounts import format_amount
from ledger.facts import NEVER

Display = Annotated[
    dict[str, str],
    Field(description="The amounts beside it as decimal text in the credit type's scale."),
]


def display(scale: int, amounts: Mapping[str, int | None]) -> dict[str, str]:
    """Write amounts of smallest units as decimal text; an unknown amount is left out."""
    return {
        name: format_amount(amount, scale) for name, amount in amounts.items() if amount is not None
    }


def moment(ms: int | None) -> datetime | None:
    """Return milliseconds since 1970 as a time; none and never are None."""
    return None if ms is None or ms >= NEVER else datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return round(at.timestamp() * 1000)
