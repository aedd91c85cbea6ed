"""Limits besides the key's own rate: counted with the hold, and what is in flight until its end."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ledger.facts import HoldFact, UseFact
from ledger.limits import (
    ALL_ROUTES,
    DAY_MS,
    MOST_LIMITS,
    PERIODS,
    Limit,
    Loan,
    Per,
    Tally,
    Whose,
    limits_block,
    pack_tallies,
    read_loans,
    read_tallies,
    tally_field,
    window_id,
    window_number,
)
from ledger.lines import (
    CAPPED,
    Rate,
    dials_args,
    late_line,
    load_limits_args,
    renew_line,
    settle_line,
)
from ledger.records import ClosedHold, KeyRecord
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
    assert {tally.value for tally in tallies(rig, "k", KEY).values()} == {0}
    assert {tally.value for tally in tallies(rig, "a", ACCOUNT, ROAD).values()} == {0}
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


def test_no_line_takes_more_limits_or_more_weight_than_there_can_be() -> None:
    with pytest.raises(ValueError, match="33 limits"):
        limits_block([rate(1)] * (MOST_LIMITS + 1))
    with pytest.raises(ValueError, match="weight 0"):
        limits_block([], 0)


# What lasts: quotas, allowances, caps. The clock of the rig stands where the test puts it.

NOON = int(datetime(2127, 3, 12, 12, tzinfo=UTC).timestamp()) * 1000
NIGHT, APRIL = NOON + 12 * 3_600_000, NOON + (19 * 24 + 12) * 3_600_000
DAY = NOON // DAY_MS
MONTH = 12 * 2127 + 2


@pytest.fixture
def noon(rig: Rig) -> Rig:
    rig.skew_ms = 0
    rig.at(NOON)
    return rig


def quota(most: int, per: Per = "day", whose: Whose = "a", route: bytes = ALL_ROUTES) -> Limit:
    return Limit(whose, route, window_id("Q", per), "Q", most)


def allowance(most: int, per: Per = "month", whose: Whose = "a", route: bytes = ROAD) -> Limit:
    return Limit(whose, route, window_id("A", per), "A", most)


def cap(rig: Rig, units: int | None, per: Per, key: int = KEY, credit_type: int = 1) -> None:
    flags = int(units is not None)
    answer = rig.control(
        "c",
        credit_type=credit_type,
        object_id=key,
        amount=units or 0,
        priority=PERIODS.index(per),
        flags=flags,
    )
    assert answer == "OK"


def uses(rig: Rig) -> list[tuple[bool, str, int]]:
    return [
        (fact.back, use.kind, use.amount)
        for fact in rig.facts
        if isinstance(fact, UseFact)
        for use in fact.uses
    ]


def test_a_quota_ends_with_its_window_and_not_before(noon: Rig) -> None:
    assert asked(noon, quota(2, "month")) == f"HELD 99 1 {(APRIL - NOON) // 1000}"
    assert asked(noon, quota(2, "month")).startswith("HELD 98 0")
    assert asked(noon, quota(2, "month")) == f"LIMITED {APRIL - NOON} 1"
    noon.at(APRIL - 1)
    assert asked(noon, quota(2, "month")) == "LIMITED 1 1"
    noon.at(APRIL)
    assert asked(noon, quota(2, "month")).startswith("HELD 97 1")
    assert asked(noon, quota(9)).startswith("HELD 96 8")


@pytest.mark.parametrize(("ending", "left"), [((5, 1), 1), ((2, 1), 1), ((0, 20), 2), ((0, 40), 2)])
def test_what_failed_gives_the_quota_back(noon: Rig, ending: tuple[int, int], left: int) -> None:
    limits = limits_block([quota(2), allowance(0)])
    hold = noon.hold(5, limits=limits)
    noon.at(noon.now + (60_000 if ending[1] == 40 else 0))
    said = settle_line(hold, *ending)
    assert noon.tick(said, session=0)[0].startswith("DONE")
    noon.tick(said, session=0)

    assert asked(noon, quota(2)).split()[2] == str(left - 1)
    back = [(True, "Q", 1)] if left == 2 else []
    assert uses(noon) == [(False, "Q", 1), *back, (False, "Q", 1)]


def test_what_is_given_back_after_its_window_gives_nothing_to_the_next(noon: Rig) -> None:
    hold = noon.hold(5, limits=limits_block([quota(2)]))
    noon.at(NIGHT)
    assert asked(noon, quota(2)).startswith("HELD 94 1")
    noon.tick(settle_line(hold, 0, 20), session=0)
    assert tallies(noon, "a", ACCOUNT)[window_id("Q", "day")].value == 1


def test_an_allowance_is_used_before_credits(noon: Rig) -> None:
    """Its requests are held at price 0 and say so; then credits are taken, as without one."""
    assert asked(noon, allowance(2)) == "FREE 100"
    line = noon.hold_line(30, limits=limits_block([allowance(2)]))
    assert noon.tick(line, line) == ["FREE 100", "FREE 100"]
    assert noon.tick(noon.hold_line(30, limits=limits_block([allowance(2)]))) == ["HELD 70"]

    facts = [fact for fact in noon.facts if isinstance(fact, HoldFact)]
    assert [(fact.price, fact.balance) for fact in facts] == [(0, 100), (0, 100), (30, 70)]
    assert uses(noon) == [(False, "A", 1)] * 2
    assert noon.tick(settle_line(line[3:15], 0, 1), session=0) == ["DONE c 0"]
    assert noon.tick(settle_line(facts[0].hold_id, 1, 1), session=0) == ["TOOMUCH 0"]
    assert tallies(noon, "a", ACCOUNT, ROAD)[window_id("A", "month")] == Tally(
        window_id("A", "month"), "A", MONTH, 2
    )


def test_an_allowance_needs_no_credits(noon: Rig) -> None:
    assert noon.load(13, keys=[(88, KeyRecord(1, 13, 3))]) == "LOADED"
    assert asked(noon, allowance(1), account=13, key=88) == "FREE 0"
    assert asked(noon, allowance(1), account=13, key=88) == "INSUFFICIENT 0"
    noon.run("dials", dials_args(10_000, [(1, 3)]))
    line = noon.hold_line(99, limits=limits_block([allowance(9, "day")]))
    assert noon.tick(line) == ["FREE 100"]


@pytest.mark.parametrize(("captured", "reason", "word"), [(0, 1, "c"), (0, 20, "v"), (0, 40, "x")])
def test_what_cost_nothing_ends_as_any_hold(
    noon: Rig, captured: int, reason: int, word: str
) -> None:
    hold = noon.hold_line(30, limits=limits_block([allowance(1)]))
    assert noon.tick(hold) == ["FREE 100"]
    noon.at(noon.now + 60_000)
    said = settle_line(hold[3:15], captured, reason)

    assert noon.tick(said, session=0) == [f"DONE {word} 0"]
    assert noon.tick(said, session=0) == [f"DONE {word} 0"]
    again = asked(noon, allowance(1))
    assert again == ("HELD 99" if word == "c" else "FREE 100")
    assert noon.meta.types[0].held == (1 if word == "c" else 0)


def test_a_free_request_is_held_where_it_uses_a_quota(noon: Rig) -> None:
    line = noon.hold_line(0, limits=limits_block([quota(1)]))
    assert noon.tick(line) == [f"FREE 100 0 {(NIGHT - NOON) // 1000}"]
    assert noon.tick(noon.hold_line(0, limits=limits_block([quota(1)])))[0].startswith("LIMITED")
    assert noon.tick(noon.hold_line(0, limits=limits_block([rate(1)]))) == ["BADLINE"]


def test_what_costs_nothing_uses_up_no_allowance(noon: Rig) -> None:
    limits = limits_block([quota(9), allowance(1)])
    assert noon.tick(noon.hold_line(0, limits=limits))[0].startswith("FREE 100 8 ")
    assert noon.tick(noon.hold_line(30, limits=limits))[0].startswith("FREE 100 7 ")
    assert noon.tick(noon.hold_line(30, limits=limits))[0].startswith("HELD 70 6 ")


def test_a_cap_bounds_what_a_key_spends_in_its_window(noon: Rig) -> None:
    cap(noon, 10, "day")
    assert noon.tick(noon.hold_line(7)) == ["HELD 93"]
    assert noon.tick(noon.hold_line(4)) == [f"CAPPED {NIGHT - NOON} 1 1"]
    assert noon.tick(noon.hold_line(4, key=OTHER)) == ["HELD 89"]
    assert noon.tick(noon.hold_line(3)) == ["HELD 86"]
    noon.at(NIGHT)
    assert noon.tick(noon.hold_line(10)) == ["HELD 76"]
    assert uses(noon) == [(False, "C", 7), (False, "C", 3), (False, "C", 10)]


@pytest.mark.parametrize(("ends_in_ms", "answer"), [(1, "CAPPED"), (0, "HELD 90")])
def test_a_cap_counts_what_was_spent_before_it_while_that_window_lasts(
    noon: Rig, ends_in_ms: int, answer: str
) -> None:
    month = PERIODS.index("month")
    ends = noon.now + ends_in_ms
    spent = noon.control(
        "s", credit_type=1, object_id=KEY, amount=45, priority=month, expiry_ms=ends
    )
    assert spent == "OK"
    cap(noon, 50, "month")

    assert noon.tick(noon.hold_line(10))[0].startswith(answer)
    if ends_in_ms:
        assert noon.tick(noon.hold_line(5)) == ["HELD 95"]


def test_a_total_cap_never_opens_and_the_longest_is_named(noon: Rig) -> None:
    cap(noon, 10, "total")
    cap(noon, 9, "day")
    cap(noon, 8, "month")
    assert noon.tick(noon.hold_line(9)) == [f"CAPPED {APRIL - NOON} 1 2"]
    assert noon.tick(noon.hold_line(8)) == ["HELD 92"]
    assert noon.tick(noon.hold_line(3)) == ["CAPPED 0 1 0"]
    cap(noon, 20, "total")
    assert noon.tick(noon.hold_line(1)) == [f"CAPPED {APRIL - NOON} 1 2"]
    cap(noon, None, "month")
    assert noon.tick(noon.hold_line(1)) == ["HELD 91"]


def test_a_cap_counts_what_was_spent_and_no_more(noon: Rig) -> None:
    cap(noon, 10, "month")
    part, whole, failed = noon.hold(4), noon.hold(3), noon.hold(3)
    assert noon.tick(noon.hold_line(1))[0].startswith("CAPPED")
    ends = [settle_line(part, 1, 1), settle_line(whole, 3, 1), settle_line(failed, 0, 20)]
    noon.tick(*ends, *ends, session=0)

    assert tallies(noon, "k", KEY)[window_id("C", "month", 1)].value == 4
    assert uses(noon)[3:] == [(True, "C", 3), (True, "C", 3)]
    assert noon.tick(noon.hold_line(7))[0].startswith("CAPPED")
    assert noon.tick(noon.hold_line(6))[0].startswith("HELD")


def test_what_is_collected_late_counts_against_the_cap(noon: Rig) -> None:
    """Its expiry had given the room back."""
    cap(noon, 10, "month")
    hold = noon.hold(6)
    noon.at(noon.now + 60_000)
    noon.tick(settle_line(hold, 0, 40), session=0)
    late = late_line(
        hold, account=ACCOUNT, key=KEY, credit_type=1, amount=5, version=1, rule=2, reason=1
    )
    assert noon.tick(late, session=0) == ["DONE l 5"]
    assert noon.tick(noon.hold_line(6))[0].startswith("CAPPED")
    assert uses(noon) == [(False, "C", 6), (True, "C", 6), (False, "C", 5)]


def test_a_cap_of_another_type_is_not_asked_and_a_key_put_again_keeps_its_caps(noon: Rig) -> None:
    noon.run("dials", dials_args(10_000, [(2, 1_000)]))
    noon.grant(30, 50, credit_type=2)
    cap(noon, 5, "day", credit_type=2)
    assert noon.control("k", object_id=KEY, amount=1, flags=3) == "OK"
    assert noon.key().scopes == 3 | CAPPED

    assert noon.tick(noon.hold_line(50)) == ["HELD 50"]
    assert noon.tick(noon.hold_line(6, credit_type=2))[0].startswith("CAPPED")
    cap(noon, None, "day", credit_type=2)
    assert noon.key().scopes == 3
    assert noon.tick(noon.hold_line(6, credit_type=2)) == ["HELD 44"]


def test_what_lasts_comes_back_before_the_account_and_never_over_newer(noon: Rig) -> None:
    field, day = tally_field("a", ACCOUNT), window_id("Q", "day")
    tally = pack_tallies([Tally(day, "Q", DAY, 5)])
    noon.epoch = 2
    noon.open()
    assert noon.answer("load_limits", load_limits_args(1, {field: tally})) == "STALE"
    assert noon.answer("load_limits", load_limits_args(2, {field: tally})) == "OK"
    noon.load()
    noon.grant(9, 100)

    assert asked(noon, quota(7)).startswith("HELD 99 1")
    assert noon.answer("load_limits", load_limits_args(2, {field: tally})) == "OK"
    assert tallies(noon, "a", ACCOUNT)[day].value == 6


@pytest.mark.parametrize(
    "changed", [{"priority": 3}, {"credit_type": 0}, {"flags": 2}, {"amount": 2**47}]
)
def test_caps_of_no_sense_are_refused(noon: Rig, changed: dict[str, int]) -> None:
    values = {"credit_type": 1, "object_id": KEY, "amount": 5, "priority": 1, "flags": 1}
    before = noon.dump()
    assert noon.control("c", **(values | changed)) == "BADLINE"
    assert noon.dump() == before


@pytest.mark.parametrize(
    "day", ["2131-01-31", "2128-02-28", "2128-02-29", "2100-02-28", "2127-12-31", "2400-02-29"]
)
def test_months_end_where_the_calendar_says(rig: Rig, day: str) -> None:
    last_ms = int(datetime.fromisoformat(f"{day}T23:59:59Z").timestamp()) * 1000
    rig.client.setrange(rig.keys.meta, 32, struct.pack("<d", last_ms))
    rig.now = last_ms
    tomorrow = datetime.fromtimestamp(last_ms // 1000 + 1, UTC)

    [_, _, reset] = asked(rig, quota(9, "month"))[5:].split()
    assert (tomorrow.day == 1) == (reset == "1")
    number = window_number(window_id("Q", "month"), last_ms)
    assert tallies(rig, "a", ACCOUNT)[window_id("Q", "month")].window == number
