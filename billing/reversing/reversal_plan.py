"""
What must be taken back of a payment, decided from what Stripe shows now. No I/O.

It is a target, never an increment: of everything that was paid, the share that went back to the
buyer is the share of the credits that goes back to us, rounded down for the buyer. Partial refunds,
refunds that fail later, disputes opened, won, lost and opened again, duplicates and any order of
their news all reduce to the same question, asked again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

GONE = frozenset({"pending", "requires_action", "succeeded"})
"""States of a refund whose money left, or is leaving; `failed` and `canceled` came back."""

CAME_BACK = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """A refund as Stripe shows it now, whoever asked for it."""

    id: str
    amount_minor: int
    currency: str
    status: str
    failure: str | None
    created_at: datetime
    asked_as: str | None = None
    """The `rfd_` it carries, if we asked for it."""

    @property
    def counts(self) -> bool:
        """Whether its money is, or will be, the buyer's."""
        return self.status in GONE


@dataclass(frozen=True, slots=True)
class Given:
    """A grant of the payment: what it gave, and what was taken back and not returned since."""

    grant_id: int
    credits: int
    clawed: int
    steps: int


@dataclass(frozen=True, slots=True)
class Move:
    """
    What to book for one grant: `take` smallest units back, below 0: give so many again.

    step: Counts the grant's moves from 1, and so names this one for good.
    """

    grant_id: int
    take: int
    step: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a payment should stand, in minor units, and the moves that bring it there."""

    refunded_minor: int
    disputed_minor: int
    reversed_minor: int
    moves: tuple[Move, ...]


def decide(
    paid_minor: int,
    given: Sequence[Given],
    refunds: Iterable[RefundSeen],
    withdrawals: Iterable[int],
) -> Plan:
    """
    Return what the payment should have come to.

    Args:
        paid_minor: Captured, with tax.
        given: Its grants.
        refunds: All of it at Stripe; the same one twice counts once.
        withdrawals: What each dispute has taken and not given back, in minor units, at least 0.

    """
    by_id = {refund.id: refund for refund in refunds}
    refunded = sum(refund.amount_minor for refund in by_id.values() if refund.counts)
    disputed = sum(withdrawals)
    # A refund and a dispute of the same charge may come to more than was paid; it can go back once.
    reversed_minor = min(paid_minor, refunded + disputed)
    moves = []
    for grant in given:
        take = target(grant.credits, reversed_minor, paid_minor) - grant.clawed
        if take:
            moves.append(Move(grant.grant_id, take, grant.steps + 1))
    return Plan(refunded, disputed, reversed_minor, tuple(moves))


def target(granted: int, reversed_minor: int, paid_minor: int) -> int:
    """Return how many of the credits should be taken back in all; where nothing was paid, none."""
    return granted * reversed_minor // paid_minor if paid_minor else 0
