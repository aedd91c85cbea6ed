"""Charges as rows of their table: whole when they are new, else what an ending adds."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from ledger.allocation import pack_allocation
from ledger.books import ChargeBook
from ledger.brief_facts import Brief
from ledger.database import Json

COLUMNS = (
    "id",
    "account_id",
    "key_id",
    "held",
    "price_version",
    "rule",
    "credit_type_id",
    "opened_epoch",
    "opened_q",
    "opened_aseq",
    "deadline_ms",
    "plan",
    "state",
    "captured",
    "balance_after",
    "closed_epoch",
    "closed_q",
    "closed_aseq",
    "closed_at",
    "reason",
    "status",
    "written_off",
    "allocation",
    "units",
    "measured",
    "record",
    "uncollected",
    "duration_ms",
    "note",
)
ChargeRow: TypeAlias = tuple[Any, ...]
"""Values in the order of `COLUMNS`; JSON as the text that `jsonb` gives back."""


class Told(NamedTuple):
    """
    What the facts of a usual charge tell besides money, in the forms in which it is sent.

    copied: The last columns of its row, see `ledger.charge_copy`. opened, numbers, rest: Of its
    digest, see `ledger.charge_digest`.
    """

    copied: bytes
    opened: bytes
    numbers: bytes
    rest: bytes


BriefCharge: TypeAlias = tuple[int, Brief, tuple[Any, ...], Told]
"""
A usual charge that has ended: the q of its hold, the hold, its ending (state, captured, balance
after it, q, aseq or None where no balance moved, time in microseconds, reason, status), and what
both told.
"""

_FIRST_OF_AN_ENDING = COLUMNS.index("state")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_to_json = json.JSONEncoder(ensure_ascii=False).encode


def row_of(charge: ChargeBook) -> ChargeRow:
    """Return the row of a charge as it is now."""
    return (
        charge.id,
        charge.account_id,
        charge.key_id,
        charge.held,
        charge.price_version,
        charge.rule,
        charge.credit_type_id,
        charge.opened_epoch,
        charge.opened_q,
        charge.opened_aseq,
        charge.deadline_ms,
        charge.plan,
        int(charge.state),
        charge.captured,
        charge.balance_after,
        charge.closed_epoch,
        charge.closed_q,
        charge.closed_aseq,
        moment(charge.closed_ms),
        charge.reason,
        charge.status,
        charge.written_off,
        pack_allocation(charge.allocation) if charge.allocation else None,
        numbers_text(charge.units),
        numbers_text(charge.measured),
        object_text(charge.record),
        charge.uncollected,
        charge.duration_ms,
        charge.note,
    )


def ending_of(row: ChargeRow) -> ChargeRow:
    """Return what an ending may change of it, in the order of `close_charges`."""
    return (row[0], *row[_FIRST_OF_AN_ENDING:])


@lru_cache(maxsize=64)
def moment(at_ms: int | None) -> datetime | None:
    """Return a time of the journal as Postgres keeps it; all facts of an entry have the same."""
    return None if at_ms is None else EPOCH + timedelta(milliseconds=at_ms)


@lru_cache(maxsize=64)
def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def numbers_text(values: Sequence[int | None] | None) -> Json | None:
    """Write whole numbers, and null for None, as JSON."""
    return None if values is None else Json(str(values).replace("None", "null"))


def object_text(values: Mapping[str, str | int | bool] | None) -> Json | None:
    """Write an object as `jsonb` gives it back: names by length, then by their bytes."""
    if values is None:
        return None
    return Json(_to_json({name: values[name] for name in sorted(values, key=_jsonb_order)}))


def _jsonb_order(name: str) -> tuple[int, bytes]:
    raw = name.encode()
    return len(raw), raw
