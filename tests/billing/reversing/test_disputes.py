"""Disputes: what they withdrew, and when the account is frozen and thawed."""

from dataclasses import replace
from typing import Any

import pytest
import stripe

from billing.reversing import disputes, reversals
from billing.reversing.disputes import withdrawn_minor
from billing.shop import Shop
from tests.billing.sales import freeze, frozen, ordered, rows, sold
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


def moved(*amounts: int, currency: str = "usd") -> list[dict[str, Any]]:
    return [{"amount": amount, "currency": currency, "fee": 1_500} for amount in amounts]


def test_what_was_withdrawn_is_the_net_of_the_balance_transactions_without_fees() -> None:
    assert withdrawn_minor(1_000, "usd", moved(-1_000)) == 1_000
    assert withdrawn_minor(1_000, "usd", moved(-1_000, 1_000)) == 0
    assert withdrawn_minor(1_000, "usd", moved(-1_000, 600)) == 400
    assert withdrawn_minor(1_000, "usd", moved(-1_000, 1_000, -1_000)) == 1_000


def test_an_inquiry_withdrew_nothing() -> None:
    assert withdrawn_minor(1_000, "usd", []) == 0


def test_in_another_currency_the_rates_of_two_days_do_not_leave_a_rest() -> None:
    assert withdrawn_minor(150_000, "jpy", moved(-1_010)) == 150_000
    assert withdrawn_minor(150_000, "jpy", moved(-1_010, 998)) == 0


async def test_an_open_dispute_freezes_the_account_and_its_end_thaws_it(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    await reversals.settle_dispute(shop, dispute)
    assert await frozen(shop, account)

    stripe_standin.dispute_step(dispute, "respond")
    await reversals.settle_dispute(shop, dispute)
    assert await frozen(shop, account)

    stripe_standin.dispute_step(dispute, "win")
    await reversals.settle_dispute(shop, dispute)
    assert not await frozen(shop, account)


async def test_an_inquiry_freezes_until_it_is_closed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    inquiry = stripe_standin.dispute(sale.payment_intent_id, inquiry=True)["id"]
    await reversals.settle_dispute(shop, inquiry)
    assert await frozen(shop, account)

    stripe_standin.dispute_step(inquiry, "close_inquiry")
    await reversals.settle_dispute(shop, inquiry)
    assert not await frozen(shop, account)


async def test_an_appeal_freezes_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    seen = []
    for step in ("lose", "appeal", "win"):
        stripe_standin.dispute_step(dispute, step)
        await reversals.settle_dispute(shop, dispute)
        seen.append(await frozen(shop, account))
    assert seen == [False, True, False]


async def test_the_account_stays_frozen_while_another_dispute_is_open(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    first, second = [
        stripe_standin.dispute((await sold(shop, stripe_standin, account)).payment_intent_id)["id"]
        for _ in range(2)
    ]
    for dispute in (first, second):
        await reversals.settle_dispute(shop, dispute)
    stripe_standin.dispute_step(first, "lose")
    await reversals.settle_dispute(shop, first)
    assert await frozen(shop, account)

    stripe_standin.dispute_step(second, "lose")
    await reversals.settle_dispute(shop, second)
    assert not await frozen(shop, account)


async def test_what_a_person_froze_stays_frozen(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    await reversals.settle_dispute(shop, dispute)
    await freeze(shop, account, is_frozen=True)

    stripe_standin.dispute_step(dispute, "win")
    await reversals.settle_dispute(shop, dispute)

    assert await frozen(shop, account)


async def test_what_a_person_thawed_is_not_frozen_again_by_the_same_dispute(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    await reversals.settle_dispute(shop, dispute)
    await freeze(shop, account, is_frozen=False)

    stripe_standin.dispute_step(dispute, "respond")
    await reversals.settle_dispute(shop, dispute)

    assert not await frozen(shop, account)


async def test_the_policy_can_leave_accounts_alone(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    prices = shop.prices()
    lenient = replace(prices, selling=replace(prices.selling, freeze_on_dispute=False))
    shop = replace(shop, prices=lambda: lenient)
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]

    await reversals.settle_dispute(shop, dispute)

    assert not await frozen(shop, account)
    assert await ordered(shop, account) == 0


async def test_the_operator_is_told_of_each_status_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    for _ in range(2):
        await reversals.settle_dispute(shop, dispute)
    stripe_standin.dispute_step(dispute, "lose")
    for _ in range(2):
        await reversals.settle_dispute(shop, dispute)

    told = await rows(
        shop,
        "SELECT account_id, payload->>'status' FROM billing.notices WHERE kind = 'dispute' ORDER BY id",
    )
    assert told == [(None, "needs_response"), (None, "lost")]


async def test_an_unknown_status_is_kept_for_a_person_and_freezes_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    shown = stripe_standin.dispute(sale.payment_intent_id, 500)
    strange = disputes.seen(stripe.Dispute.construct_from(shown, None), sale)
    strange = replace(strange, status="arbitration")

    async with shop.ledger.database.transaction() as connection:
        ordered_any = await disputes.follow(connection, sale, [strange], freezes=True)

    assert not ordered_any
    assert await rows(shop, "SELECT status, open FROM billing.disputes") == [("arbitration", False)]
    assert await rows(shop, "SELECT kind, subject FROM billing.alerts") == [
        ("dispute_status", strange.id)
    ]
