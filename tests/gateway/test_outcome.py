"""The table "What is charged", row by row."""

import pytest

from gateway.outcome import Charge, End, Ending, Outcome, outcome
from ledger.reasons import Reason

FLAT = Charge(ceiling=5, cost=5, final=True)
METERED = Charge(ceiling=50, cost=12, final=False)
MISSING = Charge(ceiling=50, cost=50, final=False, missing=True)
ABOVE = Charge(ceiling=50, cost=61, final=False)


def void(reason: Reason) -> Outcome:
    return Outcome(capture=False, amount=0, reason=reason)


def captured(amount: int, reason: Reason, uncollected: int = 0) -> Outcome:
    return Outcome(capture=True, amount=amount, reason=reason, uncollected=uncollected)


def test_a_whole_answer_with_a_covered_status_costs_the_price() -> None:
    assert outcome(Ending(End.COMPLETE, 200, covered=True), FLAT) == captured(5, Reason.DELIVERED)


def test_a_metered_answer_costs_what_was_measured() -> None:
    ending = Ending(End.COMPLETE, 200, covered=True)
    assert outcome(ending, METERED) == captured(12, Reason.DELIVERED)


def test_a_measured_cost_of_nothing_is_a_capture_of_nothing() -> None:
    free = Charge(ceiling=50, cost=0, final=False)
    ending = Ending(End.COMPLETE, 200, covered=True)
    assert outcome(ending, free) == captured(0, Reason.DELIVERED)


def test_a_cost_above_the_hold_is_captured_up_to_it_and_the_rest_recorded() -> None:
    ending = Ending(End.COMPLETE, 200, covered=True)
    assert outcome(ending, ABOVE) == captured(50, Reason.UNCOLLECTED, uncollected=11)


def test_a_missing_usage_costs_what_the_file_says_for_it() -> None:
    ending = Ending(End.COMPLETE, 200, covered=True)
    assert outcome(ending, MISSING) == captured(50, Reason.USAGE_MISSING)


@pytest.mark.parametrize("charge", [FLAT, METERED, MISSING])
def test_a_status_that_is_not_covered_costs_nothing(charge: Charge) -> None:
    assert outcome(Ending(End.COMPLETE, 500), charge) == void(Reason.STATUS)


@pytest.mark.parametrize("charge", [FLAT, METERED])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (End.REFUSED, Reason.UPSTREAM_REFUSED),
        (End.RESET, Reason.UPSTREAM_RESET),
        (End.TIMEOUT, Reason.UPSTREAM_TIMEOUT),
        (End.INVALID, Reason.UPSTREAM_INVALID),
        (End.CUT, Reason.UPSTREAM_CUT),
        (End.GONE_EARLY, Reason.CLIENT_GONE_EARLY),
        (End.BODY_REJECTED, Reason.BODY_REJECTED),
    ],
)
def test_what_fails_costs_nothing_and_says_why(end: End, reason: Reason, charge: Charge) -> None:
    assert outcome(Ending(end), charge) == void(reason)


def test_an_answer_that_timed_out_behind_a_covered_head_costs_nothing() -> None:
    ending = Ending(End.TIMEOUT, 200, covered=True)
    assert outcome(ending, FLAT) == void(Reason.UPSTREAM_TIMEOUT)


def test_a_client_gone_later_pays_a_price_known_before() -> None:
    assert outcome(Ending(End.GONE_LATER), FLAT) == captured(5, Reason.CLIENT_GONE)


def test_a_client_gone_later_pays_what_was_measured_meanwhile() -> None:
    ending = Ending(End.GONE_LATER, 200, covered=True)
    assert outcome(ending, METERED) == captured(12, Reason.CLIENT_GONE)


def test_a_client_gone_before_the_usage_came_pays_what_missing_says() -> None:
    assert outcome(Ending(End.GONE_LATER), MISSING) == captured(50, Reason.USAGE_MISSING)


def test_a_client_that_left_after_the_head_of_a_failure_pays_nothing() -> None:
    """The head it read said `Farebox-Cost: 0`."""
    assert outcome(Ending(End.GONE_LATER, 500), FLAT) == void(Reason.STATUS)


def test_a_cut_stream_may_count_as_delivered() -> None:
    ending = Ending(End.CUT, 200, covered=True)
    assert outcome(ending, METERED, cut_is_delivered=True) == captured(12, Reason.CUT_DELIVERED)


@pytest.mark.parametrize(
    ("ending", "charge"),
    [
        (Ending(End.CUT, 200, covered=True), FLAT),
        (Ending(End.CUT, 500), METERED),
    ],
)
def test_a_cut_counts_as_delivered_only_when_metered_and_covered(
    ending: Ending, charge: Charge
) -> None:
    assert outcome(ending, charge, cut_is_delivered=True) == void(Reason.UPSTREAM_CUT)


@pytest.mark.parametrize("end", list(End))
@pytest.mark.parametrize("charge", [FLAT, METERED, MISSING, ABOVE])
@pytest.mark.parametrize("covered", [True, False])
def test_nothing_is_captured_above_the_hold_and_reasons_fit(
    end: End, charge: Charge, *, covered: bool
) -> None:
    result = outcome(Ending(end, 200, covered=covered), charge, cut_is_delivered=True)
    assert 0 <= result.amount <= charge.ceiling
    assert result.reason.captures is result.capture
    assert result.capture or result.amount == 0
