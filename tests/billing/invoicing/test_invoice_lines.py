"""What lines are worth: sums without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Quarantined
from billing.invoicing.invoice_lines import Line, due, paid_anew
from billing.packages.offers import Offer

START = datetime(2031, 1, 1, tzinfo=UTC)
END = datetime(2031, 2, 1, tzinfo=UTC)


def offer(**fields: Any) -> Offer:
    given = {"name": "monthly", "credits": 500, "prices": {"usd": 2000}} | fields
    return Offer(
        title="Monthly", credit_type="credits", scale=0, source="file", interval="month", **given
    )


def line(amount: int = 2000, number: int = 1, **fields: Any) -> Line:
    made = {
        "id": f"il_{number}",
        "amount_minor": amount,
        "discount_minor": 0,
        "quantity": 1,
        "unit_minor": 2000,
        "proration": False,
        "period_start": START,
        "period_end": END,
        "offer": offer(),
    }
    return Line(**made | fields)


def amounts(reason: str, *lines: Line) -> list[int]:
    return [one.credits for one in due(reason, lines)]


@pytest.mark.parametrize("reason", ["subscription_create", "subscription_cycle"])
def test_a_whole_period_gives_all_times_the_quantity(reason: str) -> None:
    """Until the period ends."""
    (given,) = due(reason, [line(6000, quantity=3)])

    assert (given.credits, given.expires_at, given.trial) == (1500, END, False)


def test_an_update_gives_the_net_of_its_lines() -> None:
    """1500 of 6000 for 2000 credits, on the line that costs something."""
    bigger = offer(credits=2000)
    lines = [
        line(-1000, 1, proration=True),
        line(2500, 2, proration=True, unit_minor=6000, offer=bigger),
    ]

    (given,) = due("subscription_update", lines)

    assert (given.line_id, given.credits) == ("il_2", 500)


def test_a_changed_cycle_gives_what_is_paid_for_the_new_one() -> None:
    """The whole new price less what was unused: no second full allowance."""
    assert amounts("subscription_update", line(-500, proration=True), line(2000, 2)) == [375]


def test_of_several_changes_the_last_decides_the_rate() -> None:
    """A to B to C within one period: everything at C's rate."""
    later = START + timedelta(days=9)
    lines = [
        line(-1000, 1, proration=True),
        line(3000, 2, proration=True, unit_minor=6000, offer=offer(credits=1)),
        line(-2000, 3, proration=True, unit_minor=6000, offer=offer(credits=1)),
        line(
            4000, 4, proration=True, unit_minor=8000, offer=offer(credits=800), period_start=later
        ),
    ]

    assert amounts("subscription_update", *lines) == [400]


def test_what_a_downgrade_gave_back_comes_off_the_renewal() -> None:
    """Its credits were granted with the period that is over."""
    lines = [line(-700, 1, proration=True), line(200, 2, proration=True), line(2000, 3)]

    assert amounts("subscription_cycle", *lines) == [375]
    assert amounts("subscription_cycle", line(-9000, 1, proration=True), line(2000, 2)) == []


def test_the_part_paid_from_the_customers_balance_gives_nothing() -> None:
    """Rounded down; a trial has nothing to pay."""
    whole = due("subscription_create", [line(2000), line(0, 2, offer=offer(trial_credits=50))])

    assert [one.credits for one in paid_anew(whole, 2380, 0)] == [500, 50]
    assert [one.credits for one in paid_anew(whole, 2380, 380)] == [420, 50]
    assert [one.credits for one in paid_anew(whole, 2380, 2380)] == [50]


def test_a_trial_gives_the_trials_credits() -> None:
    """And nothing where the package has none for it."""
    trial = line(0, offer=offer(trial_credits=50))

    (given,) = due("subscription_create", [trial])

    assert (given.credits, given.trial) == (50, True)
    assert amounts("subscription_create", line(0)) == []


@pytest.mark.parametrize(
    ("discounted", "discount", "credits_given"),
    [("whole", 500, 500), ("share", 500, 375), ("share", 2000, 0)],
)
def test_a_discount_is_the_packages_to_decide(
    discounted: str, discount: int, credits_given: int
) -> None:
    """All credits, or the share that was paid."""
    sold = line(discount_minor=discount, offer=offer(discounted=discounted))

    assert sum(amounts("subscription_cycle", sold)) == credits_given


def test_nothing_left_to_pay_needs_a_package_that_allows_it() -> None:
    """Else a person decides."""
    with pytest.raises(Quarantined):
        due("subscription_cycle", [line(discount_minor=2000)])

    free = line(discount_minor=2000, offer=offer(allow_free=True))
    assert amounts("subscription_cycle", free) == [500]


def test_another_amount_than_the_price_gives_nothing() -> None:
    """Somebody edited the invoice: a person decides."""
    with pytest.raises(Quarantined):
        due("subscription_cycle", [line(1999)])


@given(
    parts=st.lists(st.integers(-4000, 4000), min_size=1, max_size=6),
    reason=st.sampled_from(["subscription_update", "manual", "subscription_threshold"]),
)
def test_shares_never_give_more_than_was_paid_for(parts: list[int], reason: str) -> None:
    """At 4 minor units a credit, whatever the lines are."""
    lines = [line(amount, number, proration=True) for number, amount in enumerate(parts)]

    assert sum(amounts(reason, *lines)) == max(0, sum(parts)) * 500 // 2000
