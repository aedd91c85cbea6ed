"""What else Redis keeps, packed and read again."""

import pytest

from ledger.account_record import AccountRecord
from ledger.errors import CorruptRecord
from ledger.fact_bytes import pack_fact
from ledger.facts import (
    NEVER,
    Allocated,
    Control,
    HoldFact,
)
from ledger.lines import hold_line, load_end_args
from ledger.records import ClosedHold, KeyRecord, Meta, SessionRecord, read_hold


def test_a_key_comes_back_in_23_bytes() -> None:
    key = KeyRecord(2, 12, 3, NEVER, 1_700_000_000_000_000)

    assert len(key.pack()) == 23
    assert KeyRecord.unpack(key.pack()) == key


@pytest.mark.parametrize("read", [Meta.unpack, KeyRecord.unpack, SessionRecord.unpack, read_hold])
@pytest.mark.parametrize("raw", [b"", b"x", b"\xff" * 16, b"\xff" * 23, b"\xff" * 99])
def test_bytes_that_are_no_record_are_corrupt(read: object, raw: bytes) -> None:
    with pytest.raises(CorruptRecord):
        read(raw)  # type: ignore[operator]


def test_a_hold_is_open_or_a_closed_mark() -> None:
    fact = HoldFact(b"h" * 12, 12, 7, 1, 5, 1, 2, 9, 1, 0, (Allocated(9, 1, NEVER, 5),))

    assert read_hold(pack_fact(fact)) == fact
    assert read_hold(b"Dc" + (5).to_bytes(6, "little")) == ClosedHold("c", 5)


def test_a_number_that_does_not_fit_is_never_packed() -> None:
    with pytest.raises(OverflowError):
        hold_line(
            b"h" * 12,
            account=1,
            key=1,
            credit_type=1,
            ceiling=2**48,
            version=1,
            rule=1,
            deadline_ms=1,
        )


def test_a_detail_has_a_limit() -> None:
    with pytest.raises(ValueError, match="1024"):
        hold_line(
            b"h" * 12,
            account=1,
            key=1,
            credit_type=1,
            ceiling=1,
            version=1,
            rule=1,
            deadline_ms=1,
            detail=b"x" * 1_025,
        )


def test_a_snapshot_names_its_parts_in_order() -> None:
    fact = HoldFact(b"h" * 12, 12, 7, 1, 0, 1, 2, 9, 1, 0, ())
    args = load_end_args(
        3,
        12,
        b"token",
        record=AccountRecord(1, 0, 0, ()),
        keys=[(7, KeyRecord(1, 12, 3))],
        holds=[fact],
        controls=[Control("f", 1)],
    )

    assert [len(arg) for arg in args] == [8, 7, 5, 11, 30, 8, 12, len(pack_fact(fact)), 27]
