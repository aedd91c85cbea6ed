"""HOLD and the check of a free request, on every kind of server that is installed."""

import struct
from collections.abc import Iterator

import pytest

from ledger.account_record import AccountRecord, account_field
from ledger.facts import MAX_AMOUNT, Allocated, HoldFact
from ledger.ids import hold_id
from ledger.lines import Rate, dials_args
from ledger.records import KeyRecord
from tests.ledger.script_rig import ACCOUNT, KEY, SESSION, TYPE, Rig


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    rig.grant(9, 100)
    yield rig
    rig.close()


def test_a_hold_reserves_its_ceiling_and_says_what_is_left(rig: Rig) -> None:
    line = rig.hold_line(60, detail=b'{"u":[1]}')

    assert rig.tick(line) == ["HELD 40"]
    fact = HoldFact(
        hold_id=line[3:15],
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        price=60,
        version=1,
        rule=2,
        deadline_ms=rig.now + 60_000,
        aseq=2,
        balance=40,
        allocation=(Allocated(9, 100, 2**48 - 1, 60),),
        detail=b'{"u":[1]}',
    )
    assert rig.facts[-1] == fact
    assert rig.kept(line[3:15]) == fact
    assert rig.lots() == {9: 40}
    assert rig.meta.open_holds == 1
    assert rig.meta.types[0].held == 60


@pytest.mark.parametrize("detail", [b"", b'{"u":[1]}'])
def test_the_length_in_a_line_is_its_facts_and_a_wrong_one_harms_nothing(
    rig: Rig, detail: bytes
) -> None:
    right = rig.hold_line(1, detail=detail)
    for length in (read_length(right), 0, 76, 78, 2**16 - 1):
        line = rig.hold_line(1, detail=detail)
        line = line[:1] + length.to_bytes(2, "little") + line[3:]

        assert rig.tick(line)[0].startswith("HELD")
        raw = rig.client.hget(rig.keys.holds(1), line[3:15])
        assert read_length(raw) == read_length(right) == len(raw) - 3
        assert raw[3:48] == line[3:48]
        assert rig.facts[-1] == rig.kept(line[3:15])


def read_length(raw: bytes) -> int:
    return int.from_bytes(raw[1:3], "little")


def test_lots_are_used_by_priority_then_expiry_then_age(rig: Rig) -> None:
    rig.grant(10, 10, priority=200)
    rig.grant(11, 10, expiry_ms=rig.now + 9_000)
    rig.grant(12, 10, expiry_ms=rig.now + 9_000)
    rig.grant(13, 10, priority=5)

    rig.hold(35)

    fact = rig.facts[-1]
    assert isinstance(fact, HoldFact)
    assert [(part.lot, part.amount) for part in fact.allocation] == [
        (13, 10),
        (11, 10),
        (12, 10),
        (9, 5),
    ]


def test_a_hold_beyond_the_balance_changes_nothing(rig: Rig) -> None:
    before = rig.dump()

    assert rig.tick(rig.hold_line(101)) == ["INSUFFICIENT 100"]
    assert rig.dump() == before


def test_the_floor_is_not_available(rig: Rig) -> None:
    record = rig.account()
    pool = record.pools[0]._replace(floor=30)
    rig.client.hset(
        rig.keys.balances(1),
        account_field(ACCOUNT),
        AccountRecord(1, record.cseq, record.aseq, (pool,)).pack(),
    )

    assert rig.tick(rig.hold_line(71), rig.hold_line(70)) == ["INSUFFICIENT 70", "HELD 0"]


def test_holds_of_one_tick_see_each_other(rig: Rig) -> None:
    answers = rig.tick(rig.hold_line(60), rig.hold_line(60), rig.hold_line(40))

    assert answers == ["HELD 40", "INSUFFICIENT 40", "HELD 0"]
    assert rig.entries[-1].last_q == rig.meta.q == 3


def test_the_same_hold_again_reserves_nothing_more(rig: Rig) -> None:
    line = rig.hold_line(60)
    rig.tick(line)
    before = rig.dump()

    assert rig.tick(line) == ["HELD 40"]
    assert rig.tick(line, line) == ["HELD 40", "HELD 40"]
    assert rig.dump() == before


def test_the_same_hold_twice_in_one_tick_is_one_hold(rig: Rig) -> None:
    line = rig.hold_line(60)

    assert rig.tick(line, line) == ["HELD 40", "HELD 40"]
    assert rig.meta.open_holds == 1


def test_an_older_number_that_is_not_open_is_gone(rig: Rig) -> None:
    late = rig.hold_line(10, hold_id(1, SESSION))
    rig.hold(10, hold=hold_id(2, SESSION))

    assert rig.tick(late) == ["GONE"]


def test_an_unknown_session_needs_a_new_id(rig: Rig) -> None:
    line = rig.hold_line(10, hold_id(1, 77))

    assert rig.tick(line, session=77) == ["NEWID"]


@pytest.mark.parametrize("session", [0, SESSION])
def test_a_hold_of_another_session_than_the_calls_is_no_line(rig: Rig, session: int) -> None:
    assert rig.tick(rig.hold_line(10, hold_id(1, 77)), session=session) == ["BADLINE"]


