"""
The facts of the journal: what the scripts wrote, as values.

Every balance, in Redis and in Postgres, is the fold of these. Amounts are smallest units
of the credit type. `balance` is the sum of what remains in all lots of the pool, due or
not, minus its debt, after the fact (a control that touches no pool says 0). `aseq` rises
by one with every fact of an account that names one. Times are milliseconds since 1970;
`NEVER` stands for no end.

How they look as bytes is in `ledger.fact_bytes`. Nobody changes a fact; the three that come with
every request are not frozen, because making them would take three times as long.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ledger.limits import Loan

NEVER = 2**48 - 1
MAX_AMOUNT = 9 * 10**13
MAX_DETAIL_BYTES = 1024
CONTROL_BYTES = 27
LOT_BITS = 40
"""Of a grant's number in a control; its reach stands above them."""

_CONTROL = struct.Struct("<cIB7s6sB6sB")


class Allocated(NamedTuple):
    """So much of a hold came from this lot, which stood here in the burn order."""

    lot: int
    priority: int
    expiry_ms: int
    amount: int


class LotAmount(NamedTuple):
    """So much went back to, or was taken from, this lot."""

    lot: int
    amount: int


@dataclass(frozen=True, slots=True)
class Control:
    """
    A numbered change that Postgres orders Redis to make.

    kind: g grant, e enter (a queued or scheduled grant gets its lot), w clawback, f freeze
    (flags 1) or thaw (0), k key put (flags are its scopes, amount 1 active or 2 revoked), c cap of
    a key (amount, in window `priority`; flags 1 set, 0 lifted), s what a key has spent (amount, in
    window `priority`, which ends at `expiry_ms`), p plan of the account.
    object_id: the grant, key or plan; 0 where there is none.
    reach: of a grant that is limited to some routes, see `ledger.reaches`; 0: it is not.
    """

    kind: str
    cseq: int
    credit_type: int = 0
    object_id: int = 0
    amount: int = 0
    priority: int = 0
    expiry_ms: int = NEVER
    flags: int = 0
    reach: int = 0

    def pack(self) -> bytes:
        """Return the 27 bytes that the scripts read and the fact repeats."""
        return _CONTROL.pack(
            self.kind.encode(),
            self.cseq,
            self.credit_type,
            (self.object_id | self.reach << LOT_BITS).to_bytes(7, "little"),
            self.amount.to_bytes(6, "little"),
            self.priority,
            self.expiry_ms.to_bytes(6, "little"),
            self.flags,
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "Control":
        """Return the control in 27 bytes."""
        kind, cseq, credit_type, place, amount, priority, expiry, flags = _CONTROL.unpack(raw)
        object_id, reach = int.from_bytes(place, "little"), 0
        if kind in b"ge":
            object_id, reach = object_id % (1 << LOT_BITS), object_id >> LOT_BITS
        return cls(
            kind=kind.decode("latin-1"),
            cseq=cseq,
            credit_type=credit_type,
            object_id=object_id,
            amount=int.from_bytes(amount, "little"),
            priority=priority,
            expiry_ms=int.from_bytes(expiry, "little"),
            flags=flags,
            reach=reach,
        )


@dataclass(slots=True)
class HoldFact:
    """`price` units were reserved from the lots of the allocation, in burn order."""

    hold_id: bytes
    account: int
    key: int
    credit_type: int
    price: int
    version: int
    rule: int
    deadline_ms: int
    aseq: int
    balance: int
    allocation: tuple[Allocated, ...]
    detail: bytes = b""


@dataclass(slots=True)
class SettleFact:
    """A hold ended (outcome c captured, v void, x expired) and gave some of itself back."""

    hold_id: bytes
    outcome: str
    captured: int
    reason: int
    status: int
    account: int
    credit_type: int
    aseq: int
    balance: int
    debt_paid: int
    given_back: tuple[LotAmount, ...]
    detail: bytes = b""


@dataclass(slots=True)
class WholeCapture:
    """A hold was captured to the last unit; no balance moved, so there is no aseq."""

    hold_id: bytes
    reason: int
    status: int
    detail: bytes = b""


@dataclass(frozen=True, slots=True)
class LateFact:
    """Work whose hold was gone was booked: `taken` from lots, the rest written off."""

    hold_id: bytes
    account: int
    key: int
    credit_type: int
    taken: int
    written_off: int
    version: int
    rule: int
    reason: int
    status: int
    aseq: int
    balance: int
    allocation: tuple[Allocated, ...]
    detail: bytes = b""


@dataclass(frozen=True, slots=True)
class LotExpired:
    """What was left in a lot when its time came."""

    account: int
    credit_type: int
    lot: int
    amount: int
    aseq: int
    balance: int


@dataclass(frozen=True, slots=True)
class ControlFact:
    """A control was applied (result a), or its grant waits for a free lot (result q)."""

    account: int
    control: Control
    aseq: int
    balance: int
    result: str
    debt_paid: int = 0
    debt_added: int = 0
    taken: tuple[LotAmount, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedFact:
    """A request priced but not charged; account and key are 0 where unknown. May repeat."""

    hold_id: bytes
    account: int
    key: int
    credit_type: int
    amount: int
    version: int
    rule: int
    status: int
    detail: bytes = b""


@dataclass(frozen=True, slots=True)
class UseFact:
    """What a hold used of quotas, allowances and its key's caps, or gave back of them."""

    hold_id: bytes
    account: int
    key: int
    back: bool
    uses: tuple[Loan, ...]


@dataclass(frozen=True, slots=True)
class ClaimFact:
    """An Idempotency-Key of the account belongs to this hold from here on; see `ledger.claims`."""

    hold_id: bytes
    account: int
    key_hash: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class UnreadableFact:
    """Bytes of no kind known here; kept whole so that nothing is lost."""

    kind: bytes
    raw: bytes


Fact: TypeAlias = (
    HoldFact
    | SettleFact
    | WholeCapture
    | LateFact
    | LotExpired
    | ControlFact
    | ObservedFact
    | UseFact
    | ClaimFact
    | UnreadableFact
)
