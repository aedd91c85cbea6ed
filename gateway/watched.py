"""
What a watched request would have met, had it been charged: kept as the note of its charge.

Only what the ledger cannot tell later is noted: whose key it was not, and why there was no price.
Balances, limits, freezes and revocations are in the ledger, and are looked at when somebody asks.
"""

from typing import NamedTuple

NO_PRICE = "no-price"
"""The route says `price: unpriced`."""

_REFUSED, _UNPRICED = "refused:", "unpriced:"


class Met(NamedTuple):
    """
    What stood in the way.

    Attributes:
        refused: The problem that would have been its answer; empty for none.
        unpriced: Why it has no price: a problem of pricing, or `no-price`.
    """

    refused: str = ""
    unpriced: str = ""

    @property
    def note(self) -> str:
        """What is kept of it; empty where nothing stood in the way."""
        named = ((_REFUSED, self.refused), (_UNPRICED, self.unpriced))
        return " ".join(f"{word}{name}" for word, name in named if name)


def read_note(note: str | None) -> Met:
    """Read a note again; what is no such note says nothing."""
    words = (note or "").split(" ")
    refused = next((w.removeprefix(_REFUSED) for w in words if w.startswith(_REFUSED)), "")
    unpriced = next((w.removeprefix(_UNPRICED) for w in words if w.startswith(_UNPRICED)), "")
    return Met(refused, unpriced)
