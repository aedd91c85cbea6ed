"""Lots that are limited to some routes, in the scripts: what a line may use, and what comes back."""

from collections.abc import Iterator

import pytest

from ledger.account_record import AccountRecord, Lot, Pool, account_field
from ledger.lines import late_line, settle_line
from ledger.reach_bytes import OF_A_LOT, reaches_block
from tests.ledger.script_rig import ACCOUNT, KEY, TYPE, Rig

ALL, SOME = 7, 8  # lots: of every route, and limited


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    yield rig
    rig.close()


def raw_account(rig: Rig) -> bytes:
    found: bytes = rig.client.hget(rig.keys.balances(rig.epoch), account_field(ACCOUNT))
    return found


@pytest.mark.parametrize("reach", [1, 8, 9, 16, 17, 4_096])
def test_a_limited_lot_is_used_by_lines_that_have_its_reach(rig: Rig, reach: int) -> None:
    rig.grant(SOME, 10, reach=reach)
    others = set(range(1, 4_097)) - {reach}

    [refused] = rig.tick(rig.hold_line(1, reaches=reaches_block(4_096, others)))
    [held] = rig.tick(rig.hold_line(4, reaches=reaches_block(reach, {reach})))

    assert (refused, held) == ("INSUFFICIENT 0", "HELD 6")
    assert rig.lots() == {SOME: 6}


def test_who_does_not_know_a_lots_reach_is_told_and_nothing_changes(rig: Rig) -> None:
    rig.grant(ALL, 10)
    rig.grant(SOME, 10, reach=3)
    before = rig.dump()
    hold = rig.mint()

    for reaches in (b"", reaches_block(2, {1, 2})):
        line = rig.hold_line(1, hold, reaches=reaches)
        assert rig.tick(line) == ["NEWREACH"]
        assert rig.tick(b"K" + line[1:]) == ["NEWREACH"]
    assert rig.dump() == before
    assert rig.tick(rig.hold_line(1, hold, reaches=reaches_block(3, ()))) == ["HELD 9"]
    assert rig.lots() == {SOME: 10, ALL: 9}


def test_a_reach_need_not_be_known_where_nothing_is_left_of_its_lot(rig: Rig) -> None:
    rig.grant(ALL, 10)
    rig.grant(SOME, 10, reach=3)
    rig.hold(10, reaches=reaches_block(3, {3}))
    assert rig.tick(rig.hold_line(1)) == ["HELD 9"]


def test_of_equal_rank_the_limited_lot_burns_first_then_the_older(rig: Rig) -> None:
    for lot, reach in ((3, 0), (4, 2), (5, 0), (6, 1)):
        rig.grant(lot, 1, reach=reach)
    rig.grant(9, 1, priority=50)
    assert list(rig.lots()) == [9, 4, 6, 3, 5]
    assert [lot.reach for lot in rig.account().pools[0].lots] == [0, 2, 1, 0, 0]


def test_a_hold_takes_what_its_route_may_use_in_burn_order(rig: Rig) -> None:
    for lot, amount, reach in ((3, 5, 0), (4, 5, 1), (5, 5, 2)):
        rig.grant(lot, amount, reach=reach)
    hold = rig.hold(7, reaches=reaches_block(2, {2}))
    assert rig.lots() == {4: 5, 5: 0, 3: 3}
    assert rig.tick(settle_line(hold, 3, 1)) == ["DONE c 3"]
    assert rig.lots() == {4: 5, 5: 2, 3: 5}


def test_a_repeat_is_told_what_its_route_may_use(rig: Rig) -> None:
    rig.grant(ALL, 10)
    rig.grant(SOME, 10, reach=1)
    line = rig.hold_line(3, reaches=reaches_block(2, {2}))
    assert rig.tick(line) == ["HELD 7"]
    assert rig.tick(line) == ["HELD 7"]


def test_what_is_booked_late_is_paid_from_what_its_route_may_use(rig: Rig) -> None:
    rig.grant(ALL, 2)
    rig.grant(SOME, 10, reach=1)

    def late(reaches: bytes) -> list[str]:
        line = late_line(
            rig.mint(), account=ACCOUNT, key=KEY, credit_type=TYPE, amount=5, version=1, rule=2,
            reason=1, status=200, reaches=reaches, detail=b'{"n": 1}',
        )  # fmt: skip
        return rig.tick(line)

    assert late(b"") == ["NEWREACH"]
    assert late(reaches_block(1, {1})) == ["DONE l 5"]
    assert late(reaches_block(1, ())) == ["DONE l 2"]
    assert rig.lots() == {SOME: 5, ALL: 0}
    assert [
        (fact.taken, fact.written_off, fact.reason, fact.detail) for fact in rig.facts[-2:]
    ] == [
        (5, 0, 1, b'{"n": 1}'),
        (2, 3, 1, b'{"n": 1}'),
    ]


