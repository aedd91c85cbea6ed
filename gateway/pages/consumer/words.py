"""Words of charges and entries for people."""

from gateway.operations.charges import ChargeRow
from gateway.operations.explained import REASONS

OUTCOMES = {
    "open": ("plain", "under way"),
    "captured": ("good", "charged"),
    "late": ("good", "charged"),
    "void": ("plain", "not charged"),
    "expired": ("plain", "not charged"),
    "observed": ("plain", "only recorded"),
}
"""State of a charge -> the kind of its badge, and its word."""

KINDS = {
    "charge": "Call",
    "purchase": "Purchase",
    "subscription": "Subscription",
    "promotion": "Given",
    "adjustment": "Correction",
    "refund": "Refund",
    "clawback": "Taken back",
    "expiry": "Expired",
}
"""Kind of an entry -> its word."""

_UNSURPRISING = frozenset({"delivered", "observed"})


def outcome(row: ChargeRow) -> str:
    """Say why a call was charged or not, where that may surprise; else nothing."""
    if row.reason is None or row.reason in _UNSURPRISING:
        return ""
    status = f" ({row.status})" if row.reason == "status" and row.status else ""
    return f"{REASONS.get(row.reason, row.reason)}{status}"
