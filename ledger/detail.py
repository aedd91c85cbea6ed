"""
What a fact carries besides money: JSON of the gateway, made safe for Postgres.

Keys: u units measured before the call, m measured on the response (null: it did not tell),
r recorded values, p the plan that the account is on, o uncollected amount, ms duration in
milliseconds, x a note. What does not fit is left out: nobody's balance may hang on it, and a fact
must never be refused for it.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.facts import MAX_AMOUNT

MAX_NAMES = 5
MAX_VALUE_CHARACTERS = 100
MAX_NOTE_CHARACTERS = 200
MAX_PLAN_CHARACTERS = 200
MAX_UNITS = 64
MOST_REMEMBERED = 1_024
"""Thousands of charges a second say the same; a detail has 1,024 bytes at most."""

_INTEGER_MAX = 2**31 - 1
_BIGINT_MAX = 2**63 - 1


class Detail(NamedTuple):
    """None where a fact says nothing (or nothing usable)."""

    units: list[int] | None = None
    measured: list[int | None] | None = None
    record: dict[str, str | int | bool] | None = None
    uncollected: int | None = None
    duration_ms: int | None = None
    note: str | None = None
    plan: str | None = None


NOTHING = Detail()


@lru_cache(maxsize=MOST_REMEMBERED)
def read_detail(raw: bytes) -> Detail:
    """Read the detail of a fact; never fails. Who gets it does not change what is in it."""
    if not raw:
        return NOTHING
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return Detail(note="unreadable detail")
    if not isinstance(value, dict):
        return NOTHING
    note, plan = value.get("x"), value.get("p")
    return Detail(
        units=_whole_numbers(value.get("u")),
        measured=_measured(value.get("m")),
        record=_record(value.get("r")),
        uncollected=_whole(value.get("o"), 1, MAX_AMOUNT),
        duration_ms=_whole(value.get("ms"), 0, _INTEGER_MAX),
        note=_text(note, MAX_NOTE_CHARACTERS) if isinstance(note, str) else None,
        plan=_text(plan, MAX_PLAN_CHARACTERS) if isinstance(plan, str) and plan else None,
    )


def _whole(value: Any, least: int, most: int) -> int | None:
    if type(value) is not int or value < least:  # not bool
        return None
    return min(value, most)


def _whole_numbers(value: Any) -> list[int] | None:
    if not isinstance(value, list) or len(value) > MAX_UNITS:
        return None
    numbers = [_whole(number, -_BIGINT_MAX, _BIGINT_MAX) for number in value]
    return None if None in numbers else numbers  # type: ignore[return-value]


def _measured(value: Any) -> list[int | None] | None:
    """Keep the places of an answer's quantities: one it did not tell must not hide the others."""
    if not isinstance(value, list) or not value:
        return _whole_numbers(value)  # type: ignore[return-value]
    told = _whole_numbers([number for number in value if number is not None])
    if told is None or len(value) > MAX_UNITS:
        return None
    rest = iter(told)
    return [None if number is None else next(rest) for number in value]


def _record(value: Any) -> dict[str, str | int | bool] | None:
    if not isinstance(value, dict) or not value:
        return None
    return {
        _text(name, MAX_VALUE_CHARACTERS): kept
        if isinstance(kept, bool) or (isinstance(kept, int) and abs(kept) <= _BIGINT_MAX)
        else _text(str(kept), MAX_VALUE_CHARACTERS)
        for name, kept in list(value.items())[:MAX_NAMES]
    }


def _text(text: str, most: int) -> str:
    """Cut, and without what Postgres cannot keep: NUL and lone surrogates."""
    return text[:most].replace("\0", "�").encode("utf-8", "replace").decode()
