"""Money back: asked once, whatever becomes of the answer, and the credits follow."""

import asyncio
from dataclasses import replace

import pytest

from billing.errors import (
    NoSuchObject,
    NotRefundable,
    StateConflict,
    StripeRefused,
    WrongPurchase,
)
from billing.purchases.checkout import Purchase, start
from billing.reversing import money_back, reversals
from billing.shop import Shop
from ledger.ports import SystemClock
from tests.billing.sales import ordered, paid, rows, sold, subscribed
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

REFUNDS = "/v1/refunds"


class Later(SystemClock):
    """Two minutes from now, when no asking can still be under way."""

    def now_us(self) -> int:
        return super().now_us() + 120_000_000

    def now_ms(self) -> int:
        return self.now_us() // 1_000


def refunds_at(standin: RunningStandIn) -> list[int]:
    return [refund["amount"] for refund in standin.world.every("refund")]


async def test_a_part_of_the_money_takes_back_its_share_of_the_credits_at_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)

    refund = await money_back.refund(shop, sale.order_id, 300, reason="too slow", actor="ada")

    assert (refund.state, refund.amount_minor, refund.actor) == ("succeeded", 300, "ada")
    assert await ordered(shop, account) == 70
    [made] = stripe_standin.world.every("refund")
    assert made["id"] == refund.stripe_id
    assert made["metadata"] == {
        "farebox": shop.installation,
        "order_id": sale.order_id,
        "account": f"acc_{account}",
        "refund_id": refund.id,
        "reason": "too slow",
    }


