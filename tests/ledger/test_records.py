"""What Redis keeps, packed and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import CorruptRecord
from ledger.facts import (
    NEVER,
    Allocated,
    ClaimFact,
    Control,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotAmount,
    LotExpired,
    ObservedFact,
    SettleFact,
    UnreadableFact,
    UseFact,
    WholeCapture,
)
from ledger.limits import Loan
from ledger.lines import hold_line, load_end_args
from ledger.records import (
    FIRST_CHAIN,
    AccountRecord,
    ClosedHold,
    Entry,
    KeyRecord,
    Lot,
    Meta,
    Pool,
    SessionRecord,
    TypeTotals,
    pack_entry,
    pack_fact,
    read_entry,
    read_hold,
)

u5, u6, u7 = (st.integers(0, 2 ** (8 * size) - 1) for size in (5, 6, 7))
byte, u16, u32 = st.integers(0, 255), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
balance = st.integers(-(2**63), 2**63 - 1)
ids = st.binary(min_size=12, max_size=12)
hashes = st.binary(min_size=16, max_size=16)
details = st.binary(max_size=40)
allocations = st.lists(st.builds(Allocated, u5, byte, u6, u6), max_size=4).map(tuple)
lots = st.lists(st.builds(LotAmount, u5, u6), max_size=4).map(tuple)
controls = st.one_of(
    st.builds(Control, st.sampled_from("wfk"), u32, byte, u7, u6, byte, u6, byte),
    st.builds(Control, st.sampled_from("ge"), u32, byte, u5, u6, byte, u6, byte, u16),
)
facts = st.one_of(
    st.builds(HoldFact, ids, u7, u7, byte, u6, u32, u16, u6, u5, balance, allocations, details),
    st.builds(
        SettleFact,
        ids,
        st.sampled_from("cvx"),
        u6,
        byte,
        u16,
        u7,
        byte,
        u5,
        balance,
        u6,
        lots,
        details,
    ),
    st.builds(WholeCapture, ids, byte, u16, details),
    st.builds(
        LateFact,
        ids,
        u7,
        u7,
        byte,
        u6,
        u6,
        u32,
        u16,
        byte,
        u16,
        u5,
        balance,
        allocations,
        details,
    ),
    st.builds(LotExpired, u7, byte, u5, u6, u5, balance),
    st.builds(ControlFact, u7, controls, u5, balance, st.sampled_from("aq"), u6, u6, lots),
    st.builds(ClaimFact, ids, u7, hashes, hashes),
    st.builds(
        UseFact,
        ids,
        u7,
        u7,
        st.booleans(),
        st.lists(
            st.builds(
                Loan,
                st.sampled_from("kae"),
                st.binary(min_size=4, max_size=4),
                st.binary(min_size=4, max_size=4),
                st.sampled_from("QAC"),
                u32,
                u6,
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(ObservedFact, ids, u7, u7, byte, u6, u32, u16, u16, details),
)


def entry(*inside: Fact, first_q: int = 5) -> Entry:
    return Entry(
        epoch=3,
        first_q=first_q,
        last_q=first_q + len(inside) - 1,
        chain="",
        previous=FIRST_CHAIN,
        clock_ms=1_700_000_000_000,
        session=9,
        types=(TypeTotals(1, 10, 5), TypeTotals(2, 0, 0)),
        body=b"".join(map(pack_fact, inside)),
    )


@given(st.lists(facts, min_size=1, max_size=4))
def test_an_entry_comes_back_as_it_was(inside: list[Fact]) -> None:
    written = entry(*inside)
    raw = pack_entry(written)
    read = read_entry(f"3-{written.last_q}", raw)

    assert read.chain == raw[:16].decode()
    assert (read.first_q, read.previous, read.session) == (5, FIRST_CHAIN, 9)
    assert (read.types, read.facts) == (written.types, written.facts)


def test_a_changed_byte_breaks_the_chain() -> None:
    raw = bytearray(pack_entry(entry(WholeCapture(b"h" * 12, 1, 200))))
    raw[-1] ^= 1

    with pytest.raises(CorruptRecord, match="chain"):
        read_entry("3-5", bytes(raw))


@pytest.mark.parametrize("cut", [1, 10, 40, 60])
def test_a_cut_entry_is_refused(cut: int) -> None:
    raw = pack_entry(entry(WholeCapture(b"h" * 12, 1, 200)))

    with pytest.raises(CorruptRecord):
        read_entry("3-5", raw[:-cut])


@pytest.mark.parametrize("text", ["", "3", "a-b", "3-5-7"])
def test_an_entry_needs_its_position(text: str) -> None:
    with pytest.raises(CorruptRecord):
        read_entry(text, pack_entry(entry(WholeCapture(b"h" * 12, 1, 200))))


@pytest.mark.parametrize(
    "unknown", [b"Z\x03\x00abc", b"F\x02\x00ab", b"H\x03\x00abc", b"E\x40\x00" + bytes(64)]
)
def test_a_fact_nobody_can_read_is_kept_whole_among_the_others(unknown: bytes) -> None:
    strange = UnreadableFact(unknown[:1], unknown)
    known = WholeCapture(b"h" * 12, 1, 200)

    read = read_entry("3-6", pack_entry(entry(strange, known)))
    assert read.facts == (strange, known)


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
