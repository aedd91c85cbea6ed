"""What is said of reaches (`ledger.reaches`) as bytes: in lines, and behind open holds' facts."""

import struct
from collections.abc import Iterable, Mapping

from ledger.facts import HoldFact
from ledger.limits import ALL_ROUTES, Loan

OF_A_LOT = "L"
"""The kind of loan by which an open hold remembers the reach of a lot."""

_HIGHEST = struct.Struct("<H")


def reaches_block(highest: int, having: Iterable[int]) -> bytes:
    """Return what a line carries: the highest reach known, and a bit for each with its route."""
    bits = sum(1 << (number - 1) for number in set(having))
    return _HIGHEST.pack(highest) + bits.to_bytes((highest + 7) // 8, "little")


def lent_reaches(hold: HoldFact, reaches: Mapping[int, int]) -> list[Loan]:
    """Return what an open hold remembers of the limited lots it was made from."""
    return [
        Loan("l", ALL_ROUTES, ALL_ROUTES, OF_A_LOT, reaches[part.lot], part.lot)
        for part in hold.allocation
        if part.lot in reaches
    ]
