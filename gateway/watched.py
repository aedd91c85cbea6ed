"""
What a watched request would have met, had it been charged: kept as the note of its charge.

Only what the ledger cannot tell later is noted: whose key it was not, why there was no price, and
that it failed, so that its quota would have come back. Balances, limits, freezes and revocations
are in the ledger, and are looked at when somebody asks.
"""

from typing import NamedTuple

from gateway.outcome import Outcome

NO_PRICE = "no-price"
"""The route says `price: unpriced`."""

_REFUSED, _UNPRICED, _FAILED = "refused:", "unpriced:", "failed"


class Met(NamedTuple):
    """
    What stood in the way.

    Attributes:
        refused: The problem that would have been its answer; empty for none.
        unpriced: Why it has no price: a problem of pricing, or `no-price`.
        failed: Its hold would have been void.
    """

    refused: str = ""
    unpriced: str = ""
    failed: bool = False

    def ended(self, outcome: Outcome) -> "Met":
        """Return the same with how it ended."""
        return self if outcome.capture else self._replace(failed=True)

    @property
    def note(self) -> str:
        """What is kept of it; empty where nothing stood in the way."""
        named = ((_REFUSED, self.refused), (_UNPRICED, self.unpriced))
        words = [f"{word}{name}" for word, name in named if name]
        return " ".join([*words, _FAILED] if self.failed else words)


def read_note(note: str | None) -> Met:
    """Read a note again; what is no such note says nothing."""
    words = (note or "").split(" ")
    refused = next((w.removeprefix(_REFUSED) for w in words if w.startswith(_REFUSED)), "")
    unpriced = next((w.removeprefix(_UNPRICED) for w in words if w.startswith(_UNPRICED)), "")
    return Met(refused, unpriced, _FAILED in words)
