"""How one hold ends: what the settler takes, and keeps until Postgres shows it."""

from dataclasses import dataclass

from ledger.claims import Claim, There
from ledger.hold_order import HoldOrder
from ledger.lines import late_line, settle_line


@dataclass(slots=True, eq=False)
class Settlement:
    """
    How one hold ends.

    order: what was held. Booked late, it can be paid from what is limited to its route.
    epoch and q: where the hold was opened; q 0 if it is not known whether it was.
    captured: smallest units, at most the hold; 0 for a void.
    reason: see `ledger.reasons`; it says whether this captures or voids.
    unlearned: how many reaches were known when a lot had another one.
    there: what Postgres has of the Idempotency-Key that the hold was given.
    """

    hold_id: bytes
    order: HoldOrder
    epoch: int
    q: int
    captured: int
    reason: int
    status: int = 0
    detail: bytes = b""
    attempts: int = 0
    due: float = 0.0
    look: bool = False
    expired: bool = False
    unlearned: int | None = None
    booked_in: int = 0
    there: There | None = None

    @property
    def claim(self) -> Claim | None:
        """The Idempotency-Key that the hold was given."""
        return None if self.order.claim is None else self.order.claim[0]

    def line(self) -> bytes:
        """Return the line that settles."""
        return settle_line(self.hold_id, self.captured, self.reason, self.status, self.detail)

    def late(self, reaches: bytes) -> bytes:
        """Return the line that books it although the hold is gone."""
        order, claim = self.order, self.claim
        return late_line(
            self.hold_id,
            account=order.account,
            key=order.key,
            credit_type=order.credit_type,
            amount=self.captured,
            version=order.version,
            rule=order.rule,
            reason=self.reason,
            status=self.status,
            reaches=reaches,
            claim=self.there.block(claim) if claim and self.there else b"",
            detail=self.detail,
        )
