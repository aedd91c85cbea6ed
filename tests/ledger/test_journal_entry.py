"""Entries of the journal, packed and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import CorruptRecord
from ledger.fact_bytes import pack_fact
from ledger.facts import (
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
from ledger.journal_entry import FIRST_CHAIN, Entry, TypeTotals, pack_entry, read_entry
from ledger.limits import Loan

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
    chain, raw = pack_entry(written)
    read = read_entry(f"3-{written.last_q}", chain, raw)

    assert read.chain == chain.decode()
    assert (read.first_q, read.previous, read.session) == (5, FIRST_CHAIN, 9)
    assert (read.types, read.facts) == (written.types, written.facts)


def test_a_changed_byte_breaks_the_chain() -> None:
    chain, raw = pack_entry(entry(WholeCapture(b"h" * 12, 1, 200)))
    changed = raw[:-1] + bytes([raw[-1] ^ 1])

    with pytest.raises(CorruptRecord, match="chain"):
        read_entry("3-5", chain, changed)


@pytest.mark.parametrize("cut", [1, 10, 40, 60])
def test_a_cut_entry_is_refused(cut: int) -> None:
    chain, raw = pack_entry(entry(WholeCapture(b"h" * 12, 1, 200)))

    with pytest.raises(CorruptRecord):
        read_entry("3-5", chain, raw[:-cut])
    with pytest.raises(CorruptRecord):
        read_entry("3-5", chain[:-cut], raw)


@pytest.mark.parametrize("text", ["", "3", "a-b", "3-5-7"])
def test_an_entry_needs_its_position(text: str) -> None:
    with pytest.raises(CorruptRecord):
        read_entry(text, *pack_entry(entry(WholeCapture(b"h" * 12, 1, 200))))


@pytest.mark.parametrize(
    "unknown", [b"Z\x03\x00abc", b"F\x02\x00ab", b"H\x03\x00abc", b"E\x40\x00" + bytes(64)]
)
def test_a_fact_nobody_can_read_is_kept_whole_among_the_others(unknown: bytes) -> None:
    strange = UnreadableFact(unknown[:1], unknown)
    known = WholeCapture(b"h" * 12, 1, 200)

    read = read_entry("3-6", *pack_entry(entry(strange, known)))
    assert read.facts == (strange, known)