def test_an_account_that_is_not_loaded_is_not_an_empty_one(rig: Rig) -> None:
    assert rig.tick(rig.hold_line(10, account=99)) == ["NOACCOUNT"]


def test_a_frozen_account_holds_nothing_until_it_thaws(rig: Rig) -> None:
    rig.control("f", flags=1)
    assert rig.tick(rig.hold_line(10)) == ["BLOCKED"]

    rig.control("f", flags=0)
    assert rig.tick(rig.hold_line(10)) == ["HELD 90"]


def test_a_key_must_be_known_live_and_of_this_account(rig: Rig) -> None:
    rig.load(13, keys=[(8, KeyRecord(1, 13, 3))])
    rig.control("k", object_id=20, amount=2, flags=3)
    rig.control("k", object_id=21, amount=1, flags=3, expiry_ms=rig.now)

    lines = [rig.hold_line(10, key=key) for key in (8, 20, 21, 22)]
    assert rig.tick(*lines) == ["BADKEY"] * 4


def test_a_key_without_the_scope_is_refused(rig: Rig) -> None:
    rig.control("k", object_id=20, amount=1, flags=1)

    lines = [rig.hold_line(10, key=20, scope=scope) for scope in (1, 2, 3)]
    assert rig.tick(*lines) == ["HELD 90", "SCOPE", "SCOPE"]


def test_a_rate_lets_a_burst_through_and_then_one_per_interval(rig: Rig) -> None:
    rate = Rate(interval_us=1_000_000, burst_us=2_000_000)
    lines = [rig.hold_line(1, rate=rate) for _ in range(5)]

    assert rig.tick(*lines) == ["HELD 99", "HELD 98", "HELD 97", "LIMITED 1000", "LIMITED 1000"]
    rig.at(rig.now + 999)
    assert rig.tick(rig.hold_line(1, rate=rate)) == ["LIMITED 1"]
    rig.at(rig.now + 1)
    assert rig.tick(rig.hold_line(1, rate=rate)) == ["HELD 96"]


@pytest.mark.parametrize("ceiling", [101, 100])
def test_a_refused_hold_uses_no_rate(rig: Rig, ceiling: int) -> None:
    rig.run("dials", dials_args(1, []))  # the journal is full
    rate = Rate(interval_us=1_000_000)

    assert rig.tick(rig.hold_line(ceiling, rate=rate)) in (["INSUFFICIENT 100"], ["BUSY"])
    assert rig.key().tat_us == 0


def test_the_window_bounds_what_postgres_does_not_know(each_redis_url: str, namespace: str) -> None:
    rig = Rig(each_redis_url, namespace)
    rig.open(window=50)
    rig.load()
    rig.grant(9, 100)

    first = rig.hold_line(30)
    assert rig.tick(first, rig.hold_line(21), rig.hold_line(20)) == ["HELD 70", "BUSY", "HELD 50"]
    # Held credit that came back is not spent, but Postgres has to know that first.
    rig.tick(b"SDc" + bytes(6) + first[3:15] + bytes([20, 0, 0]))
    assert rig.tick(rig.hold_line(1)) == ["BUSY"]
    assert rig.ack(rig.entries[-1]) == "OK"
    assert rig.tick(rig.hold_line(31), rig.hold_line(30)) == ["BUSY", "HELD 50"]
    rig.close()


def test_what_no_posting_could_make_room_for_is_not_busy(
    each_redis_url: str, namespace: str
) -> None:
    rig = Rig(each_redis_url, namespace)
    rig.open(window=50)
    rig.load()
    rig.grant(9, 100)

    assert rig.tick(rig.hold_line(51), rig.hold_line(101)) == ["TOOLARGE 50", "INSUFFICIENT 100"]
    assert rig.tick(rig.hold_line(50)) == ["HELD 50"]
    rig.close()


def test_a_full_journal_keeps_room_for_the_end_of_every_hold(
    each_redis_url: str, namespace: str
) -> None:
    rig = Rig(each_redis_url, namespace)
    rig.open(cap=110)
    rig.load()
    rig.grant(9, 100)

    answers = [rig.tick(rig.hold_line(1))[0] for _ in range(6)]
    # q - kq <= J - 2 open - 100: 1 <= 10, 2 <= 8, 3 <= 6, 4 <= 4, then 5 > 2.
    assert answers == ["HELD 99", "HELD 98", "HELD 97", "HELD 96", "BUSY", "BUSY"]
    rig.close()


def test_a_credit_type_the_shard_does_not_know_is_said_so(rig: Rig) -> None:
    assert rig.tick(rig.hold_line(1, credit_type=2)) == ["NOTYPE"]


def test_expired_lots_are_booked_before_a_hold_uses_others(rig: Rig) -> None:
    rig.grant(10, 5, expiry_ms=rig.now + 1_000)
    rig.at(rig.now + 1_000)

    assert rig.tick(rig.hold_line(101), rig.hold_line(60)) == ["INSUFFICIENT 100", "HELD 40"]
    kinds = [type(fact).__name__ for fact in rig.facts[-2:]]
    assert kinds == ["LotExpired", "HoldFact"]
    assert rig.lots() == {10: 0, 9: 40}


