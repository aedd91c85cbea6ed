"""
What is said to the scripts: the lines of a tick, and the arguments of the other scripts.

Numbers are little-endian and refuse to be packed when they do not fit, so a wrong line is
an error here and never reaches Redis. Amounts are smallest units, times milliseconds.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ledger.account_record import AccountRecord
from ledger.fact_bytes import pack_fact
from ledger.facts import MAX_DETAIL_BYTES, Control, HoldFact
from ledger.limits import pack_loans
from ledger.reach_bytes import lent_reaches
from ledger.records import KeyRecord

SCOPE_CALL = 1
SCOPE_MANAGE = 2
CAPPED = 4  # among a key's scopes in Redis: it has caps
LIMITED = 128  # beside a line's scope: limits stand before its detail
REACHING = 64  # the same: behind them the reaches that have its route
PLANNED = 32  # the same: behind those the plan that it was priced by
CLAIMING = 16  # the same: behind that a claim
LATE_REACHING = 128  # beside the reason of a late line: reaches stand before its detail
LATE_CLAIMING = 64  # the same: behind them a claim

_HOLD = struct.Struct("<cH12s7s7sB6sIH")
_ORDER = struct.Struct("<c12s7s7sB6sIH")
_HOLD_END = struct.Struct("<6sB5s6s")
_SETTLE = struct.Struct("<3s6s12sBH")
_LATE_END = struct.Struct("<BH")
_RENEW = struct.Struct("<c12s6s")
_STATUS = struct.Struct("<H")
_DOUBLE = struct.Struct("<d")
_PLAIN_FACT_BYTES = 77
"""Of the fact that a hold leaves which one lot covers, behind its length and besides the detail."""


class Rate(NamedTuple):
    """
    GCRA: one request per interval on average, and as many at once as the burst holds.

    N requests per window: interval_us = window / N, burst_us = (N - 1) * interval_us.
    """

    interval_us: int = 0
    burst_us: int = 0


NO_RATE = Rate()


def hold_line(
    hold_id: bytes,
    *,
    account: int,
    key: int,
    credit_type: int,
    ceiling: int,
    version: int,
    rule: int,
    deadline_ms: int,
    scope: int = SCOPE_CALL,
    rate: Rate = NO_RATE,
    limits: bytes = b"",
    reaches: bytes = b"",
    plan: int | None = None,
    claim: bytes = b"",
    detail: bytes = b"",
    only_check: bool = False,
) -> bytes:
    """
    Return the line of a hold, or of the check of a free request.

    `limits`: see `limits_block`; `reaches`: see `ledger.reach_bytes.reaches_block`. `plan`: the one
    that it was priced by; None: it does not matter which. `claim`: a `claims.There.block`; a check
    claims nothing.
    """
    detail = _checked(detail)
    planned = b""
    if limits:
        scope |= LIMITED
    if reaches:
        scope |= REACHING
    if plan is not None:
        scope |= PLANNED
        planned = plan.to_bytes(4, "little")
    if claim:
        scope |= CLAIMING
    return (
        _HOLD.pack(
            b"K" if only_check else b"H",
            _PLAIN_FACT_BYTES + len(detail),
            hold_id,
            account.to_bytes(7, "little"),
            key.to_bytes(7, "little"),
            credit_type,
            ceiling.to_bytes(6, "little"),
            version,
            rule,
        )
        + _HOLD_END.pack(
            deadline_ms.to_bytes(6, "little"),
            scope,
            rate.interval_us.to_bytes(5, "little"),
            rate.burst_us.to_bytes(6, "little"),
        )
        + limits
        + reaches
        + planned
        + claim
        + detail
    )


def settle_line(
    hold_id: bytes, captured: int, reason: int, status: int = 0, detail: bytes = b""
) -> bytes:
    """Return the line that ends a hold; the reason says how, see `ledger.reasons`."""
    line = _SETTLE.pack(b"SDc", captured.to_bytes(6, "little"), hold_id, reason, status)
    return line + _checked(detail) if detail else line


def late_line(
    hold_id: bytes,
    *,
    account: int,
    key: int,
    credit_type: int,
    amount: int,
    version: int,
    rule: int,
    reason: int,
    status: int = 0,
    reaches: bytes = b"",
    claim: bytes = b"",
    detail: bytes = b"",
) -> bytes:
    """Return the line that books work whose hold is gone; `reaches`, `claim` as of a hold."""
    if reaches:
        reason |= LATE_REACHING
    if claim:
        reason |= LATE_CLAIMING
    return (
        _ORDER.pack(
            b"L",
            hold_id,
            account.to_bytes(7, "little"),
            key.to_bytes(7, "little"),
            credit_type,
            amount.to_bytes(6, "little"),
            version,
            rule,
        )
        + _LATE_END.pack(reason, status)
        + reaches
        + claim
        + _checked(detail)
    )


def renew_line(hold_id: bytes, deadline_ms: int) -> bytes:
    """Return the line that moves a hold's deadline forward."""
    return _RENEW.pack(b"R", hold_id, deadline_ms.to_bytes(6, "little"))


