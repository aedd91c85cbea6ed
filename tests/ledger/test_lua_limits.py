"""Limits besides the key's own rate: counted with the hold, and what is in flight until its end."""

from collections.abc import Iterator

import pytest

from ledger.limits import (
    ALL_ROUTES,
    MOST_LIMITS,
    Limit,
    Loan,
    Tally,
    Whose,
    limits_block,
    read_loans,
    read_tallies,
    standings,
    tally_field,
)
from ledger.lines import Rate, dials_args, late_line, renew_line, settle_line
from ledger.records import ClosedHold, HoldFact, KeyRecord
from tests.ledger.script_rig import ACCOUNT, KEY, Rig

ROAD = b"road"
OTHER = KEY + 1


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load(keys=[(KEY, KeyRecord(1, ACCOUNT, 3)), (OTHER, KeyRecord(1, ACCOUNT, 3))])
    rig.grant(9, 100)
    yield rig
    rig.close()


def rate(most: int, whose: Whose = "k", route: bytes = ALL_ROUTES, window_s: int = 10) -> Limit:
    interval = window_s * 1_000_000 // most
    return Limit(whose, route, b"rate", "R", interval, (most - 1) * interval)


def in_flight(most: int, whose: Whose = "k", route: bytes = ALL_ROUTES) -> Limit:
    return Limit(whose, route, b"fly.", "F", most)


def asked(rig: Rig, *limits: Limit, weight: int = 1, **more: object) -> str:
    line = rig.hold_line(1, limits=limits_block(limits, weight), **more)
    [answer] = rig.tick(line)
    return answer


def tallies(rig: Rig, whose: Whose, owner: int, route: bytes = ALL_ROUTES) -> dict[bytes, Tally]:
    field = tally_field(whose, owner, route)
    raw = rig.client.hget(rig.keys.balances(rig.epoch), field)
    return {} if raw is None else read_tallies(raw)


@pytest.mark.parametrize("whose", ["k", "a", "e"])
def test_a_rate_lets_so_many_through_and_then_one_each_interval(rig: Rig, whose: Whose) -> None:
    """What is left and when all of it is back is said with each answer."""
    limit = rate(2, whose)

    assert asked(rig, limit) == "HELD 99 1 5"
    assert asked(rig, limit) == "HELD 98 0 10"
    assert asked(rig, limit) == "LIMITED 5000 1"
    rig.at(rig.now + 5_000)
    assert asked(rig, limit) == "HELD 97 0 10"
    assert asked(rig, limit) == "LIMITED 5000 1"


def test_what_is_an_accounts_counts_for_all_its_keys(rig: Rig) -> None:
    assert asked(rig, rate(1, "a")) == "HELD 99 0 10"
    assert asked(rig, rate(1, "a"), key=OTHER) == "LIMITED 10000 1"
    assert asked(rig, rate(1, "k"), key=OTHER) == "HELD 98 0 10"


def test_what_is_a_routes_counts_for_that_route_alone(rig: Rig) -> None:
    assert asked(rig, rate(1, "k", ROAD)) == "HELD 99 0 10"
    assert asked(rig, rate(1, "k", ROAD)) == "LIMITED 10000 1"
    assert asked(rig, rate(1, "k", b"lane")) == "HELD 98 0 10"
    assert asked(rig, rate(1, "k")) == "HELD 97 0 10"


def test_what_is_everyones_counts_for_all_accounts(rig: Rig) -> None:
    rig.load(13, keys=[(88, KeyRecord(1, 13, 3))])
    rig.grant(10, 5, account=13)

    assert asked(rig, rate(1, "e")) == "HELD 99 0 10"
    assert asked(rig, rate(1, "e"), account=13, key=88) == "LIMITED 10000 1"


