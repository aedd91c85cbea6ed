"""
Rows of charges in the binary format of COPY.

The driver asks each value's type for its encoder; of charges the types are known once and for all,
and a row of a usual charge is one `struct` and a few bytes that thousands have in common.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any, Self

from ledger.charge_rows import COLUMNS, EPOCH, BriefCharge, ChargeRow, microseconds
from ledger.database import Json
from ledger.detail import Detail

TOLD = ("plan", "units", "measured", "record", "uncollected", "duration_ms", "note")
"""What facts tell besides money; the last columns of a row."""

_LAST = ("closed_aseq", *TOLD)
COPIED = (*(column for column in COLUMNS if column not in _LAST), *_LAST)
"""The columns in the order in which they are sent: those that a usual charge always has first."""

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_BEGIN_OF_2000_US = microseconds(datetime(2000, 1, 1, tzinfo=EPOCH.tzinfo))
_NO_VALUE = -1
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(_NO_VALUE)
_COUNT = struct.pack(">h", len(COPIED))
_SMALLINT, _INTEGER, _BIGINT = struct.Struct(">ih"), struct.Struct(">ii"), struct.Struct(">iq")


def packed_row(row: ChargeRow) -> bytes:
    """Return a row with anything in it as COPY takes it."""
    return _COUNT + b"".join(map(_field, _ENCODERS, _in_order(row)))


def packed_told(
    detail: Detail, units: Json | None, measured: Json | None, record: Json | None
) -> bytes:
    """Return the columns of `TOLD` alone."""
    return (
        _field(_text, detail.plan)
        + _field(_json, units)
        + _field(_json, measured)
        + _field(_json, record)
        + _field(_bigint, detail.uncollected)
        + _field(_integer, detail.duration_ms)
        + _field(_text, detail.note)
    )


def packed_briefly(charges: Iterable[BriefCharge], epoch: int) -> list[bytes]:
    """Return the rows of usual charges, which this epoch opened and ended; as `packed_row` does."""
    rows = []
    pack, at_epoch = _USUAL.pack, _EPOCH_BEFORE_Q.pack(4, epoch, 8)
    for (
        opened_q,
        (
            _, charge_id, account, key, credit_type, held, version, rule, _, opened_aseq, _, _,
            lots, _,
        ),
        (state, captured, balance, closed_q, closed_aseq, closed_us, reason, status),
        told,
    ) in charges:  # fmt: skip
        row = pack(
            _BEFORE_ID, charge_id, 8, account, 8, key, 8, held, 4, version, 2, rule, 2, credit_type,
            at_epoch, opened_q, 8, opened_aseq, _NO_VALUE, 2, state, 8, captured, 8, balance,
            at_epoch, closed_q, 8, closed_us - _BEGIN_OF_2000_US, 2, reason, 2, status,
            _BEFORE_LOTS, lots,
        )  # fmt: skip
        aseq = _NULL if closed_aseq is None else _BIGINT.pack(8, closed_aseq)
        rows.append(row + aseq + told.copied)
    return rows


_USUAL = struct.Struct(">6s12s iq iq iq ii ih ih 12sq iq i ih iq iq 12sq iq ih ih 8s19s")
"""From the number of columns to the allocation of one lot; each value behind its length."""

_BEFORE_ID = _COUNT + _LENGTH.pack(12)
_BEFORE_LOTS = _NULL + _LENGTH.pack(19)
_EPOCH_BEFORE_Q = struct.Struct(">iii")
"""What is the same for all rows, and lengths beside it, goes in as one value each."""


class Copied:
    """Chunks of rows as the driver takes them; the next is made when it asks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


def _field(encoder: Callable[[Any], bytes], value: Any) -> bytes:
    return _NULL if value is None else encoder(value)


def _smallint(value: int) -> bytes:
    return _SMALLINT.pack(2, value)


def _integer(value: int) -> bytes:
    return _INTEGER.pack(4, value)


def _bigint(value: int) -> bytes:
    return _BIGINT.pack(8, value)


def _bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _json(value: Json) -> bytes:
    return _bytes(b"\x01" + value.encode())


def _moment(value: datetime) -> bytes:
    return _bigint(microseconds(value) - _BEGIN_OF_2000_US)


_TYPES: dict[str, Callable[[Any], bytes]] = {
    "id": _bytes,
    "price_version": _integer,
    "rule": _smallint,
    "credit_type_id": _smallint,
    "opened_epoch": _integer,
    "plan": _text,
    "state": _smallint,
    "closed_epoch": _integer,
    "closed_at": _moment,
    "reason": _smallint,
    "status": _smallint,
    "allocation": _bytes,
    "units": _json,
    "measured": _json,
    "record": _json,
    "duration_ms": _integer,
    "note": _text,
}
"""Those of other columns than `bigint`."""

_ENCODERS: list[Callable[[Any], bytes]] = [_TYPES.get(column, _bigint) for column in COPIED]
_in_order = itemgetter(*map(COLUMNS.index, COPIED))