def observed_line(
    hold_id: bytes,
    *,
    account: int,
    key: int,
    credit_type: int,
    amount: int,
    version: int,
    rule: int,
    status: int,
    detail: bytes = b"",
) -> bytes:
    """Return the line of a request that was priced and not charged."""
    return (
        _ORDER.pack(
            b"O",
            hold_id,
            account.to_bytes(7, "little"),
            key.to_bytes(7, "little"),
            credit_type,
            amount.to_bytes(6, "little"),
            version,
            rule,
        )
        + _STATUS.pack(status)
        + _checked(detail)
    )


def control_args(account: int, controls: Iterable[Control]) -> list[bytes]:
    """Return the arguments of `control`."""
    return [account.to_bytes(7, "little"), *(control.pack() for control in controls)]


def load_begin_args(account: int, token: bytes) -> list[bytes]:
    """Return the arguments of `load_begin`."""
    return [account.to_bytes(7, "little"), token]


def load_end_args(
    epoch: int,
    account: int,
    token: bytes,
    *,
    record: AccountRecord,
    keys: Iterable[tuple[int, KeyRecord]],
    holds: Sequence[HoldFact],
    controls: Iterable[Control],
    lent: Mapping[bytes, bytes] | None = None,
    reaches: Mapping[int, int] | None = None,
) -> list[bytes]:
    """
    Return the arguments of `load_end`: a snapshot of `epoch` and what was pending then.

    `lent`: by hold, what it has used of limits, packed. `reaches`: those of the limited lots that
    the holds were made from, by lot.
    """
    args = [
        _DOUBLE.pack(epoch),
        account.to_bytes(7, "little"),
        token,
        record.pack(),
        b"".join(key.to_bytes(7, "little") + value.pack() for key, value in keys),
        _DOUBLE.pack(len(holds)),
    ]
    for hold in holds:
        loans = (lent or {}).get(hold.hold_id, b"")
        if reaches:
            loans += pack_loans(lent_reaches(hold, reaches))
        args += (hold.hold_id, pack_fact(hold) + loans)
    args += (control.pack() for control in controls)
    return args


def load_limits_args(epoch: int, tallies: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the arguments of `load_limits`: fields and values of a snapshot of `epoch`."""
    return [_DOUBLE.pack(epoch), *(part for pair in tallies.items() for part in pair)]


def ack_args(q: int, chain: str, closed_ids: Iterable[bytes], keep_facts: int) -> list[bytes]:
    """Return the arguments of `ack`."""
    return [_DOUBLE.pack(q), chain.encode(), b"".join(closed_ids), _DOUBLE.pack(keep_facts)]


def session_args(session: int) -> list[bytes]:
    """Return the arguments of `session`."""
    return [session.to_bytes(4, "little")]


def drop_session_args(session: int, expected: bytes) -> list[bytes]:
    """Return the arguments of `drop_session`; `expected` is the record as it was read."""
    return [session.to_bytes(4, "little"), expected]


def dials_args(journal_cap: int, windows: Iterable[tuple[int, int]]) -> list[bytes]:
    """Return the arguments of `dials`; windows are (credit type, X)."""
    return [
        _DOUBLE.pack(journal_cap),
        b"".join(struct.pack("<Bd", credit_type, units) for credit_type, units in windows),
    ]


def open_args(
    epoch: int, journal_cap: int, types: Iterable[tuple[int, int, int]], open_holds: int
) -> list[bytes]:
    """Return the arguments of `open`; types are (credit type, units of open holds, X)."""
    return [
        _DOUBLE.pack(epoch),
        _DOUBLE.pack(journal_cap),
        b"".join(struct.pack("<Bdd", *of_type) for of_type in types),
        _DOUBLE.pack(open_holds),
    ]


def _checked(detail: bytes) -> bytes:
    if len(detail) > MAX_DETAIL_BYTES:
        raise ValueError(f"a detail of {len(detail)} bytes, {MAX_DETAIL_BYTES} at most")
    return detail