def test_an_account_in_the_older_layout_is_read_and_kept_in_the_new_one(rig: Rig) -> None:
    """An account that a release before wrote serves on; what it had is what it has."""
    record = rig.account()
    lot = record.pools[0].lots[0]
    older = struct.pack("<BI5sB", 1, record.cseq, record.aseq.to_bytes(5, "little"), 1)
    older += struct.pack("<B6sqB", TYPE, bytes(6), 0, 1)
    older += lot.lot.to_bytes(5, "little") + bytes([lot.priority])
    older += lot.expiry_ms.to_bytes(6, "little") + lot.remaining.to_bytes(6, "little")
    field = account_field(ACCOUNT)
    rig.client.hset(rig.keys.balances(1), field, older)

    assert rig.tick(rig.hold_line(60), rig.hold_line(41)) == ["HELD 40", "INSUFFICIENT 40"]
    raw = rig.client.hget(rig.keys.balances(1), field)
    assert raw == rig.account().pack()
    assert raw[0] == 65
    assert rig.account().aseq == record.aseq + 1
    assert rig.tick(rig.hold_line(40)) == ["HELD 0"]


@pytest.mark.parametrize("at", [0, -1, 1, -36, -37])
def test_a_plain_account_that_contradicts_itself_is_not_served(rig: Rig, at: int) -> None:
    """A byte of its status, its lot, how many there are, what is in them."""
    field = account_field(ACCOUNT)
    raw = bytearray(rig.client.hget(rig.keys.balances(1), field))
    raw[at] ^= 0x0F
    rig.client.hset(rig.keys.balances(1), field, bytes(raw))

    # More than it has, so that all of it is looked at.
    assert rig.tick(rig.hold_line(101)) == ["CORRUPT"]


def test_a_corrupt_account_is_the_answer_of_its_lines_only(rig: Rig) -> None:
    rig.load(13, keys=[(8, KeyRecord(1, 13, 3))])
    rig.client.hset(rig.keys.balances(1), account_field(13), b"nonsense of some length")

    lines = [rig.hold_line(1, account=13, key=8), rig.hold_line(1)]
    assert rig.tick(*lines) == ["CORRUPT", "HELD 99"]


@pytest.mark.parametrize(
    "line",
    [b"", b"H", b"Z" + bytes(60), b"H" + bytes(58), b"K" + bytes(2000), b"S" + bytes(5)],
)
def test_what_is_no_line_changes_nothing(rig: Rig, line: bytes) -> None:
    before = rig.dump()

    assert rig.tick(line) == ["BADLINE"]
    assert rig.dump() == before


def test_numbers_out_of_range_are_no_line(rig: Rig) -> None:
    lines = [rig.hold_line(0), rig.hold_line(MAX_AMOUNT + 1)]
    huge = rig.hold_line(1)
    huge = huge[:3] + b"\xff" * 8 + huge[11:]

    assert rig.tick(*lines, huge) == ["BADLINE"] * 3


def test_the_largest_amount_is_exact(rig: Rig) -> None:
    rig.run("dials", dials_args(10_000, [(TYPE, MAX_AMOUNT)]))
    rig.load(13, keys=[(8, KeyRecord(1, 13, 3))])
    rig.grant(9, MAX_AMOUNT, account=13)

    assert rig.tick(rig.hold_line(MAX_AMOUNT - 1, account=13, key=8)) == ["HELD 1"]
    assert rig.lots(13) == {9: 1}
    assert rig.meta.types[0].held == MAX_AMOUNT - 1


def test_a_check_passes_and_leaves_no_trace(rig: Rig) -> None:
    before = rig.dump()

    assert rig.tick(rig.hold_line(0, only_check=True), session=0) == ["PASS 100"]
    assert rig.tick(rig.hold_line(0, only_check=True, key=99)) == ["BADKEY"]
    assert rig.dump() == before


def test_a_check_uses_rate(rig: Rig) -> None:
    rate = Rate(interval_us=1_000_000)
    line = rig.hold_line(0, only_check=True, rate=rate)

    assert rig.tick(line, line) == ["PASS 100", "LIMITED 1000"]


def test_a_call_takes_at_most_64_lines(rig: Rig) -> None:
    lines = [rig.hold_line(1) for _ in range(64)]
    assert len(rig.tick(*lines)) == 64

    with pytest.raises(Exception, match="64 lines"):
        rig.tick(*lines, rig.hold_line(1))


def test_a_key_of_the_wrong_type_stops_the_call_before_it_writes(rig: Rig) -> None:
    rig.client.delete(rig.keys.holds(1))
    rig.client.set(rig.keys.holds(1), "not a hash")
    before = rig.dump()

    with pytest.raises(Exception, match="WRONGTYPE"):
        rig.tick(rig.hold_line(1))
    assert rig.dump() == before
