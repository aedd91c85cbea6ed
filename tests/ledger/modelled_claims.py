"""What claims should do, in plain Python: a part of the model of one shard."""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.claims import Claim, Standing, There
from ledger.facts import HoldFact
from ledger.records import ClosedHold

Holds = Mapping[bytes, HoldFact | ClosedHold]


@dataclass(frozen=True)
class Owner:
    """The hold that has a key, and what for; `late`: it was booked late."""

    hold: bytes
    fingerprint: bytes
    late: bool


class ModelledClaims:
    """Who has which key, as one epoch knows it."""

    def __init__(self) -> None:
        self.owners: dict[tuple[int, bytes], Owner] = {}

    def kept(self, claim: Claim) -> bytes | None:
        """What is kept of a key, byte by byte."""
        owner = self.owners.get((claim.account, claim.key_hash))
        if owner is None:
            return None
        return claim.key_hash + owner.fingerprint + owner.hold + bytes([owner.late])

    def take(self, claim: Claim, hold: bytes, *, late: bool) -> None:
        """The key is this hold's from here on."""
        self.owners[claim.account, claim.key_hash] = Owner(hold, claim.fingerprint, late)

    def kept_by(self, wanted: tuple[Claim, There], hold: bytes, holds: Holds) -> str:
        """The answer because another hold has the key; empty if none has."""
        claim, there = wanted
        owner = self.owners.get((claim.account, claim.key_hash))
        known = there.owner if there.standing else None
        other = owner.hold if owner else known
        if other is None or other == hold:
            return ""
        word = _standing(other, there, holds)
        if owner is not None and owner.late:
            word = "DONE"
        if owner is not None and word in ("RUNNING", "DONE"):
            word = word if owner.fingerprint == claim.fingerprint else "MISMATCH"
        return word and f"{word} {other.hex()}"


def _standing(other: bytes, there: There, holds: Holds) -> str:
    if other == there.owner and there.standing is Standing.CAPTURED:
        return "DONE"
    match holds.get(other):
        case HoldFact():
            return "RUNNING"
        case ClosedHold(outcome="c" | "l"):
            return "DONE"
        case ClosedHold():
            return ""
    return "" if other == there.owner and there.standing is Standing.GIVEN_BACK else "ASK"
