"""Credits follow the money that went back, whoever sent it and however often we hear of it."""

import asyncio
import os
from dataclasses import replace

import pytest

from billing import settling
from billing.errors import Quarantined
from billing.reversing import reversals
from billing.shop import Shop
from ledger import api_keys
from ledger.hold_order import HoldOrder
from ledger.reasons import Reason
from tests.billing.conftest import applied
from tests.billing.sales import (
    intent_of,
    ordered,
    paid,
    payment,
    rows,
    sold,
    subscribed,
    value,
)
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

GRANTED, PAID = 100, 1_000


async def test_a_partial_refund_takes_back_its_share(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    refund = stripe_standin.refund(sale.payment_intent_id, 333)

    settled = await reversals.settle_refund(shop, refund["id"])

    assert settled.outcome == "reversed"
    assert await ordered(shop, account) == GRANTED - 33
    [standing] = await rows(
        shop,
        "SELECT refunded_minor, disputed_minor, reversed_minor FROM billing.payments WHERE id = $1",
        sale.id,
    )
    assert standing == (333, 0, 333)


async def test_the_buyer_is_told_of_a_refund_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    refund = stripe_standin.refund(sale.payment_intent_id, 500)
    for _ in range(3):
        await reversals.settle_refund(shop, refund["id"])

    told = await rows(shop, "SELECT account_id, payload FROM billing.notices WHERE kind = 'refund'")
    assert told == [
        (
            account,
            {
                "order_id": sale.order_id,
                "refunded_minor": 500,
                "currency": "usd",
                "credits": 50,
                "credit_type": "credits",
            },
        )
    ]


async def test_three_refunds_each_told_twice_take_everything_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    made = [stripe_standin.refund(sale.payment_intent_id, part)["id"] for part in (333, 333, 334)]

    for refund in (made[2], made[0], made[1], made[1], made[0], made[2]):
        await reversals.settle_refund(shop, refund)

    assert await ordered(shop, account) == 0
    taken = await rows(shop, "SELECT amount FROM controls WHERE kind = 'w'")
    assert taken == [(GRANTED,)]  # all three were there when the first was looked at


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_does_not_last_gives_the_credits_again_and_calls_a_person(
    shop: Shop, stripe_standin: RunningStandIn, account: int, status: str
) -> None:
    sale = await sold(shop, stripe_standin, account)
    refund = stripe_standin.refund(sale.payment_intent_id, 500, status="pending")["id"]
    await reversals.settle_refund(shop, refund)
    assert await ordered(shop, account) == 50

    stripe_standin.set_refund_status(refund, status)
    await reversals.settle_refund(shop, refund)

    assert await ordered(shop, account) == GRANTED
    assert await rows(shop, "SELECT kind, subject FROM billing.alerts") == [
        ("refund_failed", refund)
    ]


async def test_after_a_failed_refund_the_next_one_counts_in_full(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    first = stripe_standin.refund(sale.payment_intent_id, 500, status="pending")["id"]
    await reversals.settle_refund(shop, first)
    stripe_standin.set_refund_status(first, "failed")
    await reversals.settle_refund(shop, first)
    second = stripe_standin.refund(sale.payment_intent_id, 700)["id"]
    await reversals.settle_refund(shop, second)

    assert await ordered(shop, account) == GRANTED - 70
    sources = await rows(
        shop, "SELECT source_id FROM controls WHERE source = 'reversal' ORDER BY cseq"
    )
    assert [source.rsplit(":", 1)[1] for (source,) in sources] == ["1", "2", "3"]


async def test_a_refund_that_is_heard_of_before_its_payment_books_both(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    session = await paid(shop, stripe_standin, account)
    refund = stripe_standin.refund(intent_of(stripe_standin, session), 250)

    await reversals.settle_refund(shop, refund["id"])

    assert await payment(shop, session) is not None
    assert await ordered(shop, account) == GRANTED - 25


async def test_a_payment_booked_after_its_refund_is_reversed_at_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    session = await paid(shop, stripe_standin, account)
    stripe_standin.refund(intent_of(stripe_standin, session), 250)

    await settling.settle(shop, "checkout.session", session)

    assert await ordered(shop, account) == GRANTED - 25


async def test_a_charge_leads_to_the_same_end(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    charge = stripe_standin.refund(sale.payment_intent_id, 500)["charge"]

    await reversals.settle_charge(shop, charge)
    again = await reversals.settle_charge(shop, charge)

    assert again.outcome == "unchanged"
    assert await ordered(shop, account) == 50


async def test_a_dispute_takes_back_what_was_withdrawn_and_a_won_one_gives_it_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id, 400)["id"]
    await reversals.settle_dispute(shop, dispute)
    assert await ordered(shop, account) == 60

    stripe_standin.dispute_step(dispute, "win")
    await reversals.settle_dispute(shop, dispute)

    assert await ordered(shop, account) == GRANTED


async def test_a_lost_dispute_that_is_appealed_and_won_gives_the_credits_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
    for step in ("lose", "appeal", "win"):
        stripe_standin.dispute_step(dispute, step)
        await reversals.settle_dispute(shop, dispute)
        assert await ordered(shop, account) == (GRANTED if step == "win" else 0)


async def test_a_won_dispute_followed_by_a_lost_one_takes_the_credits_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    for end in ("win", "lose"):
        dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]
        await reversals.settle_dispute(shop, dispute)
        stripe_standin.dispute_step(dispute, end)
        await reversals.settle_dispute(shop, dispute)
        await reversals.settle_dispute(shop, dispute)

    assert await ordered(shop, account) == 0


async def test_an_inquiry_takes_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    inquiry = stripe_standin.dispute(sale.payment_intent_id, inquiry=True)["id"]
    await reversals.settle_dispute(shop, inquiry)
    assert await ordered(shop, account) == GRANTED

    stripe_standin.dispute_step(inquiry, "escalate")
    await reversals.settle_dispute(shop, inquiry)
    assert await ordered(shop, account) == 0


async def test_a_refund_and_a_dispute_take_no_more_than_was_given(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.refund(sale.payment_intent_id, 600)
    dispute = stripe_standin.dispute(sale.payment_intent_id, PAID)["id"]

    await reversals.settle_dispute(shop, dispute)

    assert await ordered(shop, account) == 0
    assert await value(shop, "SELECT reversed_minor FROM billing.payments") == PAID


async def test_ten_at_once_take_the_share_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    refund = stripe_standin.refund(sale.payment_intent_id, 500)["id"]

    ended = await asyncio.gather(*(reversals.settle_refund(shop, refund) for _ in range(10)))

    assert sorted(one.outcome for one in ended) == ["reversed"] + ["unchanged"] * 9
    assert await ordered(shop, account) == 50


async def test_a_credit_type_with_decimals_is_taken_back_in_its_smallest_units(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account, "minutes")
    granted = await ordered(shop, account)
    refund = stripe_standin.refund(sale.payment_intent_id, sale.paid_minor // 3)["id"]
    await reversals.settle_refund(shop, refund)

    left = granted - granted * (sale.paid_minor // 3) // sale.paid_minor
    assert await ordered(shop, account) == left


async def test_credits_that_are_spent_already_leave_debt_which_the_next_purchase_pays(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    await spend(shop, account, 90)
    dispute = stripe_standin.dispute(sale.payment_intent_id)["id"]

    await reversals.settle_dispute(shop, dispute)
    assert await applied(shop, account) == {"credits": -90}

    await sold(shop, stripe_standin, account)
    assert await applied(shop, account) == {"credits": 10}


async def test_what_is_given_again_ends_when_it_would_have_ended(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account, "minutes")
    await dispute_lost_and_won(shop, stripe_standin, sale.payment_intent_id)

    ends = await rows(shop, "SELECT expires_ms FROM grants ORDER BY id")
    assert len(ends) == 2
    assert ends[0] == ends[1]


async def test_what_is_given_again_after_its_end_lives_once_more_as_long(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account, "minutes")
    async with shop.ledger.database.connection() as connection:
        await connection.execute("UPDATE billing.payments SET paid_at = now() - interval '40 days'")
        await connection.execute(
            "UPDATE billing.payment_grants SET expires_at = now() - interval '10 days'"
        )
    await dispute_lost_and_won(shop, stripe_standin, sale.payment_intent_id)

    days = await value(
        shop,
        "SELECT round(extract(epoch FROM to_timestamp(expires_ms / 1000) - now()) / 86400)::int"
        " FROM grants ORDER BY id DESC LIMIT 1",
    )
    assert days == 30


async def test_a_refund_of_a_renewed_subscription_takes_back_that_periods_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    invoice = await subscribed(shop, stripe_standin, account)
    refund = stripe_standin.refund(invoice.payment_intent_id, invoice.paid_minor // 2)

    await reversals.settle_refund(shop, refund["id"])

    assert await ordered(shop, account) == 250


async def test_a_refund_of_an_invoice_we_have_not_heard_of_books_it_first(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    session = await paid(shop, stripe_standin, account, "monthly")
    await settling.settle(shop, "checkout.session", session)
    [invoice] = stripe_standin.world.every("invoice")
    [part] = stripe_standin.world.every("invoice_payment")
    refund = stripe_standin.refund(part["payment"]["payment_intent"], 500)

    await reversals.settle_refund(shop, refund["id"])

    assert await payment(shop, invoice["id"]) is not None
    assert await ordered(shop, account) == 375


async def test_a_refund_of_somebody_elses_payment_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    intent = await foreign_payment(shop, {})
    refund = stripe_standin.refund(intent, 100)

    settled = await reversals.settle_refund(shop, refund["id"])

    assert settled.outcome == "ignored"


async def test_a_refund_that_carries_our_mark_and_belongs_to_nothing_waits_for_a_person(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    marks = {"farebox": shop.installation, "order_id": "ord_" + "0" * 24}
    intent = await foreign_payment(shop, marks)
    refund = stripe_standin.refund(intent, 100)

    with pytest.raises(Quarantined):
        await reversals.settle_refund(shop, refund["id"])


async def test_a_refund_of_another_installations_payment_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    session = await paid(shop, stripe_standin, account)
    refund = stripe_standin.refund(intent_of(stripe_standin, session), 100)
    other = replace(shop, installation="another")
    async with shop.ledger.database.connection() as connection:
        await connection.execute("UPDATE billing.orders SET session_id = NULL, livemode = true")

    settled = await reversals.settle_refund(other, refund["id"])

    assert settled.outcome == "ignored"


async def dispute_lost_and_won(shop: Shop, standin: RunningStandIn, intent: str) -> None:
    dispute = standin.dispute(intent)["id"]
    await reversals.settle_dispute(shop, dispute)
    standin.dispute_step(dispute, "win")
    await reversals.settle_dispute(shop, dispute)


async def spend(shop: Shop, account: int, amount: int) -> None:
    """Serve requests for so many credits."""
    async with shop.ledger.database.connection() as connection:
        key = await api_keys.create(connection, account, actor="test", random_bytes=os.urandom)
    assert await shop.push(account)
    order = HoldOrder(
        account=account,
        key=key.key.id,
        credit_type=1,
        ceiling=amount,
        version=1,
        rule=0,
        lifetime_ms=60_000,
    )
    async with shop.ledger.holds.hold(order) as held:
        held.capture(amount, Reason.DELIVERED, status=200)
    async with asyncio.timeout(10):
        while shop.ledger.settler.unsettled:  # noqa: ASYNC110 - a number, no event
            await asyncio.sleep(0.005)


async def foreign_payment(shop: Shop, metadata: dict[str, str]) -> str:
    """A payment in the same Stripe account that was not made through Checkout."""
    v1 = shop.stripe.v1
    method = await v1.payment_methods.create_async(
        {
            "type": "card",
            "card": {
                "number": "4242424242424242",
                "exp_month": 12,
                "exp_year": 2040,
                "cvc": "123",
            },
        }
    )
    intent = await v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": method.id,
            "confirm": True,
            "metadata": metadata,
            "return_url": "https://example.com/back",
        }
    )
    return str(intent.id)
