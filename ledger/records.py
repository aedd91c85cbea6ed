"""
What Redis keeps, as values: meta, accounts, keys, sessions, holds and journal entries.

The layouts are those of `ledger/lua`; numbers are little-endian. Reading refuses bytes
that do not add up (CorruptRecord), packing refuses numbers that do not fit (struct.error
or OverflowError): both before anything is stored. The facts are in `ledger.facts`.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import NamedTuple

from ledger.errors import CorruptRecord
from ledger.fact_bytes import count_facts, pack_fact, read_facts
from ledger.facts import (
    MAX_AMOUNT,
    NEVER,
    Allocated,
    ClaimFact,
    Control,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotAmount,
    LotExpired,
    ObservedFact,
    SettleFact,
    UnreadableFact,
    UseFact,
    WholeCapture,
)
from ledger.limits import LOAN_BYTES

__all__ = [
    "ACTIVE",
    "FIRST_CHAIN",
    "FROZEN",
    "LIVE_LOTS",
    "MAX_AMOUNT",
    "NEVER",
    "REVOKED",
    "AccountRecord",
    "Allocated",
    "ClaimFact",
    "ClosedHold",
    "Control",
    "ControlFact",
    "Entry",
    "Fact",
    "HoldFact",
    "KeyRecord",
    "LateFact",
    "Lot",
    "LotAmount",
    "LotExpired",
    "Meta",
    "ObservedFact",
    "Pool",
    "SessionRecord",
    "SettleFact",
    "TypeMeta",
    "TypeTotals",
    "UnreadableFact",
    "UseFact",
    "WholeCapture",
    "account_field",
    "key_field",
    "pack_entry",
    "pack_fact",
    "read_entry",
    "read_hold",
    "session_field",
]

ACTIVE = 1
FROZEN = 2
REVOKED = 2
LIVE_LOTS = 32  # more wait in Postgres until one of these is empty
FIRST_CHAIN = "0" * 16

_META = struct.Struct("<ddddddB16sB")
_META_TYPE = struct.Struct("<Bdddd")
_ACCOUNT = struct.Struct("<BI5sB")
_ON_A_PLAN = 128  # beside the status: the plan's number follows
_PLAIN = 64  # the same: its end is all that a plain hold reads and changes, see parts/account.lua
_PLAIN_END = 192  # beside the status in the last byte of such a record, of no other
_END = struct.Struct("<IBBB6s6s5sB6s5s6sB")
_PLAN = struct.Struct("<I")
_POOL = struct.Struct("<B6sqB")
_LOT = struct.Struct("<5sB6s6s")
_REACHES = struct.Struct("<cH")
_REACH = struct.Struct("<5sH")
_KEY = struct.Struct("<B7sB6sd")
_SESSION = struct.Struct("<dd")
_CLOSED = struct.Struct("<cc6s")
_CHAINS = 32
_FACT_HEAD = 3
_ENTRY = struct.Struct("<dIHB")
_ENTRY_TYPE = struct.Struct("<Bdd")


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


class Lot(NamedTuple):
    """A grant with something left, or left lately. reach: where it may be used; 0: everywhere."""

    lot: int
    priority: int
    expiry_ms: int
    remaining: int
    reach: int = 0

    @property
    def burn_order(self) -> tuple[int, int, bool, int]:
        """Lots are used up from the smallest of these on."""
        return (self.priority, self.expiry_ms, self.reach == 0, self.lot)


class Pool(NamedTuple):
    """An account's credits of one type. Lots are in burn order."""

    credit_type: int
    debt: int
    floor: int
    lots: tuple[Lot, ...]

    @property
    def balance(self) -> int:
        """All that remains, minus the debt."""
        return sum(lot.remaining for lot in self.lots) - self.debt


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """
    An account as the scripts see it.

    status: ACTIVE or FROZEN. cseq: last control. plan: number of what it is on, 0 for nothing.
    """

    status: int
    cseq: int
    aseq: int
    pools: tuple[Pool, ...]
    plan: int = 0

    def pack(self) -> bytes:
        """Return the bytes for field `account_field(...)`; sorts the lots into burn order."""
        if (plain := self._plain()) is not None:
            return plain
        limited = []
        status = self.status | _ON_A_PLAN if self.plan else self.status
        parts = [_ACCOUNT.pack(status, self.cseq, _u(self.aseq, 5), len(self.pools))]
        if self.plan:
            parts.append(_PLAN.pack(self.plan))
        for pool in self.pools:
            lots = sorted(pool.lots, key=lambda lot: lot.burn_order)
            parts.append(_POOL.pack(pool.credit_type, _u(pool.debt, 6), pool.floor, len(lots)))
            parts.extend(_pack_lot(lot) for lot in lots)
            limited += [_REACH.pack(_u(lot.lot, 5), lot.reach) for lot in lots if lot.reach]
        if limited:
            parts += [_REACHES.pack(b"R", len(limited)), *limited]
        return b"".join(parts)

    def _plain(self) -> bytes | None:
        """Return the bytes of a plain account, nearly every one; None of any other."""
        if self.plan or len(self.pools) != 1 or self.pools[0].debt or self.pools[0].floor:
            return None
        lots = sorted(self.pools[0].lots, key=lambda lot: lot.burn_order)
        left = [lot for lot in lots if lot.remaining]
        if not left or any(lot.reach for lot in lots):
            return None
        current = left[0]
        end = _END.pack(
            self.cseq,
            lots.index(current),
            self.pools[0].credit_type,
            len(lots),
            _u(sum(lot.remaining for lot in left[1:]), 6),
            _u(min(lot.expiry_ms for lot in left), 6),
            _u(current.lot, 5),
            current.priority,
            _u(current.expiry_ms, 6),
            _u(self.aseq, 5),
            _u(current.remaining, 6),
            self.status | _PLAIN_END,
        )
        return bytes([self.status | _PLAIN]) + b"".join(_pack_lot(lot) for lot in lots) + end

    @classmethod
    def unpack(cls, raw: bytes) -> "AccountRecord":
        """Read an account."""
        if raw and raw[0] & (_ON_A_PLAN | _PLAIN) == _PLAIN:
            return cls._read_plain(raw)
        try:
            status, cseq, aseq, count = _ACCOUNT.unpack_from(raw)
            at = _ACCOUNT.size
            pools: list[Pool] = []
            plan = 0
            if status & _ON_A_PLAN:
                (plan,) = _PLAN.unpack_from(raw, at)
                at += _PLAN.size
            for _ in range(count):
                credit_type, debt, floor, lots = _POOL.unpack_from(raw, at)
                at += _POOL.size
                part = raw[at : at + lots * _LOT.size]
                at += lots * _LOT.size
                pools.append(Pool(credit_type, _n(debt), floor, _read_lots(part)))
            if at != len(raw):
                pools = _with_reaches(pools, raw[at:])
        except struct.error as error:
            raise CorruptRecord(f"account: {error}") from error
        return cls(status & ~_ON_A_PLAN, cseq, _n(aseq), tuple(pools), plan)

    @classmethod
    def _read_plain(cls, raw: bytes) -> "AccountRecord":
        try:
            cseq, before, credit_type, count, rest, soonest, lot, _, _, aseq, remaining, last = (
                _END.unpack(raw[-_END.size :])
            )
            lots = list(_read_lots(raw[1 : -_END.size]))
        except struct.error as error:
            raise CorruptRecord(f"account: {error}") from error
        status = last & ~_PLAIN_END
        if raw[0] != status | _PLAIN or last != status | _PLAIN_END:
            raise CorruptRecord("account: another status at its end")
        if len(lots) != count or before >= count or lots[before].lot != _n(lot):
            raise CorruptRecord("account: other lots than it says")
        lots[before] = lots[before]._replace(remaining=_n(remaining))
        pool = Pool(credit_type, 0, 0, tuple(lots))
        if pool.balance != _n(rest) + _n(remaining):
            raise CorruptRecord("account: more or less in its lots than it says")
        if any(lot.remaining and lot.expiry_ms < _n(soonest) for lot in lots):
            raise CorruptRecord("account: a lot that expires sooner than it says")
        return cls(status, cseq, _n(aseq), (pool,))


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
            self.status, _u(self.account, 7), self.scopes, _u(self.expiry_ms, 6), self.tat_us
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "KeyRecord":
        """Read a key."""
        try:
            status, account, scopes, expiry, tat = _KEY.unpack(raw)
            return cls(status, _n(account), scopes, _n(expiry), int(tat))
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
        return ClosedHold(outcome.decode("latin-1"), _n(captured))
    end = _FACT_HEAD + int.from_bytes(raw[1:_FACT_HEAD], "little")
    facts = read_facts(raw[:end])
    if len(facts) == 1 and isinstance(facts[0], HoldFact) and not (len(raw) - end) % LOAN_BYTES:
        return facts[0]
    raise CorruptRecord("hold: neither an open hold nor a closed mark")


