"""A hold's allocation as the `charges` table keeps it: packed as in the hold fact."""

import struct
from collections.abc import Sequence

from ledger.facts import Allocated

_LOT = struct.Struct("<5sB6s6s")


def pack_allocation(allocation: Sequence[Allocated]) -> bytes:
    """Return a count (one byte), then 18 bytes per lot, in burn order."""
    parts = [bytes((len(allocation),))]
    parts.extend(
        _LOT.pack(
            lot.to_bytes(5, "little"),
            priority,
            expiry.to_bytes(6, "little"),
            amount.to_bytes(6, "little"),
        )
        for lot, priority, expiry, amount in allocation
    )
    return b"".join(parts)


def read_allocation(raw: bytes | None) -> tuple[Allocated, ...]:
    """Return what `pack_allocation` packed; nothing for nothing."""
    if not raw:
        return ()
    return tuple(
        Allocated(
            int.from_bytes(lot, "little"),
            priority,
            int.from_bytes(expiry, "little"),
            int.from_bytes(amount, "little"),
        )
        for lot, priority, expiry, amount in _LOT.iter_unpack(raw[1:])
    )