async def test_without_an_amount_everything_that_is_left_goes_back(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    await money_back.refund(shop, sale.order_id, 400, actor="ada")

    rest = await money_back.refund(shop, sale.object_id, None, actor="ada")

    assert rest.amount_minor == 600
    assert await ordered(shop, account) == 0


async def test_more_than_is_left_is_refused_before_stripe_is_asked(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.refund(sale.payment_intent_id, 700)  # in the dashboard; we have not heard of it

    with pytest.raises(NotRefundable) as refused:
        await money_back.refund(shop, sale.order_id, 301, actor="ada")

    assert refused.value.left_minor == 300
    assert refunds_at(stripe_standin) == [700]
    assert await rows(shop, "SELECT id FROM billing.refunds") == []


async def test_what_a_dispute_withdrew_is_not_refunded_besides(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.dispute(sale.payment_intent_id, 800)

    with pytest.raises(NotRefundable) as refused:
        await money_back.refund(shop, sale.order_id, 201, actor="ada")

    assert refused.value.left_minor == 200


async def test_of_many_at_once_no_more_goes_back_than_was_paid(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)

    ended = await asyncio.gather(
        *(money_back.refund(shop, sale.order_id, 400, actor="ada") for _ in range(4)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, NotRefundable) for one in ended) == 2
    assert refunds_at(stripe_standin) == [400, 400]
    assert await ordered(shop, account) == 20


async def test_the_same_reference_again_is_answered_as_the_first_was(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    first = await money_back.refund(shop, sale.order_id, 300, actor="ada", reference="ticket 7")

    again = await money_back.refund(shop, sale.order_id, 300, actor="bob", reference="ticket 7")

    assert again == first
    assert refunds_at(stripe_standin) == [300]
    with pytest.raises(StateConflict):
        await money_back.refund(shop, sale.order_id, 200, actor="ada", reference="ticket 7")


async def test_a_lost_answer_leaves_the_asking_and_looking_again_finds_what_was_done(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.fault(kind="cut_after", path=REFUNDS, method="POST")
    stripe_standin.fault(kind="cut_before", path=REFUNDS, method="POST", count=2)  # its retries
    asked = await money_back.refund(shop, sale.order_id, 300, actor="ada")
    assert asked.state == "asking"

    assert await money_back.look_again(replace(shop, clock=Later())) == 1

    assert refunds_at(stripe_standin) == [300]
    assert await rows(shop, "SELECT state FROM billing.refunds") == [("succeeded",)]
    assert await ordered(shop, account) == 70


async def test_looking_again_asks_once_more_where_nothing_was_done(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.fault(kind="cut_before", path=REFUNDS, method="POST", count=3)
    await money_back.refund(shop, sale.order_id, 300, actor="ada")
    assert refunds_at(stripe_standin) == []

    assert await money_back.look_again(replace(shop, clock=Later())) == 1
    assert await money_back.look_again(replace(shop, clock=Later())) == 0

    assert refunds_at(stripe_standin) == [300]
    assert await ordered(shop, account) == 70


async def test_an_asking_that_may_be_under_way_is_left_alone_and_counts_against_what_is_left(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    stripe_standin.fault(kind="cut_before", path=REFUNDS, method="POST", count=3)
    await money_back.refund(shop, sale.order_id, 800, actor="ada")

    assert await money_back.look_again(shop) == 0
    with pytest.raises(NotRefundable) as refused:
        await money_back.refund(shop, sale.order_id, 201, actor="ada")
    assert refused.value.left_minor == 200


async def test_what_stripe_refuses_is_noted_and_costs_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    # A dispute that withdrew only a part forbids refunds of the rest as well.
    stripe_standin.dispute(sale.payment_intent_id, 100)

    with pytest.raises(StripeRefused):
        await money_back.refund(shop, sale.order_id, 300, actor="ada")

    [(state, failure)] = await rows(shop, "SELECT state, failure FROM billing.refunds")
    assert state == "refused"
    assert failure.startswith("charge_disputed")
    assert await ordered(shop, account) == 90


async def test_a_refund_of_ours_that_fails_later_says_so_and_gives_the_credits_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    refund = await money_back.refund(shop, sale.order_id, 300, actor="ada")
    stripe_standin.set_refund_status(refund.stripe_id, "failed")
    await reversals.settle_refund(shop, refund.stripe_id)

    assert await rows(shop, "SELECT state, failure FROM billing.refunds") == [
        ("failed", "lost_or_stolen_card")
    ]
    assert await ordered(shop, account) == 100


async def test_an_invoice_is_given_back_by_a_credit_note(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await subscribed(shop, stripe_standin, account)

    refund = await money_back.refund(shop, sale.object_id, sale.paid_minor // 4, actor="ada")

    [note] = stripe_standin.world.every("credit_note")
    [made] = stripe_standin.world.every("refund")
    assert (note["invoice"], made["amount"]) == (sale.object_id, sale.paid_minor // 4)
    assert (refund.state, refund.stripe_id) == ("succeeded", made["id"])
    assert await ordered(shop, account) == 375


async def test_a_credit_note_whose_answer_was_lost_is_found_and_not_made_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await subscribed(shop, stripe_standin, account)
    notes = "/v1/credit_notes"
    stripe_standin.fault(kind="cut_after", path=notes, method="POST")
    stripe_standin.fault(kind="cut_before", path=notes, method="POST", count=2)
    await money_back.refund(shop, sale.order_id, 500, actor="ada")
    assert await rows(shop, "SELECT state FROM billing.refunds") == [("asking",)]

    assert await money_back.look_again(replace(shop, clock=Later())) == 1

    assert refunds_at(stripe_standin) == [500]
    assert await rows(shop, "SELECT state FROM billing.refunds") == [("succeeded",)]


async def test_a_credit_note_whose_refund_came_later_is_followed_to_its_end(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Until its refund is known, the asking would count twice against what is left."""
    sale = await subscribed(shop, stripe_standin, account)
    asked = await money_back.refund(shop, sale.object_id, 500, actor="anna")
    await rows(
        shop,
        "UPDATE billing.refunds SET state = 'pending', stripe_id = NULL,"
        " created_at = created_at - interval '1 hour' RETURNING 1",
    )

    assert await money_back.look_again(shop) == 1
    assert await money_back.look_again(shop) == 0

    [row] = await rows(shop, "SELECT id, state, stripe_id FROM billing.refunds")
    assert row == (asked.id, "succeeded", asked.stripe_id)
    assert len(list(stripe_standin.world.every("refund"))) == 1


async def test_every_refund_is_in_the_audit_with_who_asked(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account)
    await money_back.refund(shop, sale.order_id, 300, actor="ada")
    audited = await rows(
        shop,
        "SELECT actor, target, detail->>'amount_minor' FROM audit WHERE action = 'refund'",
    )
    assert audited == [("ada", sale.order_id, "300")]


async def test_an_order_that_was_not_paid_has_nothing_to_give_back(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await start(shop, account, Purchase(package="starter"))
    with pytest.raises(NotRefundable):
        await money_back.refund(shop, started.order_id, None, actor="ada")


async def test_names_that_lead_nowhere_are_refused(shop: Shop) -> None:
    for name in ("ord_" + "0" * 24, "cs_test_1", "pi_1", "", "acc_1"):
        with pytest.raises(NoSuchObject):
            await money_back.refund(shop, name, None, actor="ada")


@pytest.mark.parametrize("amount", [0, -5])
async def test_an_amount_below_one_is_refused(shop: Shop, amount: int) -> None:
    with pytest.raises(WrongPurchase):
        await money_back.refund(shop, "ord_" + "0" * 24, amount, actor="ada")


async def test_a_sale_nobody_told_us_of_can_be_refunded_by_its_session_once_it_is_settled(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    session = await paid(shop, stripe_standin, account)
    with pytest.raises(NoSuchObject):
        await money_back.refund(shop, session, None, actor="ada")