class TypeTotals(NamedTuple):
    """One credit type's units ever held and returned, after the entry."""

    credit_type: int
    held: int
    returned: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What one script call wrote: facts first_q to last_q, chained to the entry before."""

    epoch: int
    first_q: int
    last_q: int
    chain: str
    previous: str
    clock_ms: int
    session: int
    types: tuple[TypeTotals, ...]
    body: bytes
    """Its facts as they stand in the journal; of lengths that add up."""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts as values, read now; posting reads them in another way (`brief_facts`)."""
        return tuple(read_facts(self.body))

    @property
    def fact_count(self) -> int:
        """How many they are."""
        return self.last_q - self.first_q + 1


def read_entry(entry_id: str | bytes, raw: bytes) -> Entry:
    """
    Read one stream entry: its id (`epoch-q`) and the bytes of its field `f`.

    Raises:
        CorruptRecord: The bytes do not add up, or do not give the chain they claim.
    """
    text = entry_id if isinstance(entry_id, str) else entry_id.decode("ascii")
    try:
        epoch, last_q = (int(part) for part in text.split("-"))
        chain, previous = raw[:16].decode("ascii"), raw[16:_CHAINS].decode("ascii")
        clock, session, count, types = _ENTRY.unpack_from(raw, _CHAINS)
        start = _CHAINS + _ENTRY.size
        end = start + types * _ENTRY_TYPE.size
        totals = tuple(
            TypeTotals(number, int(held), int(returned))
            for number, held, returned in _ENTRY_TYPE.iter_unpack(raw[start:end])
        )
    except (struct.error, ValueError, OverflowError) as error:
        raise CorruptRecord(f"entry {text}: {error}") from error
    body = raw[end:]
    if count_facts(body) != count or len(totals) != types or count == 0:
        raise CorruptRecord(f"entry {text}: another number of facts or types than it says")
    if _chain(raw[16:]) != chain:
        raise CorruptRecord(f"entry {text}: its chain is not that of its bytes")
    return Entry(
        epoch, last_q - count + 1, last_q, chain, previous, int(clock), session, totals, body
    )


