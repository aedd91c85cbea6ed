"""
What a request is charged, once it is known how it ended: the table "What is charged".

Pure: `outcome` takes how the request ended and what it measured, and returns what to do with
the hold. Nothing else in the gateway decides about a capture or its amount.
"""

from enum import Enum, auto
from typing import NamedTuple

from ledger.reasons import Reason


class End(Enum):
    """How a forwarded request ended."""

    COMPLETE = auto()  # the upstream's whole answer was read
    CUT = auto()  # the upstream's answer broke off behind its head
    REFUSED = auto()
    RESET = auto()
    TIMEOUT = auto()
    INVALID = auto()  # the answer was not valid HTTP, or not one we may pass on
    GONE_EARLY = auto()  # the client left before the upstream got the request head
    GONE_LATER = auto()  # the client left after that; what was learned in `linger` is measured
    BODY_REJECTED = auto()  # the request body broke a rule while it was passed on, and we said so


class Ending(NamedTuple):
    """
    How a request ended.

    Attributes:
        status: The upstream's status; 0 where its head never came.
        covered: Whether `status` is one that the route charges on.
    """

    end: End
    status: int = 0
    covered: bool = False


class Charge(NamedTuple):
    """What a request costs, in the smallest unit of its credit type."""

    ceiling: int  # what is held
    cost: int  # may be above the ceiling where it follows from the response
    final: bool  # known before the call
    missing: bool = False  # the usage was absent, negative or unreadable; `cost` is the default


class Outcome(NamedTuple):
    """
    What becomes of the hold.

    Attributes:
        capture: False voids the hold.
        amount: Captured, at most the ceiling; 0 for a void.
        uncollected: How far the cost was above the hold.
    """

    capture: bool
    amount: int
    reason: Reason
    uncollected: int = 0


NOTHING = Charge(ceiling=0, cost=0, final=True)
"""Of a request that is free: its outcome is only worth its reason."""

_VOIDS = {
    End.CUT: Reason.UPSTREAM_CUT,
    End.REFUSED: Reason.UPSTREAM_REFUSED,
    End.RESET: Reason.UPSTREAM_RESET,
    End.TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    End.INVALID: Reason.UPSTREAM_INVALID,
    End.GONE_EARLY: Reason.CLIENT_GONE_EARLY,
    End.BODY_REJECTED: Reason.BODY_REJECTED,
}


def outcome(ending: Ending, charge: Charge, *, cut_is_delivered: bool = False) -> Outcome:
    """
    Decide what a request is charged.

    Args:
        ending: How it ended. A status known and not covered voids, also when the client left
            after it: the head it read said `Farebox-Cost: 0`.
        charge: What it held, and what it measured.
        cut_is_delivered: `on_cut: delivered`, for metered streams whose events count as they come.
    """
    end = ending.end
    if end is End.COMPLETE or end is End.GONE_LATER:
        if ending.status and not ending.covered:
            return Outcome(capture=False, amount=0, reason=Reason.STATUS)
        return _capture(charge, Reason.DELIVERED if end is End.COMPLETE else Reason.CLIENT_GONE)
    if end is End.CUT and cut_is_delivered and ending.covered and not charge.final:
        return _capture(charge, Reason.CUT_DELIVERED)
    return Outcome(capture=False, amount=0, reason=_VOIDS[end])


def _capture(charge: Charge, reason: Reason) -> Outcome:
    """Capture the cost, at most the hold; the reason names what is most worth knowing."""
    amount = min(charge.cost, charge.ceiling)
    uncollected = charge.cost - amount
    if uncollected:
        reason = Reason.UNCOLLECTED
    elif charge.missing:
        reason = Reason.USAGE_MISSING
    return Outcome(capture=True, amount=amount, reason=reason, uncollected=uncollected)
