"""Deciding what is taken back: a target that any news, in any order, arrives at."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from billing.reversing.reversal_plan import Given, RefundSeen, decide, target

PAID = 1_000
STATUSES = ("pending", "requires_action", "succeeded", "failed", "canceled")


def refund(name: str, amount: int, status: str = "succeeded") -> RefundSeen:
    return RefundSeen(name, amount, "usd", status, None, datetime(2026, 1, 1, tzinfo=UTC))


def taken(
    granted: int, *refunds: RefundSeen, disputes: tuple[int, ...] = (), paid: int = PAID
) -> int:
    """What a fresh payment of one grant has to give back."""
    plan = decide(paid, [Given(1, granted, 0, 0)], refunds, disputes)
    return sum(move.take for move in plan.moves)


def test_the_share_of_the_money_is_the_share_of_the_credits_rounded_for_the_buyer() -> None:
    assert taken(100, refund("re_1", 333)) == 33


def test_a_full_refund_takes_every_credit_whatever_the_steps_rounded_away() -> None:
    thirds = [refund("re_1", 333), refund("re_2", 333), refund("re_3", 334)]
    assert taken(7, *thirds) == 7


def test_failed_and_canceled_refunds_take_nothing() -> None:
    assert taken(100, refund("re_1", 500, "failed"), refund("re_2", 500, "canceled")) == 0


def test_refunds_that_are_under_way_count() -> None:
    assert taken(100, refund("re_1", 300, "pending"), refund("re_2", 200, "requires_action")) == 50


def test_an_unknown_state_of_a_refund_takes_nothing() -> None:
    assert taken(100, refund("re_1", 500, "reimagined")) == 0


def test_one_refund_shown_twice_counts_once() -> None:
    assert taken(100, refund("re_1", 500), refund("re_1", 500)) == 50


def test_a_refund_and_a_dispute_of_the_same_money_never_take_more_than_was_given() -> None:
    assert taken(100, refund("re_1", 700), disputes=(1_000,)) == 100


def test_where_nothing_was_paid_nothing_is_taken() -> None:
    assert taken(100, refund("re_1", 500), paid=0) == 0


def test_a_reversal_that_did_not_last_gives_back_what_was_taken() -> None:
    plan = decide(PAID, [Given(1, 100, 50, 1)], [refund("re_1", 500, "failed")], [])
    assert [(move.take, move.step) for move in plan.moves] == [(-50, 2)]


def test_what_stands_already_needs_no_move() -> None:
    plan = decide(PAID, [Given(1, 100, 50, 1)], [refund("re_1", 500)], [])
    assert plan.moves == ()
    assert (plan.refunded_minor, plan.disputed_minor, plan.reversed_minor) == (500, 0, 500)


def test_every_grant_of_a_payment_gives_its_share() -> None:
    plan = decide(PAID, [Given(1, 100, 0, 0), Given(2, 9, 0, 0)], [refund("re_1", 500)], [])
    assert [(move.grant_id, move.take) for move in plan.moves] == [(1, 50), (2, 4)]


money = st.integers(0, 3_000)
shown = st.tuples(
    st.lists(st.tuples(st.sampled_from("abcd"), money, st.sampled_from(STATUSES)), max_size=5),
    st.lists(money, max_size=2),
)


@given(
    paid=st.integers(0, 2_000),
    granted=st.integers(1, 10**13),
    news=st.lists(shown, min_size=1, max_size=8),
    seed=st.randoms(use_true_random=False),
)
def test_any_news_in_any_order_with_any_repeats_ends_where_the_last_look_says(
    paid: int, granted: int, news: list, seed
) -> None:
    looks = [
        ([refund(name, amount, status) for name, amount, status in refunds], disputes)
        for refunds, disputes in news
    ]
    last = looks[-1]
    wandering = [seed.choice(looks) for _ in range(5)]
    ends = []
    for path in (looks, [last], [*wandering, last, last]):
        clawed, steps = 0, 0
        for refunds, disputes in path:
            plan = decide(paid, [Given(1, granted, clawed, steps)], refunds, disputes)
            for move in plan.moves:
                clawed, steps = clawed + move.take, move.step
            assert 0 <= clawed <= granted
        ends.append(clawed)
    assert len(set(ends)) == 1
    assert ends[0] == target(granted, plan.reversed_minor, paid)


@given(
    paid=st.integers(1, 10**9),
    granted=st.integers(1, 10**13),
    shares=st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
)
def test_refunds_in_parts_take_at_most_their_share_and_the_last_part_takes_the_rest(
    paid: int, granted: int, shares: list[int]
) -> None:
    parts = [paid * share // sum(shares) for share in shares]
    parts[-1] += paid - sum(parts)
    clawed, steps, back = 0, 0, 0
    refunds = []
    for number, part in enumerate(parts):
        refunds.append(refund(f"re_{number}", part))
        back += part
        for move in decide(paid, [Given(1, granted, clawed, steps)], refunds, []).moves:
            assert move.take > 0
            clawed, steps = clawed + move.take, move.step
        assert clawed * paid <= granted * back
    assert clawed == granted
