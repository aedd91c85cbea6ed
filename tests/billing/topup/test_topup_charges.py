"""Charging a saved card: declines, and answers that never come."""

import asyncio

import pytest

from billing.customer import cards, customers
from billing.purchases import sessions
from billing.shop import Settled, Shop
from billing.topup import payment_intents, topup_attempts, topups
from tests.billing.conftest import applied, new_account, order_of, rows
from tests.billing.topping import (
    ASKS_FOR_3DS,
    DECLINED_LATER,
    LOST,
    VISA,
    attempts,
    becomes,
    charged,
    execute,
    let_time_pass,
    no_answer,
    save_card,
    settings_of,
    switch_on,
    told,
)
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def account(shop: Shop, stripe_standin: RunningStandIn) -> int:
    """Without credits, with a card, and automatic top-up below 20."""
    account = await new_account(shop)
    await save_card(shop, stripe_standin, account)
    await switch_on(shop, account)
    return account


async def card_of(shop: Shop, account: int) -> str:
    [card] = await cards.listed(shop, account)
    return card.id


async def states(shop: Shop) -> list[str]:
    return [attempt["state"] for attempt in await attempts(shop)]


async def alerts_of(shop: Shop) -> list[str]:
    return [row["kind"] for row in await rows(shop, "SELECT kind FROM billing.alerts ORDER BY id")]


async def test_a_soft_decline_rests_an_hour_and_then_tries_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await card_of(shop, account)
    becomes(stripe_standin, card, DECLINED_LATER)
    assert await topups.scan(shop) == 1
    assert await topups.scan(shop) == 0

    [attempt] = await attempts(shop)
    assert (attempt["state"], attempt["failure"]) == ("failed", "card_declined generic_decline")
    assert (await order_of(shop, attempt["order_id"])).state == "failed"
    assert len(await told(shop, "payment_failed")) == 1

    becomes(stripe_standin, card, VISA)
    await let_time_pass(shop, 0.9)
    assert await topups.scan(shop) == 0
    await let_time_pass(shop, 0.2)
    assert await topups.scan(shop) == 1
    assert charged(stripe_standin) == [1000]
    assert (await settings_of(shop, account)).declines == 0


