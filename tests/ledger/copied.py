"""What COPY was sent, as Postgres reads it: the binary format, back to rows."""

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.charge_copy import COPIED, HEADER, TRAILER
from ledger.database import Json

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_WIDTHS = {2: ">h", 4: ">i", 8: ">q"}


def copied_rows(chunks: Iterable[bytes]) -> list[tuple[Any, ...]]:
    """All rows of one COPY of charges, in the order of `COPIED`."""
    raw = b"".join(chunks)
    assert raw.startswith(HEADER)
    assert raw.endswith(TRAILER)
    return split_rows(raw[len(HEADER) : -len(TRAILER)])


def split_rows(raw: bytes) -> list[tuple[Any, ...]]:
    """Rows without header and trailer."""
    rows, at = [], 0
    while at < len(raw):
        (columns,) = struct.unpack_from(">h", raw, at)
        assert columns == len(COPIED)
        at += 2
        row = []
        for column in COPIED:
            (length,) = struct.unpack_from(">i", raw, at)
            at += 4
            value = None if length < 0 else raw[at : at + length]
            at += max(length, 0)
            row.append(value if value is None else _value(column, value))
        rows.append(tuple(row))
    assert at == len(raw)
    return rows


def _value(column: str, raw: bytes) -> Any:
    if column in {"id", "allocation"}:
        return raw
    if column in {"plan", "note"}:
        return raw.decode()
    if column in {"units", "measured", "record"}:
        assert raw[:1] == b"\x01"
        return Json(raw[1:].decode())
    (number,) = struct.unpack(_WIDTHS[len(raw)], raw)
    return _BEGIN + timedelta(microseconds=number) if column == "closed_at" else number
