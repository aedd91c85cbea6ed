"""
What else Redis keeps, as values: the shard's state, keys, sessions, and what became of holds.

The layouts are those of `ledger/lua`; numbers are little-endian. Reading refuses bytes
that do not add up (CorruptRecord), packing refuses numbers that do not fit (struct.error
or OverflowError): both before anything is stored.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from ledger.errors import CorruptRecord
from ledger.fact_bytes import read_facts
from ledger.facts import NEVER, HoldFact
from ledger.limits import LOAN_BYTES
from ledger.numbers import number_in, unsigned

REVOKED = 2
_META = struct.Struct("<ddddddB16sB")
_META_TYPE = struct.Struct("<Bdddd")
_KEY = struct.Struct("<B7sB6sd")
_SESSION = struct.Struct("<dd")
_CLOSED = struct.Struct("<cc6s")
_FACT_HEAD = 3


class TypeMeta(NamedTuple):
    """One credit type's window: units ever held, returned, returned and posted, and its cap."""

    credit_type: int
    held: int
    returned: int
    posted: int
    window: int


@dataclass(frozen=True, slots=True)
class Meta:
    """The shard's state: where its journal stands and how much of the window is used."""

    epoch: int
    q: int
    posted_q: int
    journal_cap: int
    clock_ms: int
    open_holds: int
    frozen: bool
    chain: str
    types: tuple[TypeMeta, ...]

    @classmethod
    def unpack(cls, raw: bytes) -> "Meta":
        """Read the `m` key."""
        try:
            epoch, q, kq, cap, clock, opened, frozen, chain, count = _META.unpack_from(raw)
            types = tuple(
                TypeMeta(number, int(held), int(returned), int(posted), int(window))
                for number, held, returned, posted, window in _META_TYPE.iter_unpack(
                    raw[_META.size :]
                )
            )
            meta = cls(
                int(epoch),
                int(q),
                int(kq),
                int(cap),
                int(clock),
                int(opened),
                bool(frozen),
                chain.decode("ascii"),
                types,
            )
        except (struct.error, ValueError, OverflowError) as error:
            raise CorruptRecord(f"meta: {error}") from error
        if len(types) != count:
            raise CorruptRecord("meta: another number of credit types than it says")
        return meta


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key. scopes: bit 1 call, 2 manage, 4 it has caps. tat_us: its rate limit's state."""

    status: int
    account: int
    scopes: int
    expiry_ms: int = NEVER
    tat_us: int = 0

    def pack(self) -> bytes:
        """Return the 23 bytes for field `key_field(...)`."""
        return _KEY.pack(
            self.status,
            unsigned(self.account, 7),
            self.scopes,
            unsigned(self.expiry_ms, 6),
            self.tat_us,
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "KeyRecord":
        """Read a key."""
        try:
            status, account, scopes, expiry, tat = _KEY.unpack(raw)
            return cls(status, number_in(account), scopes, number_in(expiry), int(tat))
        except (struct.error, ValueError, OverflowError) as error:
            raise CorruptRecord(f"key: {error}") from error


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A connection's session: its highest n and when it was last used."""

    highest: int
    used_ms: int

    @classmethod
    def unpack(cls, raw: bytes) -> "SessionRecord":
        """Read a session."""
        try:
            highest, used = _SESSION.unpack(raw)
            return cls(int(highest), int(used))
        except (struct.error, ValueError, OverflowError) as error:
            raise CorruptRecord(f"session: {error}") from error


class ClosedHold(NamedTuple):
    """The mark of a hold that ended (c, v, x, or l for late) and may not be posted yet."""

    outcome: str
    captured: int


def read_hold(raw: bytes) -> HoldFact | ClosedHold:
    """Read a value of the `h` key: an open hold's fact (its loans: `ledger.limits`), or a mark."""
    if raw[:1] == b"D" and len(raw) == _CLOSED.size:
        _, outcome, captured = _CLOSED.unpack(raw)
        return ClosedHold(outcome.decode("latin-1"), number_in(captured))
    end = _FACT_HEAD + int.from_bytes(raw[1:_FACT_HEAD], "little")
    facts = read_facts(raw[:end])
    if len(facts) == 1 and isinstance(facts[0], HoldFact) and not (len(raw) - end) % LOAN_BYTES:
        return facts[0]
    raise CorruptRecord("hold: neither an open hold nor a closed mark")


def key_field(key: int) -> bytes:
    """Return the field of a key in the `b` hash."""
    return b"k" + unsigned(key, 7)


def session_field(session: int) -> bytes:
    """Return the field of a session in the `b` hash."""
    return b"s" + unsigned(session, 4)
