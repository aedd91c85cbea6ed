"""
Limits as the scripts count them: what a line asks, and what Redis keeps of it.

The layouts are those of `ledger/lua/parts/limits.lua`. A limit belongs to a key, an account or
everyone, for all routes or one; its id tells it from others of the same owner and route.
"""

import struct
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from ledger.errors import CorruptRecord

MOST_LIMITS: Final = 32
MOST_WEIGHT: Final = 65_535
LOAN_BYTES: Final = 12
ALL_ROUTES: Final = bytes(4)

_HEAD = struct.Struct("<BH")
_LIMIT = struct.Struct("<c4s4sc6s6s")
_TALLY = struct.Struct("<4scId")
_LOAN = struct.Struct("<c4s4scH")

Whose = Literal["k", "a", "e"]
"""Of each key, of each account, of everyone together."""


class Limit(NamedTuple):
    """
    One limit: kind R is a rate, F how many holds may be open.

    Of a rate `most` is its interval and `burst` how far ahead it may run, both in microseconds
    (see `ledger.lines.Rate`); of F `most` is a number of holds.
    """

    whose: Whose
    route: bytes
    id: bytes
    kind: Literal["R", "F"]
    most: int
    burst: int = 0


class Tally(NamedTuple):
    """How far one limit is used: microseconds since 1970 of a rate, holds of F."""

    id: bytes
    kind: str
    window: int
    value: int


class Loan(NamedTuple):
    """What an open hold gives back to a limit when it ends."""

    whose: str
    route: bytes
    id: bytes
    kind: str
    amount: int


class Standing(NamedTuple):
    """What is left of a limit after a request, and seconds until all of it is back."""

    left: int
    reset_s: int


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


def standings(words: Sequence[bytes]) -> list[Standing]:
    """Read the end of a line's answer: two numbers for each limit."""
    numbers = iter(map(int, words))
    return [Standing(left, reset_s) for left, reset_s in zip(numbers, numbers, strict=True)]


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
    return [
        Loan(whose.decode("latin-1"), route, limit, kind.decode("latin-1"), amount)
        for whose, route, limit, kind, amount in _LOAN.iter_unpack(raw[start:])
    ]
