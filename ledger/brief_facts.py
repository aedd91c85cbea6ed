"""
Facts as posting reads them: those of usual charges as plain tuples, all others as facts.

Nearly every charge is a hold of one lot, and its settlement that gives a part back to this lot, or
its capture as a whole. Their facts are read in one go, by layouts that have the one lot in them,
and stay tuples: a fact as a value, with a value for each lot, would take four times as long.
A tuple is no less than the fact: `whole_fact` gives that.
"""

import struct
from typing import Any, NamedTuple, TypeAlias

from ledger.allocation import LOT_BYTES, read_lots
from ledger.fact_bytes import HEAD_BYTES, HOLD_BYTES, SETTLE_BYTES, WHOLE_BYTES, read_fact
from ledger.facts import Fact, HoldFact, LotAmount, SettleFact, WholeCapture
from ledger.journal_entry import Entry

HOLD, SETTLE, WHOLE = b"HSF"

Brief: TypeAlias = tuple[Any, ...]
"""
Its kind first, then

HOLD: hold id, account, key, credit type, price, version, rule, deadline, aseq, balance, the lot's
number, the allocation as `charges` keeps it, detail. The whole price was taken from the lot.
SETTLE: hold id, outcome, captured, reason, status, account, credit type, aseq, balance, the lot's
number, what it got back, detail. No debt was paid.
WHOLE: hold id, reason, status, detail.
"""

_HOLD = struct.Struct("<3x12sIHBIHBBIHIHIHIBqxIB7xIH")
_SETTLE = struct.Struct("<3x12scIHBHIHBBIBqIHxIBIH")
_WHOLE = struct.Struct("<3x12sBH")
"""Numbers of five to seven bytes stand in parts: that takes half the time of reading their bytes.
The lots are counted in the byte before the first."""

_LOTS_OF_HOLD = HEAD_BYTES + HOLD_BYTES
_END_OF_HOLD = _LOTS_OF_HOLD + LOT_BYTES
_LOTS_OF_SETTLE = HEAD_BYTES + SETTLE_BYTES
_END_OF_SETTLE = _SETTLE.size
_END_OF_WHOLE = HEAD_BYTES + WHOLE_BYTES


class BriefEntry(NamedTuple):
    """An entry of the journal, read for posting."""

    entry: Entry
    facts: list[Brief | Fact]


def read_briefly(entry: Entry) -> BriefEntry:
    """Read an entry's facts; one that cannot be read is an UnreadableFact."""
    raw = entry.body
    size, at = len(raw), 0
    facts: list[Brief | Fact] = []
    while at < size:
        kind = raw[at]
        end = at + HEAD_BYTES + (raw[at + 1] | raw[at + 2] << 8)
        if kind == HOLD and end - at >= _END_OF_HOLD and raw[at + _LOTS_OF_HOLD - 1] == 1:
            brief = _hold(raw, at, end)
        elif kind == SETTLE and end - at >= _END_OF_SETTLE and raw[at + _LOTS_OF_SETTLE - 1] == 1:
            brief = _settle(raw, at, end)
        elif kind == WHOLE and end - at >= _END_OF_WHOLE:
            brief = (WHOLE, *_WHOLE.unpack_from(raw, at), raw[at + _END_OF_WHOLE : end])
        else:
            brief = None
        facts.append(brief or read_fact(raw, at, end))
        at = end
    return BriefEntry(entry, facts)


def _hold(raw: bytes, at: int, end: int) -> Brief | None:
    (
        hold, account, account_mid, account_up, key, key_mid, key_up, credit_type, price, price_up,
        version, rule, deadline, deadline_up, aseq, aseq_up, balance, lot, lot_up, taken, taken_up,
    ) = _HOLD.unpack_from(raw, at)  # fmt: skip
    if taken != price or taken_up != price_up:
        return None
    detail = at + _END_OF_HOLD
    return (
        HOLD,
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
        lot | lot_up << 32,
        raw[detail - LOT_BYTES - 1 : detail],
        raw[detail:end],
    )


def _settle(raw: bytes, at: int, end: int) -> Brief | None:
    (
        hold, outcome, captured, captured_up, reason, status, account, account_mid, account_up,
        credit_type, aseq, aseq_up, balance, paid, paid_up, lot, lot_up, back, back_up,
    ) = _SETTLE.unpack_from(raw, at)  # fmt: skip
    if paid or paid_up:
        return None
    return (
        SETTLE,
        hold,
        outcome,
        captured | captured_up << 32,
        reason,
        status,
        account | account_mid << 32 | account_up << 48,
        credit_type,
        aseq | aseq_up << 32,
        balance,
        lot | lot_up << 32,
        back | back_up << 32,
        raw[at + _END_OF_SETTLE : end],
    )


def whole_fact(brief: Brief) -> HoldFact | SettleFact | WholeCapture:
    """Return the fact that was read as this tuple."""
    kind, hold_id, *values = brief
    if kind == HOLD:
        *numbers, _, allocation, detail = values
        account, key, credit_type, price, version, rule, deadline_ms, aseq, balance = numbers
        return HoldFact(
            hold_id,
            account,
            key,
            credit_type,
            price,
            version,
            rule,
            deadline_ms,
            aseq,
            balance,
            read_lots(allocation[1:]),
            detail,
        )
    if kind == SETTLE:
        outcome, captured, reason, status, account, credit_type, aseq, balance, *rest = values
        lot, back, detail = rest
        return SettleFact(
            hold_id,
            outcome.decode("latin-1"),
            captured,
            reason,
            status,
            account,
            credit_type,
            aseq,
            balance,
            0,
            (LotAmount(lot, back),),
            detail,
        )
    return WholeCapture(hold_id, *values)
