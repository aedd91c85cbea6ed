"""
Limits as the scripts count them: what a line asks, and what Redis keeps of it.

The layouts are those of `ledger/lua/parts/limits.lua`. A limit belongs to a key, an account or
everyone, for all routes or one; its id tells it from others of the same owner and route.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from ledger.errors import CorruptRecord

MOST_LIMITS: Final = 32
MOST_WEIGHT: Final = 65_535
LOAN_BYTES: Final = 20
ALL_ROUTES: Final = bytes(4)

_HEAD = struct.Struct("<BH")
_LIMIT = struct.Struct("<c4s4sc6s6s")
_TALLY = struct.Struct("<4scId")
_LOAN = struct.Struct("<c4s4scIIH")
_LETTERS = {bytes((code,)): chr(code) for code in range(256)}

DAY_MS: Final = 86_400_000

Whose = Literal["k", "a", "e"]
"""Of each key, of each account, of everyone together."""

Per = Literal["total", "day", "month"]
Calendar = Literal["day", "month"]
"""Those that end."""

PERIODS: Final[tuple[Per, ...]] = ("total", "day", "month")
"""By the second byte of an id."""


class Limit(NamedTuple):
    """
    One limit: kind R is a rate, F how many holds may be open, Q a quota, A an allowance.

    Of a rate `most` is its interval and `burst` how far ahead it may run, both in microseconds
    (see `ledger.lines.Rate`); of F `most` is a number of holds, of Q and A one of requests.
    """

    whose: Whose
    route: bytes
    id: bytes
    kind: Literal["R", "F", "Q", "A"]
    most: int
    burst: int = 0


class Tally(NamedTuple):
    """
    How far one limit is used.

    Microseconds since 1970 of a rate, holds of F, requests of Q and A in this window, units that a
    key spent (C). The cap of a key itself (c) stands among them.
    """

    id: bytes
    kind: str
    window: int
    value: int


class Loan(NamedTuple):
    """What a hold took of a limit, and may give back when it ends: in a fact as in `h`."""

    whose: str
    route: bytes
    id: bytes
    kind: str
    window: int
    amount: int


def limits_block(limits: Sequence[Limit], weight: int = 1) -> bytes:
    """Return what a line carries: a request counts `weight` times. Made once per route."""
    if len(limits) > MOST_LIMITS or not 1 <= weight <= MOST_WEIGHT:
        raise ValueError(f"{len(limits)} limits, weight {weight}")
    return _HEAD.pack(len(limits), weight) + b"".join(
        _LIMIT.pack(
            limit.whose.encode(),
            limit.route,
            limit.id,
            limit.kind.encode(),
            limit.most.to_bytes(6, "little"),
            limit.burst.to_bytes(6, "little"),
        )
        for limit in limits
    )


def tally_field(whose: Whose, owner: int, route: bytes = ALL_ROUTES) -> bytes:
    """Return the field of the `b` hash; everyone's owner is 0."""
    return b"l" + whose.encode() + owner.to_bytes(7, "little") + route


def read_tallies(raw: bytes) -> dict[bytes, Tally]:
    """Read a field's value, by the limits' ids."""
    if len(raw) % _TALLY.size:
        raise CorruptRecord("limits: another length than that of tallies")
    found = (
        Tally(limit, kind.decode("latin-1"), window, int(value))
        for limit, kind, window, value in _TALLY.iter_unpack(raw)
    )
    return {tally.id: tally for tally in found}


def read_loans(raw: bytes) -> list[Loan]:
    """Read what stands behind the fact of an open hold."""
    start = 3 + int.from_bytes(raw[1:3], "little")
    if raw[:1] != b"H" or (len(raw) - start) % LOAN_BYTES:
        raise CorruptRecord("hold: loans of another length")
    return unpack_loans(raw[start:])


def unpack_loans(raw: bytes) -> list[Loan]:
    """Read loans, 20 bytes each."""
    return [
        Loan(_LETTERS[whose], route, limit, _LETTERS[kind], window, low + (high << 32))
        for whose, route, limit, kind, window, low, high in _LOAN.iter_unpack(raw)
    ]


def pack_loans(loans: Iterable[Loan]) -> bytes:
    """Return the bytes of loans."""
    return b"".join(
        _LOAN.pack(
            loan.whose.encode("latin-1"),
            loan.route,
            loan.id,
            loan.kind.encode("latin-1"),
            loan.window,
            loan.amount & 0xFFFF_FFFF,
            loan.amount >> 32,
        )
        for loan in loans
    )


def pack_tallies(tallies: Iterable[Tally]) -> bytes:
    """Return a field's value."""
    return b"".join(
        _TALLY.pack(tally.id, tally.kind.encode("latin-1"), tally.window, tally.value)
        for tally in tallies
    )


def window_id(kind: Literal["Q", "A", "C", "c"], per: Per, credit_type: int = 0) -> bytes:
    """Return the id of a limit that counts in a window of the calendar, or of a cap (c)."""
    return kind.encode() + bytes((PERIODS.index(per), credit_type, 0))


def window_number(limit_id: bytes, now_ms: int) -> int:
    """Return the number of the window, in UTC, that a limit of this id counts in."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    match PERIODS[limit_id[1]]:
        case "day":
            return now_ms // DAY_MS
        case "month":
            return 12 * moment.year + moment.month - 1
        case _:
            return 0


def window_begins_ms(per: Calendar, now_ms: int) -> int:
    """Return when the window of a moment began, in UTC."""
    return _begins_ms(per, window_number(window_id("Q", per), now_ms))


def window_ends_ms(per: Calendar, now_ms: int) -> int:
    """Return when it ends, which is when the next one begins."""
    return _begins_ms(per, window_number(window_id("Q", per), now_ms) + 1)


def _begins_ms(per: Calendar, number: int) -> int:
    if per == "day":
        return number * DAY_MS
    year, month = divmod(number, 12)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1000
