"""Signs of fraud: they freeze, by policy, and call a person."""

from dataclasses import replace

import pytest

from billing.reversing import reversals
from billing.shop import Shop
from tests.billing.sales import freeze, frozen, ordered, rows, sold
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_a_warning_freezes_the_account_calls_a_person_and_moves_no_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    warning = stripe_standin.warn(sale.payment_intent_id)["id"]

    await reversals.settle_warning(shop, warning)

    assert await frozen(shop, account)
    assert await ordered(shop, account) == 100
    assert await rows(shop, "SELECT kind, subject FROM billing.alerts") == [
        ("early_fraud_warning", warning)
    ]


async def test_a_repeat_does_not_overrule_the_admin_who_thawed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    warning = stripe_standin.warn(sale.payment_intent_id)["id"]
    await reversals.settle_warning(shop, warning)
    await freeze(shop, account, is_frozen=False)

    settled = await reversals.settle_warning(shop, warning)

    assert settled.outcome == "unchanged"
    assert not await frozen(shop, account)


async def test_the_end_of_a_dispute_does_not_lift_a_warnings_freeze(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    await reversals.settle_dispute(shop, dispute)
    await reversals.settle_warning(shop, stripe_standin.warn(sale.payment_intent_id)["id"])

    stripe_standin.dispute_step(dispute, "win")
    await reversals.settle_dispute(shop, dispute)

    assert await frozen(shop, account)


async def test_the_policy_can_leave_the_account_alone(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    prices = shop.prices()
    lenient = replace(prices, selling=replace(prices.selling, freeze_on_fraud_warning=False))
    shop = replace(shop, prices=lambda: lenient)
    sale = await sold(shop, stripe_standin, account)

    await reversals.settle_warning(shop, stripe_standin.warn(sale.payment_intent_id)["id"])

    assert not await frozen(shop, account)


async def test_a_review_is_an_alert_until_it_is_closed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    review = stripe_standin.open_review(sale.payment_intent_id)["id"]
    statement = "SELECT kind, subject, resolved_at IS NULL FROM billing.alerts"
    await reversals.settle_review(shop, review)
    assert await rows(shop, statement) == [("review", review, True)]

    stripe_standin.close_review(review)
    await reversals.settle_review(shop, review)
    assert await rows(shop, statement) == [("review", review, False)]
