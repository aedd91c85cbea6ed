"""
What posting works on: rows of Postgres as values, changed by the fold and written back.

Only `Books` and its rows; what a fact does to them is in `ledger.fold`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from ledger.facts import Allocated, Control, Fact
from ledger.limits import Loan


class ChargeState(IntEnum):
    """Where a charge stands; the numbers are stored."""

    OPEN = 1
    CAPTURED = 2
    VOID = 3
    EXPIRED = 4
    LATE = 5
    OBSERVED = 6

    @property
    def word(self) -> str:
        """The word shown outside."""
        return self.name.lower()


@dataclass(slots=True)
class AccountBook:
    """An account: its last fact and its last control."""

    id: int
    status: int
    aseq: int
    cseq_applied: int
    cseq_head: int
    changed: bool = False

    def follow(self, aseq: int) -> None:
        """Go on to this fact."""
        self.aseq = aseq
        self.changed = True


@dataclass(slots=True)
class PoolBook:
    """
    A pool and its lifetime totals.

    granted + refunded = captured + remaining + held + expired + clawed - debt, always.
    """

    account_id: int
    credit_type_id: int
    remaining: int = 0
    held: int = 0
    debt: int = 0
    granted: int = 0
    refunded: int = 0
    captured: int = 0
    expired: int = 0
    clawed: int = 0
    written_off: int = 0
    changed: bool = False
    new: bool = False

    @property
    def balance(self) -> int:
        """What a fact must say its balance is."""
        return self.remaining - self.debt


@dataclass(slots=True)
class GrantBook:
    """A grant; while it is live, a lot."""

    id: int
    account_id: int
    credit_type_id: int
    kind: str
    amount: int
    remaining: int
    held: int
    clawed: int
    expired: int
    state: str
    changed: bool = False

    def rest(self) -> None:
        """Bring the state in line with what is left, after an amount has moved."""
        self.changed = True
        if self.remaining or self.held:
            self.state = "live"
        elif self.expired:
            self.state = "expired"
        elif self.clawed:
            self.state = "clawed"
        else:
            self.state = "spent"


@dataclass(slots=True)
class ChargeBook:
    """A charge's row; `new` ones are to be inserted, others that `changed` updated."""

    id: bytes
    account_id: int | None
    key_id: int | None
    credit_type_id: int
    held: int
    state: ChargeState
    price_version: int
    rule: int
    opened_epoch: int
    opened_q: int
    opened_aseq: int | None = None
    captured: int = 0
    balance_after: int | None = None
    closed_epoch: int | None = None
    closed_q: int | None = None
    closed_aseq: int | None = None
    closed_ms: int | None = None
    deadline_ms: int | None = None
    reason: int | None = None
    status: int | None = None
    written_off: int | None = None
    allocation: tuple[Allocated, ...] = ()
    units: list[int] | None = None
    measured: list[int | None] | None = None
    record: dict[str, str | int | bool] | None = None
    uncollected: int | None = None
    duration_ms: int | None = None
    note: str | None = None
    plan: str | None = None
    new: bool = False
    changed: bool = False


UseKey: TypeAlias = tuple[str, int, bytes, bytes]
"""Which limit of whom: whose, owner, route, id of the limit; a row of `limit_uses`."""


@dataclass(slots=True)
class UseBook:
    """How far a quota, an allowance or a key's cap is used in its newest window."""

    whose: str
    owner: int
    route: bytes
    limit_id: bytes
    window_number: int
    used: int
    account_id: int
    changed: bool = False


class ClaimBook(NamedTuple):
    """Which charge has an Idempotency-Key; a row of `claims`."""

    account_id: int
    key_hash: bytes
    fingerprint: bytes
    charge_id: bytes
    claimed_ms: int


class Movement(NamedTuple):
    """A change of a balance that is no charge; one row of `movements`."""

    account_id: int
    aseq: int
    id: bytes
    credit_type_id: int
    kind: str
    amount: int
    balance_after: int
    cseq: int | None
    grant_id: int | None
    epoch: int
    q: int
    at_ms: int


class Overtaken(NamedTuple):
    """How a charge had expired that was collected after all; a row of `overtaken_endings`."""

    charge_id: bytes
    account_id: int
    epoch: int
    q: int
    aseq: int
    balance_after: int


class DeadFact(NamedTuple):
    """A fact that broke a rule, and which."""

    q: int
    account_id: int | None
    fact: Fact
    why: str


class Line(NamedTuple):
    """An account of the double entry: its credit type, book, and route (revenue only)."""

    credit_type_id: int
    book: str
    route: str = ""


_line = lru_cache(maxsize=1_024)(Line)
"""A batch has few different lines, and adds to them thousands of times."""


class AppliedControl(NamedTuple):
    """A row of `controls`: what was ordered, and how history names a clawback."""

    control: Control
    entry_kind: str | None


@dataclass(slots=True)
class Books:
    """
    The locked rows that a batch of facts touches, and what comes of them.

    final: Charges that have ended in a way that no later fact changes, and are not written yet.
    applied: Account and number of the controls that were applied.
    lent: What holds of this batch have used of limits, and may give back.
    """

    credit_types: frozenset[int] = frozenset()
    accounts: dict[int, AccountBook] = field(default_factory=dict)
    pools: dict[tuple[int, int], PoolBook] = field(default_factory=dict)
    grants: dict[int, GrantBook] = field(default_factory=dict)
    charges: dict[bytes, ChargeBook] = field(default_factory=dict)
    controls: dict[tuple[int, int], AppliedControl] = field(default_factory=dict)
    routes: dict[tuple[int, int], str] = field(default_factory=dict)
    uses: dict[UseKey, UseBook] = field(default_factory=dict)
    lent: dict[bytes, tuple[Loan, ...]] = field(default_factory=dict)
    claims: dict[tuple[int, bytes], ClaimBook] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    overtaken: list[Overtaken] = field(default_factory=list)
    dead: list[DeadFact] = field(default_factory=list)
    quarantined: set[int] = field(default_factory=set)
    applied: list[tuple[int, int]] = field(default_factory=list)
    closed: list[bytes] = field(default_factory=list)
    final: list[ChargeBook] = field(default_factory=list)
    lines: defaultdict[Line, int] = field(default_factory=lambda: defaultdict(int))

    def book(self, credit_type_id: int, *, route: str = "", **amounts: int) -> None:
        """Add amounts that sum to zero to books of one credit type; `route` is of revenue."""
        for book, amount in amounts.items():
            if amount:
                named = route if book == "revenue" else ""
                self.lines[_line(credit_type_id, book, named)] += amount

    def charge_lots(self) -> Iterable[int]:
        """Yield the lots that loaded charges were held from."""
        for charge in self.charges.values():
            for allocated in charge.allocation:
                yield allocated.lot