def test_a_restored_hold_knows_the_reach_of_a_lot_that_the_account_forgot(rig: Rig) -> None:
    rig.grant(SOME, 4, reach=5)
    hold = rig.hold(4, reaches=reaches_block(5, {5}))
    fact = rig.kept(hold)
    rig.epoch += 1
    rig.open(held=4, holds=1)

    rig.load(record=AccountRecord(1, 1, 2, ()), holds=[fact], reaches={SOME: 5})
    assert rig.tick(settle_line(hold, 1, 1)) == ["DONE c 1"]

    [pool] = rig.account().pools
    assert pool.lots == (Lot(SOME, 100, 2**48 - 1, 3, 5),)


def test_the_block_stands_between_limits_and_detail(rig: Rig) -> None:
    rig.grant(SOME, 10, reach=1)
    block = reaches_block(1, {1})
    hold = rig.hold(2, reaches=block, detail=b'{"u": [1]}')
    assert rig.facts[-1].detail == b'{"u": [1]}'
    raw = rig.client.hget(rig.keys.holds(rig.epoch), hold)
    assert raw.endswith(
        b"l" + bytes(8) + OF_A_LOT.encode() + b"\1\0\0\0" + bytes((SOME, 0, 0, 0, 0, 0))
    )
    for broken in (b"\1", b"\1\0", b"\xff\xff" + bytes(100)):
        assert rig.tick(rig.hold_line(1, reaches=broken)) == ["BADLINE"]


def test_an_account_without_limited_lots_keeps_the_bytes_it_had(rig: Rig) -> None:
    rig.grant(ALL, 10)
    rig.grant(SOME, 10, reach=1)
    limited = raw_account(rig)
    assert limited.endswith(b"R\1\0" + bytes((SOME, 0, 0, 0, 0, 1, 0)))
    assert AccountRecord.unpack(limited).pack() == limited

    # The empty lot goes when a 32nd place is wanted, and with it what was said of it.
    rig.hold(10, reaches=reaches_block(1, {1}))
    for lot in range(100, 132):
        rig.grant(lot, 1)
    assert not any(lot.reach for lot in rig.account().pools[0].lots)
    assert b"R\1\0" not in raw_account(rig)[-10:]


@pytest.mark.parametrize(
    "tail",
    [
        b"R\1\0" + bytes((9, 0, 0, 0, 0, 1, 0)),  # a lot that is not there
        b"R\1\0" + bytes((SOME, 0, 0, 0, 0, 0, 0)),  # reach 0
        b"R\1\0" + bytes((SOME, 0, 0, 0, 0, 1, 16 + 1)),  # above the highest
        b"R\2\0" + bytes((SOME, 0, 0, 0, 0, 1, 0)) * 2,
        b"R\2\0" + bytes((SOME, 0, 0, 0, 0, 1, 0)),
        b"R\0\0",
        b"S\1\0" + bytes((SOME, 0, 0, 0, 0, 1, 0)),
        b"R",
    ],
)
def test_a_tail_that_does_not_add_up_is_a_corrupt_account(rig: Rig, tail: bytes) -> None:
    rig.grant(SOME, 10)
    plain = raw_account(rig)
    rig.client.hset(rig.keys.balances(rig.epoch), account_field(ACCOUNT), plain + tail)
    assert rig.tick(rig.hold_line(1, reaches=reaches_block(1, {1}))) == ["CORRUPT"]


def test_limited_lots_and_others_have_32_places_each(rig: Rig) -> None:
    for lot in range(1, 34):
        rig.grant(lot, 1, reach=1)
    for lot in range(101, 134):
        rig.grant(lot, 1)
    results = [fact.result for fact in rig.facts[-66:]]
    assert results == ["a"] * 32 + ["q"] + ["a"] * 32 + ["q"]
    [pool] = rig.account().pools
    assert isinstance(pool, Pool)
    assert len(pool.lots) == 64


def test_a_reach_above_the_highest_is_no_control(rig: Rig) -> None:
    assert rig.control("g", credit_type=TYPE, object_id=SOME, amount=1, reach=4_097) == "BADLINE"