def pack_entry(entry: Entry) -> bytes:
    """Return the bytes of field `f`, with the chain they give (the entry's own is ignored)."""
    rest = b"".join(
        [
            entry.previous.encode(),
            _ENTRY.pack(entry.clock_ms, entry.session, entry.fact_count, len(entry.types)),
            *(_ENTRY_TYPE.pack(*totals) for totals in entry.types),
            entry.body,
        ]
    )
    return _chain(rest).encode() + rest


def _with_reaches(pools: list[Pool], raw: bytes) -> list[Pool]:
    """Give lots the reaches that stand behind an account's pools."""
    if len(raw) < _REACHES.size:
        raise CorruptRecord("account: another length than it says")
    mark, count = _REACHES.unpack_from(raw)
    entries = raw[_REACHES.size :]
    if mark != b"R" or not count or len(entries) != count * _REACH.size:
        raise CorruptRecord("account: another length than it says")
    reaches = {_n(lot): reach for lot, reach in _REACH.iter_unpack(entries)}
    if len(reaches) != count or not reaches.keys() <= {lot.lot for p in pools for lot in p.lots}:
        raise CorruptRecord("account: the reach of a lot that it does not have")
    return [
        pool._replace(lots=tuple(lot._replace(reach=reaches.get(lot.lot, 0)) for lot in pool.lots))
        for pool in pools
    ]


def account_field(account: int) -> bytes:
    """Return the field of an account in the `b` hash."""
    return b"a" + _u(account, 7)


def key_field(key: int) -> bytes:
    """Return the field of a key in the `b` hash."""
    return b"k" + _u(key, 7)


def session_field(session: int) -> bytes:
    """Return the field of a session in the `b` hash."""
    return b"s" + _u(session, 4)


def _pack_lot(lot: Lot) -> bytes:
    return _LOT.pack(_u(lot.lot, 5), lot.priority, _u(lot.expiry_ms, 6), _u(lot.remaining, 6))


def _read_lots(raw: bytes) -> tuple[Lot, ...]:
    return tuple(
        Lot(_n(lot), priority, _n(expiry), _n(remaining))
        for lot, priority, expiry, remaining in _LOT.iter_unpack(raw)
    )


def _chain(rest: bytes) -> str:
    return hashlib.sha1(rest, usedforsecurity=False).hexdigest()[:16]


def _u(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def _n(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