def test_the_limit_that_keeps_it_longest_is_named(rig: Rig) -> None:
    slow, quick = rate(1, "a", window_s=60), rate(1, "k")
    own = Rate(20_000_000, 0)
    assert asked(rig, quick, slow, rate=own) == "HELD 99 0 20 0 10 0 60"

    assert asked(rig, quick, slow, rate=own) == "LIMITED 60000 2"
    assert asked(rig, quick, rate=own) == "LIMITED 20000 0"
    assert asked(rig, quick) == "LIMITED 10000 1"


def test_a_refusal_uses_no_limit(rig: Rig) -> None:
    """Neither one that another limit keeps back, nor one without credits, nor a busy shard's."""
    assert asked(rig, rate(1, "a")) == "HELD 99 0 10"
    before = rig.dump()

    assert asked(rig, rate(5), rate(1, "a"), in_flight(5)) == "LIMITED 10000 2"
    line = rig.hold_line(100, limits=limits_block([rate(5), in_flight(5)]))
    assert rig.tick(line) == ["INSUFFICIENT 99 5 0 5 0"]
    assert rig.dump() == before
    rig.run("dials", dials_args(1, []))
    assert asked(rig, rate(5), in_flight(5)) == "BUSY"
    assert tallies(rig, "k", KEY) == {}


def test_a_request_can_count_as_several(rig: Rig) -> None:
    own = Rate(1_000_000, 9_000_000)
    assert asked(rig, rate(10), weight=4, rate=own) == "HELD 99 6 4 6 4"
    assert asked(rig, rate(10), weight=6, rate=own) == "HELD 98 0 10 0 10"
    assert asked(rig, rate(10), weight=3, rate=own) == "LIMITED 3000 0"
    assert asked(rig, rate(10), weight=3) == "LIMITED 3000 1"


@pytest.mark.parametrize("ending", ["whole", "part", "void", "expire", "late"])
def test_what_is_in_flight_is_released_by_every_ending(rig: Rig, ending: str) -> None:
    limit = in_flight(1)
    hold = rig.hold(5, limits=limits_block([limit, in_flight(3, "a", ROAD)]))
    assert asked(rig, limit) == "LIMITED 1000 1"

    rig.at(rig.now + (60_000 if ending == "expire" else 0))
    late = late_line(
        hold, account=ACCOUNT, key=KEY, credit_type=1, amount=2, version=1, rule=2, reason=1
    )
    said = {
        "whole": settle_line(hold, 5, 1),
        "part": settle_line(hold, 2, 1),
        "void": settle_line(hold, 0, 20),
        "expire": settle_line(hold, 0, 40),
        "late": late,
    }
    answer = rig.tick(said[ending], session=0)
    assert answer[0].startswith("DONE")
    assert rig.tick(said[ending], session=0) == answer  # a repeat releases nothing more
    assert tallies(rig, "k", KEY) == tallies(rig, "a", ACCOUNT, ROAD) == {}
    assert asked(rig, limit).startswith("HELD")
    assert asked(rig, limit) == "LIMITED 1000 1"


def test_a_repeated_hold_counts_once(rig: Rig) -> None:
    line = rig.hold_line(1, limits=limits_block([rate(9), in_flight(9)]))

    assert rig.tick(line, line) == ["HELD 99 8 2 8 0", "HELD 99"]
    assert rig.tick(line) == ["HELD 99"]
    assert tallies(rig, "k", KEY)[b"fly."].value == 1


def test_a_check_counts_as_a_request_and_flies_nowhere(rig: Rig) -> None:
    limits = (rate(2), in_flight(1))
    answers = [asked(rig, *limits, only_check=True) for _ in range(3)]

    assert answers == ["PASS 100 1 5 1 0", "PASS 100 0 10 1 0", "LIMITED 5000 1"]
    assert list(tallies(rig, "k", KEY)) == [b"rate"]


