"""What a refused payment leads to."""

import pytest

from billing.topup.declines import HARD, MOST_DECLINES, Failure, Pause, Rest, what_next


@pytest.mark.parametrize("code", sorted(HARD))
def test_what_time_does_not_heal_pauses_at_once(code: str) -> None:
    assert isinstance(what_next(Failure("card_declined", code), 1), Pause)
    assert isinstance(what_next(Failure(code), 1), Pause)


def test_the_buyer_has_to_confirm_what_the_bank_wants_confirmed() -> None:
    next_step = what_next(Failure("card_declined", "authentication_required"), 1)
    assert isinstance(next_step, Pause)
    assert "confirm" in next_step.reason


def test_stripes_own_advice_is_taken() -> None:
    failure = Failure("card_declined", "generic_decline", "do_not_try_again")
    assert isinstance(what_next(failure, 1), Pause)


@pytest.mark.parametrize(
    "decline_code", ["insufficient_funds", "do_not_honor", "generic_decline", "", "a_new_one"]
)
def test_what_may_pass_is_tried_again_later(decline_code: str) -> None:
    failure = Failure("card_declined", decline_code, "try_again_later")
    rests = [what_next(failure, declines) for declines in range(1, MOST_DECLINES)]
    assert rests == [Rest(3_600), Rest(7_200), Rest(14_400), Rest(28_800)]


def test_declines_in_a_row_end() -> None:
    failure = Failure("card_declined", "insufficient_funds")
    assert isinstance(what_next(failure, MOST_DECLINES), Pause)


def test_a_failure_is_kept_as_its_codes() -> None:
    assert str(Failure("card_declined", "lost_card")) == "card_declined lost_card"
    assert str(Failure()) == "unknown"
