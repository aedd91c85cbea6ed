"""Accounts in Redis, packed and read again."""

import pytest

from ledger.account_record import AccountRecord, Lot, Pool
from ledger.errors import CorruptRecord


def test_an_account_comes_back_with_its_lots_in_burn_order() -> None:
    sorted_lots = (Lot(9, 1, 50, 3), Lot(3, 2, 40, 0), Lot(1, 2, 50, 7), Lot(2, 2, 50, 9))
    shuffled = AccountRecord(1, 4, 5, (Pool(1, 0, 2, sorted_lots[::-1]), Pool(2, 8, 0, ())))

    read = AccountRecord.unpack(shuffled.pack())
    assert read == AccountRecord(1, 4, 5, (Pool(1, 0, 2, sorted_lots), Pool(2, 8, 0, ())))
    assert [pool.balance for pool in read.pools] == [19, -8]


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b""])
def test_an_account_of_another_length_is_corrupt(change: object) -> None:
    raw = AccountRecord(1, 4, 5, (Pool(1, 0, 0, (Lot(1, 2, 3, 4),)),)).pack()

    with pytest.raises(CorruptRecord):
        AccountRecord.unpack(change(raw))  # type: ignore[operator]


PLAIN = AccountRecord(
    1, 4, 5, (Pool(1, 0, 0, (Lot(7, 1, 50, 0), Lot(9, 2, 60, 3), Lot(8, 3, 55, 4))),)
)
OTHERS = [
    AccountRecord(1, 4, 5, (*PLAIN.pools, Pool(2, 0, 0, ()))),
    AccountRecord(1, 4, 5, PLAIN.pools, plan=3),
    AccountRecord(1, 4, 5, (PLAIN.pools[0]._replace(debt=1),)),
    AccountRecord(1, 4, 5, (PLAIN.pools[0]._replace(floor=1),)),
    AccountRecord(1, 4, 5, (Pool(1, 0, 0, (Lot(7, 1, 50, 3, reach=2),)),)),
    AccountRecord(1, 4, 5, (Pool(1, 0, 0, (Lot(7, 1, 50, 0),)),)),
    AccountRecord(1, 4, 5, ()),
]
OLDER = bytes.fromhex(
    "0104000000050000000001" + "01" + "000000000000" + "0000000000000000" + "03"
    "0700000000" + "01" + "320000000000" + "000000000000"
    "0900000000" + "02" + "3c0000000000" + "030000000000"
    "0800000000" + "03" + "370000000000" + "040000000000"
)
"""PLAIN as every account was written before plain ones had a layout of their own."""


@pytest.mark.parametrize("status", [1, 2])
def test_a_plain_account_says_so_with_its_first_and_its_last_byte(status: int) -> None:
    record = AccountRecord(status, PLAIN.cseq, PLAIN.aseq, PLAIN.pools)
    raw = record.pack()

    assert (raw[0], raw[-1]) == (64 + status, 192 + status)
    assert AccountRecord.unpack(raw) == record


@pytest.mark.parametrize("record", OTHERS)
def test_every_other_account_keeps_the_layout_that_all_had(record: AccountRecord) -> None:
    raw = record.pack()

    assert raw[0] & 64 == 0
    assert raw[-1] < 128
    assert AccountRecord.unpack(raw) == record


def test_a_plain_account_in_the_older_layout_is_the_same_account() -> None:
    assert AccountRecord.unpack(OLDER) == PLAIN
    assert OLDER[-1] < 128


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 66), (0, 1), (-1, 194), (-1, 4), (19, 6), (-37, 2), (-36, 9), (-30, 99), (-43 + 4, 2)],
)
def test_a_plain_account_that_contradicts_itself_is_corrupt(at: int, value: int) -> None:
    """Its status at both ends, its lots, their number, what is in them, when the first one ends."""
    raw = bytearray(PLAIN.pack())
    raw[at] = value

    with pytest.raises(CorruptRecord):
        AccountRecord.unpack(bytes(raw))