def test_the_hold_keeps_what_it_must_give_back_beside_its_fact(rig: Rig) -> None:
    hold = rig.hold(5, limits=limits_block([rate(9), in_flight(3, "a", ROAD)]), detail=b'{"u":[1]}')
    raw = rig.client.hget(rig.keys.holds(1), hold)

    assert read_loans(raw) == [Loan("a", ROAD, b"fly.", "F", 0, 1)]
    fact = rig.kept(hold)
    assert isinstance(fact, HoldFact)
    assert (fact.detail, rig.facts[-1]) == (b'{"u":[1]}', fact)
    rig.tick(renew_line(hold, rig.now + 90_000), session=0)
    assert read_loans(rig.client.hget(rig.keys.holds(1), hold))
    assert rig.tick(settle_line(hold, 5, 1), session=0) == ["DONE c 5"]
    assert rig.kept(hold) == ClosedHold("c", 5)


def test_limits_that_are_no_more_are_forgotten(rig: Rig) -> None:
    """A file that changes leaves nothing behind but what still counts."""
    asked(rig, Limit("k", ALL_ROUTES, b"old.", "R", 1_000_000, 0))
    assert list(tallies(rig, "k", KEY)) == [b"old."]
    rig.at(rig.now + 1_000)
    asked(rig, rate(9))
    assert list(tallies(rig, "k", KEY)) == [b"rate"]


def test_a_new_epoch_begins_them_anew_and_releases_nothing_twice(rig: Rig) -> None:
    """A restored hold was not counted here, so its end takes nothing from those that were."""
    hold = rig.hold(5, limits=limits_block([in_flight(2)]))
    fact = rig.kept(hold)
    rig.epoch = 2
    rig.open(held=5, holds=1)
    rig.load(holds=[fact] if isinstance(fact, HoldFact) else [])
    rig.grant(9, 100)

    assert asked(rig, in_flight(2)) == "HELD 99 1 0"
    assert rig.tick(settle_line(hold, 5, 1), session=0) == ["DONE c 5"]
    assert tallies(rig, "k", KEY)[b"fly."].value == 1


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        b"\1\1",  # no whole head
        b"\1\1\0" + bytes(21),  # no whole limit
        b"\1\0\0" + limits_block([rate(1)])[3:],  # it counts as nothing
        b"\1\1\0" + bytes(22),  # of no kind
        limits_block([rate(1)])[:-12] + bytes(12),  # a rate without an interval
        bytes([MOST_LIMITS + 1, 1, 0]) + limits_block([rate(1)])[3:] * (MOST_LIMITS + 1),
        limits_block([rate(1)]) + bytes(1025),  # a detail that is too long
    ],
)
def test_limits_that_do_not_add_up_are_no_line(rig: Rig, behind: bytes) -> None:
    before = rig.dump()
    plain = rig.hold_line(1, scope=1 | 128)

    assert rig.tick(plain + behind) == ["BADLINE"]
    assert rig.dump() == before


@pytest.mark.parametrize("raw", [b"x", b"rateR" + bytes(4) + b"\xff" * 8])
def test_a_corrupt_tally_is_the_answer_of_its_lines_and_keeps_no_credit(
    rig: Rig, raw: bytes
) -> None:
    hold = rig.hold(5, limits=limits_block([in_flight(3)]))
    rig.client.hset(rig.keys.balances(1), tally_field("k", KEY), raw)

    limited = rig.hold_line(1, limits=limits_block([rate(1)]))
    assert rig.tick(limited, rig.hold_line(1)) == ["CORRUPT", "HELD 94"]
    assert rig.tick(settle_line(hold, 0, 20), session=0) == ["DONE v 0"]


def test_limits_stand_in_the_order_in_which_they_were_asked() -> None:
    assert [tuple(one) for one in standings([b"5", b"2", b"0", b"60"])] == [(5, 2), (0, 60)]
    assert standings([]) == []


def test_no_line_takes_more_limits_or_more_weight_than_there_can_be() -> None:
    with pytest.raises(ValueError, match="33 limits"):
        limits_block([rate(1)] * (MOST_LIMITS + 1))
    with pytest.raises(ValueError, match="weight 0"):
        limits_block([], 0)
