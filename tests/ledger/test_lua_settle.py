"""SETTLE, LATE, RENEW and OBSERVED: the one ending of every hold."""

from collections.abc import Iterator

import pytest

from ledger.account_record import Lot
from ledger.facts import (
    Allocated,
    HoldFact,
    LateFact,
    LotAmount,
    LotExpired,
    ObservedFact,
    SettleFact,
    WholeCapture,
)
from ledger.lines import dials_args, late_line, observed_line, renew_line, settle_line
from ledger.reasons import Reason
from ledger.records import ClosedHold
from tests.ledger.script_rig import ACCOUNT, KEY, TYPE, Rig

DELIVERED, STATUS, EXPIRED = Reason.DELIVERED, Reason.STATUS, Reason.EXPIRED


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    rig.grant(9, 100)
    yield rig
    rig.close()


def late(rig: Rig, hold: bytes, amount: int, **values: int) -> bytes:
    values = {"account": ACCOUNT, "key": KEY, "credit_type": TYPE} | values
    return late_line(hold, amount=amount, version=1, rule=2, reason=DELIVERED, status=200, **values)


def test_a_capture_of_the_whole_hold_touches_no_account(rig: Rig) -> None:
    hold = rig.hold(60)
    before = rig.account()

    assert rig.tick(settle_line(hold, 60, DELIVERED, 200)) == ["DONE c 60"]
    assert rig.facts[-1] == WholeCapture(hold, DELIVERED, 200)
    assert rig.account() == before
    assert rig.kept(hold) == ClosedHold("c", 60)
    assert rig.meta.open_holds == 0
    assert rig.meta.types[0].returned == 60


def test_a_smaller_capture_gives_the_rest_back(rig: Rig) -> None:
    hold = rig.hold(60)

    assert rig.tick(settle_line(hold, 10, DELIVERED, 200, b"{}")) == ["DONE c 10"]
    assert rig.facts[-1] == SettleFact(
        hold,
        "c",
        10,
        DELIVERED,
        200,
        ACCOUNT,
        TYPE,
        aseq=3,
        balance=90,
        debt_paid=0,
        given_back=(LotAmount(9, 50),),
        detail=b"{}",
    )
    assert rig.lots() == {9: 90}
    assert rig.meta.types[0].returned == 60


def test_a_capture_of_nothing_is_a_capture_and_a_void_is_a_void(rig: Rig) -> None:
    first, second = rig.hold(60), rig.hold(40)

    lines = [settle_line(first, 0, DELIVERED), settle_line(second, 0, STATUS, 500)]
    assert rig.tick(*lines) == ["DONE c 0", "DONE v 0"]
    assert rig.lots() == {9: 100}


def test_lots_get_back_in_reverse_order_of_use(rig: Rig) -> None:
    rig.grant(10, 50, priority=200)
    hold = rig.hold(120)

    rig.tick(settle_line(hold, 90, DELIVERED))

    assert rig.lots() == {9: 0, 10: 50} | {9: 10}
    fact = rig.facts[-1]
    assert isinstance(fact, SettleFact)
    assert fact.given_back == (LotAmount(10, 20), LotAmount(9, 10))


