"""PaymentIntents: top-ups are given their credits by them, everything else is only tied to them."""

import asyncio
from typing import Any

import pytest

from billing.errors import Quarantined
from billing.purchases import sessions
from billing.shop import Shop
from billing.topup import payment_intents, topups
from tests.billing.conftest import (
    applied,
    buy,
    new_account,
    order_of,
    payments_of,
    posted,
    redis_away,
)
from tests.billing.topping import attempts, execute, no_answer, save_card, switch_on
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def account(shop: Shop, stripe_standin: RunningStandIn) -> int:
    account = await new_account(shop)
    await save_card(shop, stripe_standin, account)
    await switch_on(shop, account)
    return account


def only_intent(standin: RunningStandIn) -> dict[str, Any]:
    [intent] = standin.world.every("payment_intent")
    return dict(intent)


async def lost_answer(shop: Shop, standin: RunningStandIn) -> str:
    """A top-up that was charged and never answered; the intent's id."""
    no_answer(standin, "cut_after")
    await topups.scan(shop)
    return str(only_intent(standin)["id"])


async def test_a_webhook_alone_gives_the_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    intent = await lost_answer(shop, stripe_standin)

    settled = await payment_intents.settle(shop, intent)

    assert (settled.outcome, settled.account_id) == ("granted", account)
    assert await applied(shop, account) == {"credits": 100}
    [attempt] = await attempts(shop)
    assert attempt["state"] == "succeeded"


async def test_ten_at_once_give_them_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    intent = await lost_answer(shop, stripe_standin)
    settled = await asyncio.gather(*(payment_intents.settle(shop, intent) for _ in range(10)))

    outcomes = sorted(one.outcome for one in settled)
    assert outcomes == ["granted"] + ["unchanged"] * 9
    assert await applied(shop, account) == {"credits": 100}


async def test_who_settles_what_another_has_booked_answers_when_redis_has_it(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    intent = await lost_answer(shop, stripe_standin)
    with redis_away(shop):
        assert (await payment_intents.settle(shop, intent)).outcome == "granted"
    assert await posted(shop, account) == {}

    assert (await payment_intents.settle(shop, intent)).outcome == "unchanged"

    assert await posted(shop, account) == {"credits": 100}


async def test_the_payment_is_whole(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await topups.scan(shop)

    [attempt] = await attempts(shop)
    [payment] = await payments_of(shop, attempt["order_id"])
    intent = only_intent(stripe_standin)
    assert (payment.source, payment.object_id) == ("topup", intent["id"])
    assert payment.charge_id == intent["latest_charge"]
    assert (payment.paid_minor, payment.currency) == (1000, "usd")
    assert payment.fee_minor
    assert payment.receipt_url


async def test_a_top_up_refunded_before_it_was_booked_gives_nothing_in_the_end(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    intent = await lost_answer(shop, stripe_standin)
    stripe_standin.refund(intent)

    await payment_intents.settle(shop, intent)

    assert await applied(shop, account) == {"credits": 0}


async def test_money_that_comes_after_all_is_given_its_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A try believed to be absent, or failed, and then Stripe shows the money."""
    intent = await lost_answer(shop, stripe_standin)
    await execute(shop, "UPDATE billing.topup_attempts SET state = 'absent'")
    await execute(shop, "UPDATE billing.orders SET state = 'canceled'")

    assert (await payment_intents.settle(shop, intent)).outcome == "granted"

    [attempt] = await attempts(shop)
    assert attempt["state"] == "succeeded"
    assert (await order_of(shop, attempt["order_id"])).state == "paid"


async def test_what_does_not_fit_its_order_gives_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    name = await lost_answer(shop, stripe_standin)
    intent = stripe_standin.world.objects[name]
    sound = dict(intent)
    for forged in (
        {"amount_received": 1},
        {"currency": "jpy"},
        {"metadata": sound["metadata"] | {"account": "acc_999"}},
        {"metadata": sound["metadata"] | {"kind": "checkout"}},
        {"metadata": sound["metadata"] | {"order_id": "ord_" + "0" * 24}},
    ):
        intent |= sound | forged
        with pytest.raises(Quarantined):
            await payment_intents.settle(shop, name)
    assert await applied(shop, account) == {}


async def test_an_intent_of_something_else_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    made = {"amount": 500, "currency": "usd"}
    intent = await shop.stripe.v1.payment_intents.create_async(made)

    assert (await payment_intents.settle(shop, intent.id)).outcome == "ignored"


async def test_the_intent_of_a_checkout_gives_no_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    intent = only_intent(stripe_standin)["id"]

    assert (await payment_intents.settle(shop, intent)).outcome == "updated"

    assert await applied(shop, account) == {}
    order = await order_of(shop, started.order_id)
    assert (order.payment_intent_id, order.state) == (intent, "open")
    await sessions.settle(shop, started.session_id)
    assert await applied(shop, account) == {"credits": 100}


async def test_a_failed_try_on_the_page_is_noted_and_the_order_stays_open(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    from billing.standin.failures import StripeFailure

    started = await buy(shop, account)
    with pytest.raises(StripeFailure):
        stripe_standin.pay(started.session_id, "4000000000009995")
    await payment_intents.settle(shop, only_intent(stripe_standin)["id"])

    order = await order_of(shop, started.order_id)
    assert order.state == "open"
    assert order.failure == "card_declined insufficient_funds"


async def test_a_refund_seen_through_the_intent_takes_its_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    await sessions.settle(shop, started.session_id)
    intent = only_intent(stripe_standin)["id"]
    stripe_standin.refund(intent, 500)

    assert (await payment_intents.settle(shop, intent)).outcome == "reversed"
    assert await applied(shop, account) == {"credits": 50}
