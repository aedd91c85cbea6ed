"""
Accounts as Redis keeps them: a status, pools of credit, lots in burn order.

The layout is that of `ledger/lua/parts/account.lua`. Reading refuses bytes that do not add up
(CorruptRecord), packing refuses numbers that do not fit (struct.error or OverflowError): both
before anything is stored.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from ledger.errors import CorruptRecord
from ledger.numbers import number_in, unsigned

ACTIVE = 1
FROZEN = 2
LIVE_LOTS = 32  # more wait in Postgres until one of these is empty
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
        parts = [_ACCOUNT.pack(status, self.cseq, unsigned(self.aseq, 5), len(self.pools))]
        if self.plan:
            parts.append(_PLAN.pack(self.plan))
        for pool in self.pools:
            lots = sorted(pool.lots, key=lambda lot: lot.burn_order)
            parts.append(
                _POOL.pack(pool.credit_type, unsigned(pool.debt, 6), pool.floor, len(lots))
            )
            parts.extend(_pack_lot(lot) for lot in lots)
            limited += [_REACH.pack(unsigned(lot.lot, 5), lot.reach) for lot in lots if lot.reach]
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
            unsigned(sum(lot.remaining for lot in left[1:]), 6),
            unsigned(min(lot.expiry_ms for lot in left), 6),
            unsigned(current.lot, 5),
            current.priority,
            unsigned(current.expiry_ms, 6),
            unsigned(self.aseq, 5),
            unsigned(current.remaining, 6),
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
                pools.append(Pool(credit_type, number_in(debt), floor, _read_lots(part)))
            if at != len(raw):
                pools = _with_reaches(pools, raw[at:])
        except struct.error as error:
            raise CorruptRecord(f"account: {error}") from error
        return cls(status & ~_ON_A_PLAN, cseq, number_in(aseq), tuple(pools), plan)

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
        if len(lots) != count or before >= count or lots[before].lot != number_in(lot):
            raise CorruptRecord("account: other lots than it says")
        lots[before] = lots[before]._replace(remaining=number_in(remaining))
        pool = Pool(credit_type, 0, 0, tuple(lots))
        if pool.balance != number_in(rest) + number_in(remaining):
            raise CorruptRecord("account: more or less in its lots than it says")
        if any(lot.remaining and lot.expiry_ms < number_in(soonest) for lot in lots):
            raise CorruptRecord("account: a lot that expires sooner than it says")
        return cls(status, cseq, number_in(aseq), (pool,))


def account_field(account: int) -> bytes:
    """Return the field of an account in the `b` hash."""
    return b"a" + unsigned(account, 7)


def _with_reaches(pools: list[Pool], raw: bytes) -> list[Pool]:
    """Give lots the reaches that stand behind an account's pools."""
    if len(raw) < _REACHES.size:
        raise CorruptRecord("account: another length than it says")
    mark, count = _REACHES.unpack_from(raw)
    entries = raw[_REACHES.size :]
    if mark != b"R" or not count or len(entries) != count * _REACH.size:
        raise CorruptRecord("account: another length than it says")
    reaches = {number_in(lot): reach for lot, reach in _REACH.iter_unpack(entries)}
    if len(reaches) != count or not reaches.keys() <= {lot.lot for p in pools for lot in p.lots}:
        raise CorruptRecord("account: the reach of a lot that it does not have")
    return [
        pool._replace(lots=tuple(lot._replace(reach=reaches.get(lot.lot, 0)) for lot in pool.lots))
        for pool in pools
    ]


def _pack_lot(lot: Lot) -> bytes:
    return _LOT.pack(
        unsigned(lot.lot, 5), lot.priority, unsigned(lot.expiry_ms, 6), unsigned(lot.remaining, 6)
    )


def _read_lots(raw: bytes) -> tuple[Lot, ...]:
    return tuple(
        Lot(number_in(lot), priority, number_in(expiry), number_in(remaining))
        for lot, priority, expiry, remaining in _LOT.iter_unpack(raw)
    )
