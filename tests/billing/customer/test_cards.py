"""Saved cards: a mirror of what Stripe keeps."""

import pytest

from billing.customer import cards, customers
from billing.errors import NoSuchObject, StripeUnavailable
from billing.purchases import checkout, sessions
from billing.shop import Shop
from tests.billing.conftest import buy, new_account
from tests.billing.topping import no_answer, save_card, settings_of, switch_on, told
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_a_card_saved_while_buying_is_listed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account, save_card=True)
    stripe_standin.pay(started.session_id)
    await sessions.settle(shop, started.session_id)

    [card] = await cards.listed(shop, account)
    assert (card.kind, card.brand, card.last4) == ("card", "visa", "4242")
    assert (card.exp_month, card.exp_year) == (12, 2034)
    assert card.is_default


async def test_a_card_saved_without_buying_is_listed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await checkout.start_setup(shop, account)
    stripe_standin.pay(started.session_id)
    await sessions.settle(shop, started.session_id)

    assert [card.last4 for card in await cards.listed(shop, account)] == ["4242"]


async def test_the_first_card_is_the_default_until_another_is_chosen(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    first = await save_card(shop, stripe_standin, account)
    second = await save_card(shop, stripe_standin, account, "5555555555554444")
    assert [card.id for card in await cards.listed(shop, account) if card.is_default] == [first]

    await cards.make_default(shop, account, second)
    assert [card.id for card in await cards.listed(shop, account) if card.is_default] == [second]


async def test_settling_again_changes_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    before = await cards.listed(shop, account)
    await cards.settle(shop, card)
    assert await cards.listed(shop, account) == before


async def test_a_card_of_another_product_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    customer = await shop.stripe.v1.customers.create_async({})
    method = stripe_standin.save_card(customer.id)

    assert (await cards.settle(shop, method["id"])).outcome == "ignored"


async def test_a_removed_card_is_gone_here_and_at_stripe(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    await cards.detach(shop, account, card)
    await cards.detach(shop, account, card)

    assert await cards.listed(shop, account) == []
    assert stripe_standin.world.objects[card]["customer"] is None


async def test_removing_the_default_card_ends_automatic_top_up(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    await switch_on(shop, account)
    await cards.detach(shop, account, card)

    assert not (await settings_of(shop, account)).enabled
    assert [notice["reason"] for notice in await told(shop, "top_up_paused")] == [
        "The card it charged was removed."
    ]


async def test_removing_another_card_does_not(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await save_card(shop, stripe_standin, account)
    other = await save_card(shop, stripe_standin, account)
    await switch_on(shop, account)
    await cards.detach(shop, account, other)

    assert (await settings_of(shop, account)).enabled


async def test_nobody_touches_the_card_of_another(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    stranger = await new_account(shop, email="eve@example.com")
    await customers.customer_of(shop, stranger)

    with pytest.raises(NoSuchObject):
        await cards.detach(shop, stranger, card)
    with pytest.raises(NoSuchObject):
        await cards.make_default(shop, stranger, card)
    assert stripe_standin.world.objects[card]["customer"] is not None


async def test_a_card_that_was_removed_cannot_become_the_default(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    await cards.detach(shop, account, card)
    with pytest.raises(NoSuchObject):
        await cards.make_default(shop, account, card)


async def test_a_removal_without_an_answer_may_be_repeated(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    card = await save_card(shop, stripe_standin, account)
    no_answer(stripe_standin, "cut_after", "/v1/payment_methods/*/detach")
    with pytest.raises(StripeUnavailable):
        await cards.detach(shop, account, card)

    await cards.detach(shop, account, card)
    assert await cards.listed(shop, account) == []


async def test_a_setup_that_did_not_succeed_saves_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await checkout.start_setup(shop, account)
    intent = await shop.stripe.v1.setup_intents.create_async({})

    assert started.checkout_url
    assert (await cards.settle_setup_intent(shop, intent.id)).outcome == "waiting"
