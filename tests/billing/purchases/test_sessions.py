"""billing/purchases/sessions.py: an order ends as its session shows it, and gives its credits once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from billing.errors import NoSuchObject, Quarantined, StateConflict, StripeUnavailable
from billing.purchases import sessions
from billing.shop import Settled, Shop
from config import load_price_list
from tests.billing.conftest import (
    PRICES,
    applied,
    buy,
    lose_the_answer,
    new_account,
    order_of,
    payments_of,
    posted,
    promotion,
    redis_away,
    rows,
)
from tests.standin import RunningStandIn, sdk_for

pytestmark = pytest.mark.anyio

SESSIONS = "/v1/checkout/sessions"


async def notices(shop: Shop, kind: str) -> list[dict[str, Any]]:
    found = await rows(shop, "SELECT payload FROM billing.notices WHERE kind = $1", kind)
    return [row["payload"] for row in found]


async def open_alerts(shop: Shop) -> list[tuple[str, str]]:
    found = await rows(
        shop, "SELECT kind, subject FROM billing.alerts WHERE resolved_at IS NULL ORDER BY id"
    )
    return [(row["kind"], row["subject"]) for row in found]


async def test_a_paid_session_gives_the_orders_credits(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    settled = await sessions.settle(shop, started.session_id)

    order = await order_of(shop, started.order_id)
    [payment] = await payments_of(shop, order.id)
    assert (settled.outcome, settled.account_id) == ("granted", account)
    assert await applied(shop, account) == {"credits": 100}
    assert order.state == "paid"
    assert order.email == "buyer@example.com"
    assert order.payment_intent_id == payment.payment_intent_id
    assert (payment.subtotal_minor, payment.paid_minor, payment.tax_minor) == (1000, 1000, 0)
    assert payment.charge_id is not None
    assert payment.fee_minor is not None
    assert payment.receipt_url
    assert payment.invoice_pdf
    [notice] = await notices(shop, "purchase")
    assert (notice["credits"], notice["paid_minor"], notice["package"]) == (100, 1000, "Starter")


async def test_settling_again_changes_nothing(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    outcomes = [(await sessions.settle(shop, started.session_id)).outcome for _ in range(3)]

    assert outcomes == ["granted", "unchanged", "unchanged"]
    assert await applied(shop, account) == {"credits": 100}
    assert len(await notices(shop, "purchase")) == 1


async def test_who_settles_what_another_has_booked_answers_when_redis_has_it(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """A webhook books it, the buyer comes back meanwhile: told `given`, a call has to work."""
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    with redis_away(shop):
        assert (await sessions.settle(shop, started.session_id)).outcome == "granted"
    assert await posted(shop, account) == {}

    assert (await sessions.settle(shop, started.session_id)).outcome == "unchanged"

    assert await posted(shop, account) == {"credits": 100}


async def test_twenty_at_once_give_the_credits_once(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    settled = await asyncio.gather(*(sessions.settle(shop, started.session_id) for _ in range(20)))

    assert [one.outcome for one in settled].count("granted") == 1
    assert await applied(shop, account) == {"credits": 100}
    assert len(await payments_of(shop, started.order_id)) == 1


async def test_an_open_session_gives_nothing_yet(shop: Shop, account: int) -> None:
    started = await buy(shop, account)

    assert (await sessions.settle(shop, started.session_id)).outcome == "waiting"
    assert (await order_of(shop, started.order_id)).state == "open"


async def test_a_declined_card_leaves_the_session_open(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    with pytest.raises(Exception, match="declined"):
        stripe_standin.pay(started.session_id, card="4000000000000002")
    assert (await sessions.settle(shop, started.session_id)).outcome == "waiting"

    stripe_standin.pay(started.session_id)

    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"


async def test_the_price_at_the_time_of_the_order_counts(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    dearer = load_price_list(
        PRICES.replace("credits: 100, price: { usd: 1000", "credits: 1, price: { usd: 9"),
        environ={},
    )
    shop = replace(shop, prices=lambda: dearer)
    stripe_standin.pay(started.session_id)

    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"
    assert await applied(shop, account) == {"credits": 100}


async def test_the_quantity_chosen_on_the_page_counts(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "business", quantity=2)
    stripe_standin.pay(started.session_id, quantity=5)

    await sessions.settle(shop, started.session_id)

    [payment] = await payments_of(shop, started.order_id)
    assert await applied(shop, account) == {"credits": 5000}
    assert (payment.quantity, payment.subtotal_minor) == (5, 40_000)


async def test_a_currency_without_minor_units_is_taken_as_it_is(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, currency="jpy")
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    [payment] = await payments_of(shop, started.order_id)
    assert (payment.currency, payment.paid_minor) == ("jpy", 1500)
    assert await applied(shop, account) == {"credits": 100}


async def test_what_the_buyer_saw_in_another_currency_does_not_matter(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.present_in(started.session_id, amount=930, currency="eur")
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    [payment] = await payments_of(shop, started.order_id)
    assert (payment.currency, payment.paid_minor) == ("usd", 1000)


async def test_credits_of_another_type_live_as_long_as_the_package_says(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "minutes")
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    assert await applied(shop, account) == {"calling": 1250}
    [grant] = await rows(shop, "SELECT expires_ms - $1 AS left_ms FROM grants", shop.clock.now_ms())
    assert 0 <= 30 * 86_400_000 - grant["left_ms"] < 60_000


async def test_credits_follow_the_price_and_not_the_tax(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "taxed")
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    [payment] = await payments_of(shop, started.order_id)
    assert payment.tax_minor > 0
    assert payment.paid_minor == 1000 + payment.tax_minor
    assert await applied(shop, account) == {"credits": 100}


async def test_a_discount_leaves_all_credits_unless_the_package_shares_them(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """A third off 999 is 666.33, of which Stripe charges 666; of 100 credits 66 are given."""
    for package, given in (("taxed", 100), ("shared", 66)):
        buyer = await new_account(shop)
        started = await buy(shop, buyer, package)
        code = await promotion(stripe_standin, percent_off=33.34)
        stripe_standin.pay(started.session_id, promotion_code=code)

        await sessions.settle(shop, started.session_id)

        [payment] = await payments_of(shop, started.order_id)
        assert payment.discount_minor > 300
        assert await applied(shop, buyer) == {"credits": given}


async def test_nothing_to_pay_gives_the_credits_where_the_package_allows_it(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "gift")
    code = await promotion(stripe_standin, percent_off=100)
    stripe_standin.pay(started.session_id, card=None, promotion_code=code)

    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"

    [payment] = await payments_of(shop, started.order_id)
    assert (payment.paid_minor, payment.payment_intent_id) == (0, None)
    assert await applied(shop, account) == {"credits": 100}


async def test_nothing_to_pay_waits_for_a_person_elsewhere(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "shared")
    code = await promotion(stripe_standin, percent_off=100)
    stripe_standin.pay(started.session_id, card=None, promotion_code=code)

    outcomes = [(await sessions.settle(shop, started.session_id)).outcome for _ in range(2)]

    assert outcomes == ["waiting", "waiting"]
    assert (await order_of(shop, started.order_id)).state == "review"
    assert await open_alerts(shop) == [("review", started.order_id)]
    assert await applied(shop, account) == {}


async def test_what_a_person_approves_is_given_once_in_their_name(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "taxed")
    code = await promotion(stripe_standin, percent_off=100)
    stripe_standin.pay(started.session_id, card=None, promotion_code=code)
    await sessions.settle(shop, started.session_id)

    assert (await sessions.approve(shop, started.order_id, "root")).outcome == "granted"

    with pytest.raises(StateConflict):
        await sessions.approve(shop, started.order_id, "root")
    assert (await sessions.settle(shop, started.session_id)).outcome == "unchanged"
    assert await applied(shop, account) == {"credits": 100}
    assert await open_alerts(shop) == []
    [grant] = await rows(shop, "SELECT actor FROM grants")
    assert grant["actor"] == "root"


async def test_only_an_order_in_review_can_be_approved(shop: Shop, account: int) -> None:
    started = await buy(shop, account)
    with pytest.raises(StateConflict):
        await sessions.approve(shop, started.order_id, "root")
    with pytest.raises(NoSuchObject):
        await sessions.approve(shop, "ord_" + "0" * 24, "root")


async def test_a_slow_payment_gives_its_credits_when_it_arrives(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay_slowly(started.session_id)

    assert (await sessions.settle(shop, started.session_id)).outcome == "waiting"
    assert (await order_of(shop, started.order_id)).state == "awaiting_funds"
    assert await applied(shop, account) == {}

    stripe_standin.finish_payment(started.session_id)

    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"
    assert (await order_of(shop, started.order_id)).state == "paid"
    assert await applied(shop, account) == {"credits": 100}


async def test_a_slow_payment_that_fails_closes_the_order_and_says_so(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay_slowly(started.session_id)
    await sessions.settle(shop, started.session_id)
    stripe_standin.finish_payment(started.session_id, succeeds=False)

    outcomes = [(await sessions.settle(shop, started.session_id)).outcome for _ in range(2)]

    order = await order_of(shop, started.order_id)
    assert outcomes == ["closed", "unchanged"]
    assert order.state == "failed"
    assert order.failure
    [notice] = await notices(shop, "payment_failed")
    assert notice["order_id"] == order.id
    assert notice["amount_minor"] == 1000
    assert f"/bought?order={order.id}." in notice["retry_url"]
    assert await applied(shop, account) == {}


async def test_an_expired_session_closes_its_order(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.expire(started.session_id)

    assert (await sessions.settle(shop, started.session_id)).outcome == "closed"
    assert (await sessions.settle(shop, started.session_id)).outcome == "unchanged"
    assert (await order_of(shop, started.order_id)).state == "expired"


async def test_a_session_whose_making_was_never_answered_still_pays_its_order(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    lose_the_answer(stripe_standin, SESSIONS)
    with pytest.raises(StripeUnavailable):
        await buy(shop, account)
    [session] = list(stripe_standin.world.every("checkout.session"))
    stripe_standin.pay(session["id"])

    assert (await sessions.settle(shop, session["id"])).outcome == "granted"
    assert await applied(shop, account) == {"credits": 100}


async def test_a_refund_that_came_first_is_taken_back_at_once(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    session = stripe_standin.pay(started.session_id)
    stripe_standin.refund(session["payment_intent"], amount=250)

    await sessions.settle(shop, started.session_id)

    assert await applied(shop, account) == {"credits": 75}


async def test_a_subscriptions_session_links_it_and_leaves_credits_to_its_invoice(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "monthly")
    stripe_standin.pay(started.session_id)

    first = await sessions.settle(shop, started.session_id)
    again = await sessions.settle(shop, started.session_id)

    order = await order_of(shop, started.order_id)
    [payment] = await payments_of(shop, order.id)
    assert (first.outcome, again.outcome) == ("granted", "unchanged")
    assert (order.state, payment.source) == ("paid", "invoice")
    assert order.subscription_id is not None
    assert await applied(shop, account) == {"credits": 500}


async def test_a_saved_card_is_known_as_soon_as_the_purchase_is(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, save_card=True)
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    [card] = await rows(shop, "SELECT account_id, last4 FROM billing.cards")
    assert card == {"account_id": account, "last4": "4242"}


async def test_a_setup_session_saves_its_card(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    from billing.purchases import checkout

    started = await checkout.start_setup(shop, account)
    stripe_standin.pay(started.session_id)

    await sessions.settle(shop, started.session_id)

    [card] = await rows(shop, "SELECT account_id, last4 FROM billing.cards")
    assert card == {"account_id": account, "last4": "4242"}


async def foreign(standin: RunningStandIn, **params: Any) -> str:
    """A session that somebody else made in the same Stripe account, paid."""
    line = {
        "quantity": 1,
        "price_data": {
            "currency": "usd",
            "unit_amount": 100,
            "product_data": {"name": "Something else"},
        },
    }
    async with sdk_for(standin) as client:
        session = await client.v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "line_items": [line],
                "success_url": "https://example.com/",
                **params,
            }
        )
    standin.pay(session.id)
    return str(session.id)


async def test_somebody_elses_session_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    for params in ({}, {"metadata": {"farebox": "another", "order_id": "ord_" + "1" * 24}}):
        settled = await sessions.settle(shop, await foreign(stripe_standin, **params))
        assert settled == Settled("ignored", "a session of something else")


async def test_a_session_with_our_mark_and_no_order_is_for_a_person(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    marked = {"metadata": {"farebox": shop.installation}}
    for params in (marked, {"client_reference_id": "ord_" + "1" * 24}):
        with pytest.raises(Quarantined, match="not here"):
            await sessions.settle(shop, await foreign(stripe_standin, **params))


async def test_a_session_cannot_take_over_an_order_that_has_one(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    mark = {"farebox": shop.installation, "order_id": started.order_id}
    other = await foreign(stripe_standin, client_reference_id=started.order_id, metadata=mark)

    with pytest.raises(Quarantined, match="not the one made"):
        await sessions.settle(shop, other)

    assert (await order_of(shop, started.order_id)).state == "open"
    stripe_standin.pay(started.session_id)
    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"


async def test_a_payment_link_cannot_name_an_order_whose_answer_was_lost(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """Its client_reference_id is the buyer's to choose; metadata is not."""
    stripe_standin.fault(kind="cut_before", path=SESSIONS, method="POST", count=3)
    with pytest.raises(StripeUnavailable):
        await buy(shop, account)
    [row] = await rows(shop, "SELECT id FROM billing.orders")

    with pytest.raises(Quarantined, match="not the one made"):
        await sessions.settle(shop, await foreign(stripe_standin, client_reference_id=row["id"]))

    assert (await order_of(shop, row["id"])).state == "created"


