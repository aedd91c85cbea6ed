"""
The journal's facts as bytes: what the Lua scripts write and posting reads.

A fact is its kind (one byte), the length of the rest (u16), the rest. Numbers are
little-endian; the layouts below are those of the scripts, which say the same in Lua.
"""

import struct
from collections.abc import Callable

from ledger.allocation import LOT_BYTES, pack_lots, read_lots
from ledger.errors import CorruptRecord
from ledger.facts import (
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
from ledger.limits import LOAN_BYTES, pack_loans, unpack_loans

_HEAD = struct.Struct("<cH")
_HOLD = struct.Struct("<12s7s7sB6sIH6s5sqB")
_SETTLE = struct.Struct("<12sc6sBH7sB5sq6sB")
_HOLD_PARTS = struct.Struct("<12sIHBIHBBIHIHIHIBqB")
_SETTLE_PARTS = struct.Struct("<12scIHBHIHBBIBqIHB")
"""The same two, to be read: there is one or the other of almost every request, and a number of five
to seven bytes is put together from parts in half the time that it takes from its bytes."""

_WHOLE = struct.Struct("<12sBH")
_LATE = struct.Struct("<12s7s7sB6s6sIHBH5sqB")
_EXPIRED = struct.Struct("<7sB5s6s5sq")
_CONTROL_FACT = struct.Struct("<7s27s5sqc6s6sB")
_OBSERVED = struct.Struct("<12s7s7sB6sIHH")
_CLAIM = struct.Struct("<12s7s16s16s")
_USE = struct.Struct("<12s7s7sBB")
_LOT_AMOUNT = struct.Struct("<5s6s")

HEAD_BYTES = _HEAD.size
HOLD_BYTES, SETTLE_BYTES, WHOLE_BYTES = _HOLD.size, _SETTLE.size, _WHOLE.size
"""Up to the lots or the detail, whichever comes first."""


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _u5(number: int) -> bytes:
    return number.to_bytes(5, "little")


def _u6(number: int) -> bytes:
    return number.to_bytes(6, "little")


def _u7(number: int) -> bytes:
    return number.to_bytes(7, "little")


def _read_allocation(raw: bytes, start: int, count: int) -> tuple[Allocated, ...]:
    part = raw[start : start + count * LOT_BYTES]
    if len(part) != count * LOT_BYTES:
        raise CorruptRecord("a fact ends inside its allocation")
    return read_lots(part)


def _pack_lots(lots: tuple[LotAmount, ...]) -> bytes:
    return b"".join(_LOT_AMOUNT.pack(_u5(lot), _u6(amount)) for lot, amount in lots)


def _read_lots(raw: bytes, start: int, count: int) -> tuple[LotAmount, ...]:
    part = raw[start : start + count * _LOT_AMOUNT.size]
    if len(part) != count * _LOT_AMOUNT.size:
        raise CorruptRecord("a fact ends inside its lots")
    return tuple(
        [LotAmount(_number(lot), _number(amount)) for lot, amount in _LOT_AMOUNT.iter_unpack(part)]
    )


def _read_hold(raw: bytes) -> HoldFact:
    (
        hold, account, account_mid, account_up, key, key_mid, key_up, credit_type, price, price_up,
        version, rule, deadline, deadline_up, aseq, aseq_up, balance, count,
    ) = _HOLD_PARTS.unpack_from(raw)  # fmt: skip
    return HoldFact(
        hold,
        account | account_mid << 32 | account_up << 48,
        key | key_mid << 32 | key_up << 48,
        credit_type,
        price | price_up << 32,
        version,
        rule,
        deadline | deadline_up << 32,
        aseq | aseq_up << 32,
        balance,
        _read_allocation(raw, _HOLD.size, count),
        raw[_HOLD.size + count * LOT_BYTES :],
    )


def _read_settle(raw: bytes) -> SettleFact:
    (
        hold, outcome, captured, captured_up, reason, status, account, account_mid, account_up,
        credit_type, aseq, aseq_up, balance, paid, paid_up, count,
    ) = _SETTLE_PARTS.unpack_from(raw)  # fmt: skip
    return SettleFact(
        hold,
        outcome.decode("latin-1"),
        captured | captured_up << 32,
        reason,
        status,
        account | account_mid << 32 | account_up << 48,
        credit_type,
        aseq | aseq_up << 32,
        balance,
        paid | paid_up << 32,
        _read_lots(raw, _SETTLE.size, count),
        raw[_SETTLE.size + count * _LOT_AMOUNT.size :],
    )


def _read_whole(raw: bytes) -> WholeCapture:
    hold, reason, status = _WHOLE.unpack_from(raw)
    return WholeCapture(hold, reason, status, raw[_WHOLE.size :])


def _read_late(raw: bytes) -> LateFact:
    (
        hold,
        account,
        key,
        credit_type,
        taken,
        written_off,
        version,
        rule,
        reason,
        status,
        aseq,
        balance,
        count,
    ) = _LATE.unpack_from(raw)
    return LateFact(
        hold,
        _number(account),
        _number(key),
        credit_type,
        _number(taken),
        _number(written_off),
        version,
        rule,
        reason,
        status,
        _number(aseq),
        balance,
        _read_allocation(raw, _LATE.size, count),
        raw[_LATE.size + count * LOT_BYTES :],
    )


def _read_expired(raw: bytes) -> LotExpired:
    account, credit_type, lot, amount, aseq, balance = _EXPIRED.unpack(raw)
    return LotExpired(
        _number(account), credit_type, _number(lot), _number(amount), _number(aseq), balance
    )


def _read_control(raw: bytes) -> ControlFact:
    account, control, aseq, balance, result, paid, added, count = _CONTROL_FACT.unpack_from(raw)
    return ControlFact(
        _number(account),
        Control.unpack(control),
        _number(aseq),
        balance,
        result.decode("latin-1"),
        _number(paid),
        _number(added),
        _read_lots(raw, _CONTROL_FACT.size, count),
    )


def _read_observed(raw: bytes) -> ObservedFact:
    hold, account, key, credit_type, amount, version, rule, status = _OBSERVED.unpack_from(raw)
    return ObservedFact(
        hold,
        _number(account),
        _number(key),
        credit_type,
        _number(amount),
        version,
        rule,
        status,
        raw[_OBSERVED.size :],
    )


def _read_use(raw: bytes) -> UseFact:
    hold, account, key, back, count = _USE.unpack_from(raw)
    loans = raw[_USE.size :]
    if len(loans) != count * LOAN_BYTES or back > 1:
        raise CorruptRecord("a fact ends inside its loans")
    return UseFact(hold, _number(account), _number(key), bool(back), tuple(unpack_loans(loans)))


def _read_claim(raw: bytes) -> ClaimFact:
    hold, account, key_hash, fingerprint = _CLAIM.unpack(raw)
    return ClaimFact(hold, _number(account), key_hash, fingerprint)


_READERS: dict[bytes, Callable[[bytes], Fact]] = {
    b"H": _read_hold,
    b"S": _read_settle,
    b"F": _read_whole,
    b"L": _read_late,
    b"E": _read_expired,
    b"C": _read_control,
    b"O": _read_observed,
    b"U": _read_use,
    b"I": _read_claim,
}


def pack_fact(fact: Fact) -> bytes:
    """Return the bytes of a fact, its three byte head included."""
    kind, rest = _body(fact)
    return _HEAD.pack(kind, len(rest)) + rest


def read_facts(raw: bytes) -> list[Fact]:
    """
    Return the facts that fill these bytes, in order; one that cannot be read is an UnreadableFact.

    Raises:
        CorruptRecord: The lengths do not add up, so that not even their number is known.
    """
    facts: list[Fact] = []
    at = 0
    while at < len(raw):
        end = end_of(raw, at)
        facts.append(read_fact(raw, at, end))
        at = end
    return facts


def count_facts(raw: bytes) -> int:
    """
    Count the facts that fill these bytes.

    Raises:
        CorruptRecord: As `read_facts`.
    """
    at = count = 0
    while at < len(raw):
        at = end_of(raw, at)
        count += 1
    return count


def end_of(raw: bytes, at: int) -> int:
    """
    Return where the fact ends that begins here.

    Raises:
        CorruptRecord: Behind the last of these bytes.
    """
    if at + HEAD_BYTES > len(raw):
        raise CorruptRecord("a fact ends inside its head")
    end = at + HEAD_BYTES + (raw[at + 1] | raw[at + 2] << 8)
    if end > len(raw):
        raise CorruptRecord("a fact is longer than its entry")
    return end


def read_fact(raw: bytes, at: int, end: int) -> Fact:
    """Return the fact between these places, or an UnreadableFact."""
    return _read_one(raw[at : at + 1], raw[at + HEAD_BYTES : end], raw[at:end])


def _read_one(kind: bytes, rest: bytes, whole: bytes) -> Fact:
    reader = _READERS.get(kind)
    if reader is None:
        return UnreadableFact(kind, whole)
    try:
        return reader(rest)
    except (CorruptRecord, struct.error):
        return UnreadableFact(kind, whole)


def _body(fact: Fact) -> tuple[bytes, bytes]:
    match fact:
        case HoldFact():
            head = _HOLD.pack(
                fact.hold_id,
                _u7(fact.account),
                _u7(fact.key),
                fact.credit_type,
                _u6(fact.price),
                fact.version,
                fact.rule,
                _u6(fact.deadline_ms),
                _u5(fact.aseq),
                fact.balance,
                len(fact.allocation),
            )
            return b"H", head + pack_lots(fact.allocation) + fact.detail
        case SettleFact():
            head = _SETTLE.pack(
                fact.hold_id,
                fact.outcome.encode(),
                _u6(fact.captured),
                fact.reason,
                fact.status,
                _u7(fact.account),
                fact.credit_type,
                _u5(fact.aseq),
                fact.balance,
                _u6(fact.debt_paid),
                len(fact.given_back),
            )
            return b"S", head + _pack_lots(fact.given_back) + fact.detail
        case WholeCapture():
            return b"F", _WHOLE.pack(fact.hold_id, fact.reason, fact.status) + fact.detail
        case LateFact():
            head = _LATE.pack(
                fact.hold_id,
                _u7(fact.account),
                _u7(fact.key),
                fact.credit_type,
                _u6(fact.taken),
                _u6(fact.written_off),
                fact.version,
                fact.rule,
                fact.reason,
                fact.status,
                _u5(fact.aseq),
                fact.balance,
                len(fact.allocation),
            )
            return b"L", head + pack_lots(fact.allocation) + fact.detail
        case LotExpired():
            return b"E", _EXPIRED.pack(
                _u7(fact.account),
                fact.credit_type,
                _u5(fact.lot),
                _u6(fact.amount),
                _u5(fact.aseq),
                fact.balance,
            )
        case ControlFact():
            head = _CONTROL_FACT.pack(
                _u7(fact.account),
                fact.control.pack(),
                _u5(fact.aseq),
                fact.balance,
                fact.result.encode(),
                _u6(fact.debt_paid),
                _u6(fact.debt_added),
                len(fact.taken),
            )
            return b"C", head + _pack_lots(fact.taken)
        case ObservedFact():
            head = _OBSERVED.pack(
                fact.hold_id,
                _u7(fact.account),
                _u7(fact.key),
                fact.credit_type,
                _u6(fact.amount),
                fact.version,
                fact.rule,
                fact.status,
            )
            return b"O", head + fact.detail
        case UseFact():
            head = _USE.pack(
                fact.hold_id, _u7(fact.account), _u7(fact.key), fact.back, len(fact.uses)
            )
            return b"U", head + pack_loans(fact.uses)
        case ClaimFact():
            return b"I", _CLAIM.pack(
                fact.hold_id, _u7(fact.account), fact.key_hash, fact.fingerprint
            )
        case UnreadableFact():
            return fact.kind, fact.raw[_HEAD.size :]