async def test_rests_grow_and_the_fifth_decline_in_a_row_pauses(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(shop, account, most_count_day=100)
    becomes(stripe_standin, await card_of(shop, account), DECLINED_LATER)
    for hours in (1.1, 2.1, 4.1, 8.1):
        assert await topups.scan(shop) == 1
        await let_time_pass(shop, hours - 0.2)
        assert await topups.scan(shop) == 0
        await let_time_pass(shop, 0.2)
    assert await topups.scan(shop) == 1

    assert (await settings_of(shop, account)).paused == "Your card was declined 5 times in a row."
    await let_time_pass(shop, 1_000)
    assert await topups.scan(shop) == 0


async def test_a_lost_card_pauses_at_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    becomes(stripe_standin, await card_of(shop, account), LOST)
    await topups.scan(shop)
    await let_time_pass(shop, 1_000)

    assert await topups.scan(shop) == 0
    assert "cannot be charged" in ((await settings_of(shop, account)).paused or "")


async def test_a_bank_that_wants_the_buyer_pauses_and_sends_one_link(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    becomes(stripe_standin, await card_of(shop, account), ASKS_FOR_3DS)
    await topups.scan(shop)
    await topups.scan(shop)

    [intent] = stripe_standin.world.every("payment_intent")
    assert intent["status"] == "requires_payment_method"
    [notice] = await told(shop, "top_up_paused")
    assert notice["reason"] == "Your bank wants you to confirm this payment yourself."
    [session] = stripe_standin.world.every("checkout.session")
    assert notice["retry_url"] == session["url"]
    stripe_standin.pay(session["id"])
    await sessions.settle(shop, session["id"])
    assert await applied(shop, account) == {"credits": 100}


async def test_a_pause_is_told_even_if_no_link_can_be_made(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    becomes(stripe_standin, await card_of(shop, account), ASKS_FOR_3DS)
    stripe_standin.fault(kind="error_before", path="/v1/checkout/sessions", count=3)
    await topups.scan(shop)

    [notice] = await told(shop, "top_up_paused")
    assert notice["retry_url"] is None


async def test_several_declines_in_a_short_time_alert_the_operator(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    for number in range(3):
        other = await new_account(shop, email=f"{number}@example.com")
        card = await save_card(shop, stripe_standin, other)
        await switch_on(shop, other)
        becomes(stripe_standin, card, DECLINED_LATER)
    await topups.scan(shop)

    assert await alerts_of(shop) == ["top-up-declines"]


async def test_asking_for_it_again_ends_a_pause(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await card_of(shop, account)
    becomes(stripe_standin, card, LOST)
    await topups.scan(shop)
    becomes(stripe_standin, card, VISA)
    await switch_on(shop, account)

    assert await topups.scan(shop) == 1
    assert charged(stripe_standin) == [1000]


@pytest.mark.parametrize("kind", ["cut_after", "error_after", "error_before", "cut_before"])
async def test_no_answer_is_not_a_failure(
    shop: Shop, stripe_standin: RunningStandIn, account: int, kind: str
) -> None:
    """Whether or not Stripe did the work: one charge and one grant in the end."""
    no_answer(stripe_standin, kind)
    assert await topups.scan(shop) == 1
    assert await topups.scan(shop) == 0
    assert await states(shop) == ["unknown"]

    await let_time_pass(shop, 0.1)
    await topups.look_again(shop)

    assert await states(shop) == ["succeeded"]
    assert charged(stripe_standin) == [1000]
    assert await applied(shop, account) == {"credits": 100}


async def test_a_try_that_never_reached_stripe_is_given_up_an_hour_after_the_last_asking(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await execute(shop, "UPDATE billing.topup_settings SET enabled = false")

    await let_time_pass(shop, 0.9)
    assert await topups.look_again(shop) == 0
    await let_time_pass(shop, 0.2)
    assert await topups.look_again(shop) == 1

    [attempt] = await attempts(shop)
    assert attempt["state"] == "absent"
    assert (await order_of(shop, attempt["order_id"])).state == "canceled"
    await switch_on(shop, account)
    assert await topups.scan(shop) == 1
    assert charged(stripe_standin) == [1000]


async def test_a_try_that_was_never_asked_is_asked_later(
    shop: Shop, stripe_standin: RunningStandIn, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died between the try's commit and the call."""

    async def died(*anything: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr("billing.topup.topups.confirm", died)
        with pytest.raises(ConnectionResetError):
            await topups.scan(shop)
    assert await states(shop) == ["created"]
    assert await topups.look_again(shop) == 0

    await let_time_pass(shop, 0.1)
    assert await topups.look_again(shop) == 1
    assert charged(stripe_standin) == [1000]


async def test_a_try_that_was_never_asked_is_dropped_if_nobody_wants_it_now(
    shop: Shop, stripe_standin: RunningStandIn, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*anything: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("billing.topup.topups.confirm", died)
    with pytest.raises(ConnectionResetError):
        await topups.scan(shop)
    await execute(shop, "UPDATE billing.topup_settings SET enabled = false")

    await let_time_pass(shop, 1)
    assert await topups.look_again(shop) == 1
    assert await states(shop) == ["absent"]
    assert charged(stripe_standin) == []


async def test_an_unknown_try_is_not_asked_again_once_nobody_wants_it(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await execute(shop, "UPDATE billing.topup_settings SET enabled = false")

    await let_time_pass(shop, 0.5)
    assert await topups.look_again(shop) == 0
    assert charged(stripe_standin) == []


async def test_money_that_was_taken_is_found_although_nobody_wants_it_now(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_after")
    await topups.scan(shop)
    await execute(shop, "UPDATE billing.topup_settings SET enabled = false")

    await let_time_pass(shop, 30)
    assert await topups.look_again(shop) == 1
    assert await applied(shop, account) == {"credits": 100}
    assert charged(stripe_standin) == [1000]


async def test_a_charge_whose_answer_could_not_be_looked_at_is_booked_later(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "error_before", "/v1/payment_intents/*", "GET")
    await topups.scan(shop)
    assert await states(shop) == ["confirming"]

    await let_time_pass(shop, 0.1)
    assert await topups.look_again(shop) == 1
    assert await applied(shop, account) == {"credits": 100}


async def test_an_old_try_is_looked_at_rarely(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await let_time_pass(shop, 10)
    no_answer(stripe_standin, "cut_before")
    await topups.look_again(shop)
    no_answer(stripe_standin, "error_before", method="GET")

    await let_time_pass(shop, 0.5)
    await topups.look_again(shop)

    assert len(stripe_standin.world.faults.waiting()) == 2


async def test_a_card_removed_at_stripe_switches_it_off(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The webhook that would have said so was lost: the refused charge says it."""
    card = await card_of(shop, account)
    del stripe_standin.world.objects[card]

    await topups.scan(shop)

    assert not (await settings_of(shop, account)).enabled
    assert await states(shop) == ["failed"]
    assert [notice["reason"] for notice in await told(shop, "top_up_paused")] == [
        "The card it charged was removed."
    ]


async def test_a_customer_deleted_at_stripe_ends_it(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    customer = await customers.known(shop, account)
    assert customer
    await shop.stripe.v1.customers.delete_async(customer)

    await topups.scan(shop)

    assert await states(shop) == ["failed"]
    assert not (await settings_of(shop, account)).enabled
    assert await customers.known(shop, account) is None


async def test_a_slow_method_keeps_the_try_open_until_it_is_known(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await card_of(shop, account)
    stripe_standin.world.objects[card] |= {
        "type": "sepa_debit",
        "_number": "DE89370400440532013000",
    }
    stripe_standin.world.objects[card]["sepa_debit"] = {
        "bank_code": "37040044",
        "branch_code": None,
        "country": "DE",
        "fingerprint": "x",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": "3000",
    }
    await topups.scan(shop)
    assert await states(shop) == ["confirming"]
    assert await topups.scan(shop) == 0
    [attempt] = await attempts(shop)
    assert (await order_of(shop, attempt["order_id"])).state == "awaiting_funds"

    [intent] = stripe_standin.world.every("payment_intent")
    stripe_standin.finish_intent(intent["id"])
    await let_time_pass(shop, 1)
    assert await topups.look_again(shop) == 1
    assert await applied(shop, account) == {"credits": 100}


async def test_what_was_agreed_before_is_not_charged_once_something_else_is(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The first answer was lost before Stripe did anything, and the account chose anew."""
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await switch_on(shop, account, package="minutes", most_minor_month=500)

    await let_time_pass(shop, 0.1)
    await topups.look_again(shop)

    assert charged(stripe_standin) == []
    assert await states(shop) == ["unknown"]


async def test_a_try_of_other_terms_holds_up_the_new_ones_for_an_hour_at_the_most(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await switch_on(shop, account, quantity=1, package="minutes", most_minor_month=500)
    await let_time_pass(shop, 1.1)

    await topups.look_again(shop)
    await topups.scan(shop)

    assert await states(shop) == ["absent", "succeeded"]
    assert charged(stripe_standin) == [500]


async def test_a_try_that_is_just_asked_again_is_not_given_up_beside_that(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await let_time_pass(shop, 2)
    async with shop.ledger.database.connection() as connection:
        [before] = await topup_attempts.of_account(connection, account, shop.livemode)
        assert await topup_attempts.asked(connection, before)

        assert not await topup_attempts.absent(connection, before)

    assert await states(shop) == ["confirming"]


async def test_a_charge_that_does_not_fit_pauses_and_is_booked_once_it_does(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """It neither stays open for ever nor is anything else charged; a person looks at it."""
    no_answer(stripe_standin, "cut_after")
    await topups.scan(shop)
    [intent] = stripe_standin.world.every("payment_intent")
    intent["amount_received"] = 999
    await let_time_pass(shop, 0.1)

    assert await topups.look_again(shop) == 1

    [attempt] = await attempts(shop)
    assert attempt["state"] == "failed"
    assert (await order_of(shop, attempt["order_id"])).state == "quarantined"
    assert (await settings_of(shop, account)).paused
    assert await alerts_of(shop) == ["top-up"]
    assert await topups.scan(shop) == 0

    intent["amount_received"] = 1000
    assert (await payment_intents.settle(shop, intent["id"])).outcome == "granted"
    assert await states(shop) == ["succeeded"]
    assert (await order_of(shop, attempt["order_id"])).state == "paid"
    assert await applied(shop, account) == {"credits": 100}


async def test_a_charge_whose_marks_were_wiped_is_booked_all_the_same(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "error_before", "/v1/payment_intents/*", "GET")
    await topups.scan(shop)
    [intent] = stripe_standin.world.every("payment_intent")
    intent["metadata"] = {}
    await let_time_pass(shop, 0.1)

    assert await topups.look_again(shop) == 1
    assert await applied(shop, account) == {"credits": 100}


async def test_several_who_hear_of_one_decline_leave_one_page_to_pay_on(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    becomes(stripe_standin, await card_of(shop, account), ASKS_FOR_3DS)
    no_answer(stripe_standin, "error_before", "/v1/payment_intents/*", "GET")
    await topups.scan(shop)
    [intent] = stripe_standin.world.every("payment_intent")

    await asyncio.gather(*(payment_intents.settle(shop, intent["id"]) for _ in range(4)))

    [notice] = await told(shop, "top_up_paused")
    pages = stripe_standin.world.every("checkout.session")
    assert [one["url"] for one in pages if one["status"] == "open"] == [notice["retry_url"]]


async def test_a_card_that_is_no_longer_chosen_is_not_asked_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await cards.make_default(shop, account, await save_card(shop, stripe_standin, account))

    await let_time_pass(shop, 0.1)
    await topups.look_again(shop)

    assert charged(stripe_standin) == []


async def test_a_limit_that_was_lowered_holds_for_a_try_that_is_asked_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(shop, account, threshold=1_000)
    await topups.scan(shop)
    no_answer(stripe_standin, "cut_before")
    await topups.scan(shop)
    await switch_on(shop, account, threshold=1_000, most_minor_month=1_500)

    await let_time_pass(shop, 0.1)
    await topups.look_again(shop)

    assert charged(stripe_standin) == [1000]


async def test_a_try_that_meets_a_fault_of_ours_holds_up_no_other(
    shop: Shop, stripe_standin: RunningStandIn, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await new_account(shop)
    await save_card(shop, stripe_standin, other)
    await switch_on(shop, other)
    no_answer(stripe_standin, "error_before", "/v1/payment_intents/*", "GET")
    no_answer(stripe_standin, "error_before", "/v1/payment_intents/*", "GET")
    await topups.scan(shop)
    await let_time_pass(shop, 0.1)
    settle = payment_intents.settle
    broken: list[str] = []

    async def faulty(shop: Shop, intent: str) -> Settled:
        broken.append(intent)
        if intent == broken[0]:
            raise KeyError(intent)
        return await settle(shop, intent)

    monkeypatch.setattr("billing.topup.payment_intents.settle", faulty)

    assert await topups.look_again(shop) == 1
    assert sorted(await states(shop)) == ["confirming", "succeeded"]