async def test_what_does_not_fit_is_put_aside_until_it_does(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    await rows(shop, "UPDATE billing.orders SET unit_minor = 999")

    with pytest.raises(Quarantined, match="price of a line is 1000 and should be 999"):
        await sessions.settle(shop, started.session_id)

    order = await order_of(shop, started.order_id)
    assert order.state == "quarantined"
    assert order.problem
    assert await open_alerts(shop) == [("quarantined", order.id)]
    assert await applied(shop, account) == {}

    await rows(shop, "UPDATE billing.orders SET unit_minor = 1000")

    assert (await sessions.settle(shop, started.session_id)).outcome == "granted"
    assert (await order_of(shop, started.order_id)).problem is None
    assert await open_alerts(shop) == []


@pytest.mark.parametrize(
    "change",
    [
        "currency = 'eur'",
        "kind = 'subscription'",
        "customer_id = 'cus_of_somebody_else'",
        "quantity = 7, least_quantity = 7, most_quantity = 9",
    ],
)
async def test_every_difference_to_the_order_is_for_a_person(
    shop: Shop, account: int, stripe_standin: RunningStandIn, change: str
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    await rows(shop, f"UPDATE billing.orders SET {change}")

    with pytest.raises(Quarantined):
        await sessions.settle(shop, started.session_id)

    assert (await order_of(shop, started.order_id)).state == "quarantined"
    assert await applied(shop, account) == {}


async def test_a_session_marked_for_another_account_is_for_a_person(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    session = stripe_standin.world.get("checkout.session", started.session_id)
    session["metadata"]["account"] = "acc_999"

    with pytest.raises(Quarantined, match="account is acc_999"):
        await sessions.settle(shop, started.session_id)

    assert await applied(shop, account) == {}