def test_a_settlement_again_answers_as_the_first(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.tick(settle_line(hold, 10, DELIVERED))
    before = rig.dump()

    again = [settle_line(hold, 10, DELIVERED), settle_line(hold, 60, DELIVERED)]
    assert rig.tick(*again, settle_line(hold, 0, STATUS)) == ["DONE c 10"] * 3
    assert rig.dump() == before


def test_a_hold_and_its_ending_in_one_tick_happen_once(rig: Rig) -> None:
    line = rig.hold_line(60)
    end = settle_line(line[3:15], 10, DELIVERED)

    assert rig.tick(line, end, end) == ["HELD 40", "DONE c 10", "DONE c 10"]
    assert rig.lots() == {9: 90}


def test_more_than_was_held_is_not_taken(rig: Rig) -> None:
    hold = rig.hold(60)
    before = rig.dump()

    assert rig.tick(settle_line(hold, 61, DELIVERED)) == ["TOOMUCH 60"]
    assert rig.dump() == before


def test_a_hold_nobody_knows_is_said_so(rig: Rig) -> None:
    assert rig.tick(settle_line(rig.mint(), 1, DELIVERED)) == ["NOHOLD"]


@pytest.mark.parametrize(("captured", "reason"), [(1, STATUS), (1, EXPIRED), (0, 0), (0, 41)])
def test_an_amount_that_contradicts_its_reason_is_no_line(
    rig: Rig, captured: int, reason: int
) -> None:
    assert rig.tick(settle_line(rig.hold(60), captured, reason)) == ["BADLINE"]


def test_a_hold_expires_at_its_deadline_and_not_before(rig: Rig) -> None:
    hold = rig.hold(60, deadline_ms=rig.now + 1_000)
    line = settle_line(hold, 0, EXPIRED)

    rig.at(rig.now + 999)
    assert rig.tick(line) == ["EARLY"]
    rig.at(rig.now + 1)
    assert rig.tick(line) == ["DONE x 0"]
    assert rig.lots() == {9: 100}


def test_an_expired_hold_captures_nothing_any_more(rig: Rig) -> None:
    hold = rig.hold(60, deadline_ms=rig.now)
    rig.tick(settle_line(hold, 0, EXPIRED))

    lines = [settle_line(hold, 10, DELIVERED), settle_line(hold, 0, STATUS)]
    assert rig.tick(*lines) == ["EXPIRED", "DONE x 0"]


def test_what_returns_to_an_expired_lot_expires_with_it(rig: Rig) -> None:
    rig.grant(10, 30, priority=1, expiry_ms=rig.now + 1_000)
    hold = rig.hold(20)
    rig.at(rig.now + 1_000)

    assert rig.tick(settle_line(hold, 5, DELIVERED)) == ["DONE c 5"]
    settled, expired = rig.facts[-2:]
    assert isinstance(settled, SettleFact)
    assert (settled.given_back, settled.balance) == ((LotAmount(10, 15),), 125)
    assert expired == LotExpired(ACCOUNT, TYPE, 10, 25, aseq=settled.aseq + 1, balance=100)


def test_returned_credit_pays_debt_first(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.control("w", credit_type=TYPE, object_id=9, amount=55)
    assert rig.account().pools[0].debt == 15

    rig.tick(settle_line(hold, 20, DELIVERED))

    fact = rig.facts[-1]
    assert isinstance(fact, SettleFact)
    assert (fact.debt_paid, fact.given_back, fact.balance) == (15, (LotAmount(9, 25),), 25)
    assert rig.account().pools[0].debt == 0


def test_returned_credit_goes_back_into_a_lot_that_was_dropped(rig: Rig) -> None:
    hold = rig.hold(100)
    for lot in range(100, 132):
        rig.grant(lot, 1)
    assert 9 not in rig.lots()

    assert rig.tick(settle_line(hold, 40, DELIVERED)) == ["DONE c 40"]
    assert rig.account().pools[0].lots[0] == Lot(9, 100, 2**48 - 1, 60)
    assert rig.tick(rig.hold_line(92)) == ["HELD 0"]


def test_renewal_moves_the_deadline_forward_only(rig: Rig) -> None:
    hold = rig.hold(60, deadline_ms=rig.now + 1_000)
    q = rig.meta.q

    lines = [renew_line(hold, rig.now + 5_000), renew_line(hold, rig.now + 2_000)]
    assert rig.tick(*lines) == ["RENEWED", "RENEWED"]
    kept = rig.kept(hold)
    assert isinstance(kept, HoldFact)
    assert kept.deadline_ms == rig.now + 5_000
    assert rig.meta.q == q
    assert rig.tick(settle_line(hold, 10, DELIVERED)) == ["DONE c 10"]


def test_only_an_open_hold_is_renewed(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.tick(settle_line(hold, 0, STATUS))

    assert rig.tick(renew_line(hold, rig.now), renew_line(rig.mint(), rig.now)) == ["NOHOLD"] * 2


def test_late_work_is_taken_and_booked(rig: Rig) -> None:
    hold = rig.mint()

    assert rig.tick(late(rig, hold, 60)) == ["DONE l 60"]
    assert rig.facts[-1] == LateFact(
        hold,
        ACCOUNT,
        KEY,
        TYPE,
        taken=60,
        written_off=0,
        version=1,
        rule=2,
        reason=DELIVERED,
        status=200,
        aseq=2,
        balance=40,
        allocation=(Allocated(9, 100, 2**48 - 1, 60),),
    )
    assert (rig.meta.types[0].held, rig.meta.types[0].returned) == (60, 60)


def test_late_work_takes_no_more_than_there_is(rig: Rig) -> None:
    assert rig.tick(late(rig, rig.mint(), 130)) == ["DONE l 100"]
    fact = rig.facts[-1]
    assert isinstance(fact, LateFact)
    assert (fact.taken, fact.written_off, fact.balance) == (100, 30, 0)


def test_late_work_leaves_debt_alone(rig: Rig) -> None:
    rig.control("w", credit_type=TYPE, amount=120)

    assert rig.tick(late(rig, rig.mint(), 10)) == ["DONE l 0"]
    assert rig.account().pools[0].debt == 20


def test_late_work_of_a_pool_that_never_was_is_written_off(rig: Rig) -> None:
    rig.load(13, keys=[])

    assert rig.tick(late(rig, rig.mint(), 10, account=13)) == ["DONE l 0"]


def test_late_work_again_is_booked_once(rig: Rig) -> None:
    line = late(rig, rig.mint(), 60)

    assert rig.tick(line, line) == ["DONE l 60", "DONE l 60"]
    assert rig.tick(line, settle_line(line[1:13], 60, DELIVERED)) == ["DONE l 60", "DONE l 60"]
    assert rig.lots() == {9: 40}


def test_a_hold_that_was_booked_late_does_not_begin_any_more(rig: Rig) -> None:
    """Not in the same call, nor in a later one; of the session's other ids nothing changes."""
    before, first, second, after = (rig.hold_line(1) for _ in range(4))
    lates = [late(rig, line[3:15], 10) for line in (second, first)]

    assert rig.tick(before) == ["HELD 99"]
    assert rig.tick(lates[0], first) == ["DONE l 10", "GONE"]
    assert rig.tick(lates[1]) == ["DONE l 10"]
    assert rig.tick(first, second, after) == ["GONE", "GONE", "HELD 78"]


def test_late_work_whose_hold_is_open_settles_it(rig: Rig) -> None:
    hold = rig.hold(60)

    assert rig.tick(late(rig, hold, 50)) == ["DONE c 50"]
    assert rig.lots() == {9: 50}


def test_late_work_after_expiry_is_taken_again(rig: Rig) -> None:
    hold = rig.hold(60, deadline_ms=rig.now)
    rig.tick(settle_line(hold, 0, EXPIRED))

    assert rig.tick(late(rig, hold, 60)) == ["DONE l 60"]
    assert rig.kept(hold) == ClosedHold("l", 60)


def test_late_work_after_a_void_stays_void(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.tick(settle_line(hold, 0, STATUS))

    assert rig.tick(late(rig, hold, 60)) == ["DONE v 0"]


def test_late_work_waits_for_the_window(rig: Rig) -> None:
    rig.run("dials", dials_args(10_000, [(TYPE, 50)]))

    assert rig.tick(late(rig, rig.mint(), 51), late(rig, rig.mint(), 50)) == ["BUSY", "DONE l 50"]


def test_late_work_needs_its_account(rig: Rig) -> None:
    assert rig.tick(late(rig, rig.mint(), 1, account=99)) == ["NOACCOUNT"]


def test_an_observed_request_moves_nothing(rig: Rig) -> None:
    account = rig.account()
    line = observed_line(
        b"o" * 12,
        account=0,
        key=0,
        credit_type=TYPE,
        amount=7,
        version=1,
        rule=3,
        status=200,
        detail=b'{"u":[7]}',
    )

    assert rig.tick(line) == ["OK"]
    assert rig.facts[-1] == ObservedFact(b"o" * 12, 0, 0, TYPE, 7, 1, 3, 200, b'{"u":[7]}')
    assert rig.account() == account


def test_a_corrupt_hold_is_the_answer_of_its_line_only(rig: Rig) -> None:
    bad, good = rig.hold(10), rig.hold(10)
    raw = rig.client.hget(rig.keys.holds(1), bad)
    rig.client.hset(rig.keys.holds(1), bad, raw[:30] + b"\xff" + raw[31:])

    lines = [settle_line(bad, 5, DELIVERED), settle_line(good, 5, DELIVERED)]
    assert rig.tick(*lines) == ["CORRUPT", "DONE c 5"]
