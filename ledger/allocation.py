"""A hold's allocation as the `charges` table keeps it: packed as in the hold fact."""

import struct
from collections.abc import Sequence

from ledger.facts import Allocated

_LOT = struct.Struct("<IBBIHIH")
"""Numbers of 5 and 6 bytes in two parts: low four bytes, and what is above them."""

LOT_BYTES = _LOT.size
_LOW = 2**32 - 1


def pack_allocation(allocation: Sequence[Allocated]) -> bytes:
    """Return a count (one byte), then 18 bytes per lot, in burn order."""
    return bytes((len(allocation),)) + pack_lots(allocation)


def read_allocation(raw: bytes | None) -> tuple[Allocated, ...]:
    """Return what `pack_allocation` packed; nothing for nothing."""
    return read_lots(raw[1:]) if raw else ()


def pack_lots(allocation: Sequence[Allocated]) -> bytes:
    """Return `LOT_BYTES` per lot, in burn order."""
    return b"".join(
        [
            _LOT.pack(
                lot & _LOW,
                lot >> 32,
                priority,
                expiry & _LOW,
                expiry >> 32,
                amount & _LOW,
                amount >> 32,
            )
            for lot, priority, expiry, amount in allocation
        ]
    )


def read_lots(raw: bytes) -> tuple[Allocated, ...]:
    """Return what `pack_lots` packed."""
    return tuple(
        [
            Allocated(
                lot | lot_up << 32, priority, expiry | expiry_up << 32, amount | amount_up << 32
            )
            for lot, lot_up, priority, expiry, expiry_up, amount, amount_up in _LOT.iter_unpack(raw)
        ]
    )
