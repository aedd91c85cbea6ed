"""Refunds: what is left of a charge, and every state a refund can be in."""

from collections.abc import AsyncIterator

import pytest
import stripe

from tests.billing.standin.till import emptied, marks, paid_intent, session_of, told
from tests.standin import RunningStandIn, running_standin

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def all_day() -> AsyncIterator[RunningStandIn]:
    async with running_standin() as standin:
        yield standin


@pytest.fixture
def stripe_standin(all_day: RunningStandIn) -> RunningStandIn:
    return emptied(all_day)


async def charge_of(sdk: stripe.StripeClient, intent: str) -> stripe.Charge:
    [charge] = (await sdk.v1.charges.list_async({"payment_intent": intent})).data
    return charge


async def test_a_partial_refund_is_counted_on_its_charge(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    before = marks(stripe_standin)

    refund = await sdk.v1.refunds.create_async(
        {"payment_intent": intent, "amount": 500, "metadata": {"refund_id": "rfd_1"}}
    )

    charge = await charge_of(sdk, intent)
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 500, charge.id)
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    assert told(stripe_standin, before) == ["refund.created", "charge.refunded"]


async def test_a_refund_without_an_amount_gives_back_all_that_is_left(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 500})

    refund = await sdk.v1.refunds.create_async({"payment_intent": intent})

    assert refund.amount == 1500
    assert (await charge_of(sdk, intent)).refunded is True


async def test_more_than_is_left_is_refused(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 500})

    with pytest.raises(stripe.InvalidRequestError, match=r"\$20.00\) is greater than .*\$15.00"):
        await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 2000})

    await sdk.v1.refunds.create_async({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as again:
        await sdk.v1.refunds.create_async({"payment_intent": intent})
    assert again.value.code == "charge_already_refunded"


async def test_nothing_is_refunded_of_a_payment_that_was_not_made(
    sdk: stripe.StripeClient,
) -> None:
    intent = await sdk.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await sdk.v1.refunds.create_async({"payment_intent": intent.id})


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_comes_to_nothing_is_no_longer_counted(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, status: str
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    refund = stripe_standin.refund(intent, 500, status="pending")
    assert (await charge_of(sdk, intent)).amount_refunded == 500
    before = marks(stripe_standin)

    stripe_standin.set_refund_status(refund["id"], status)

    again = await sdk.v1.refunds.retrieve_async(refund["id"])
    assert (again.status, (await charge_of(sdk, intent)).amount_refunded) == (status, 0)
    failed = ["refund.failed"] if status == "failed" else []
    assert told(stripe_standin, before) == ["refund.updated", "charge.refund.updated", *failed]
    moved = await sdk.v1.balance_transactions.list_async({"source": refund["id"]})
    assert sorted(one.net for one in moved.data) == [-500, 500]


async def test_a_refund_that_wants_the_buyer_can_be_canceled_and_no_other(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    waiting = stripe_standin.refund(intent, 500, status="requires_action")
    done = await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 500})

    canceled = await sdk.v1.refunds.cancel_async(waiting["id"])

    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="not requires_action"):
        await sdk.v1.refunds.cancel_async(done.id)


@pytest.mark.parametrize(
    ("card", "first", "then"),
    [
        ("4000000000007726", "pending", "succeeded"),
        ("4000000000005126", "succeeded", "failed"),
    ],
)
async def test_cards_whose_refunds_are_known_only_later(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, card: str, first: str, then: str
) -> None:
    intent = await paid_intent(sdk, stripe_standin, card)

    refund = await sdk.v1.refunds.create_async({"payment_intent": intent})
    assert refund.status == first
    stripe_standin.advance(3600)

    assert (await sdk.v1.refunds.retrieve_async(refund.id)).status == then


async def test_a_refund_waits_for_our_balance(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)

    made = stripe_standin.refund(intent, status="pending", pending_reason="insufficient_funds")

    refund = await sdk.v1.refunds.retrieve_async(made["id"])
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")


async def test_refunds_are_listed_by_intent_and_absent_from_the_charge_unless_expanded(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    other = await paid_intent(sdk, stripe_standin)
    for _ in range(3):
        await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 100})
    await sdk.v1.refunds.create_async({"payment_intent": other})

    found = await sdk.v1.refunds.list_async({"payment_intent": intent, "limit": 2})
    charge = await charge_of(sdk, intent)
    expanded = await sdk.v1.charges.retrieve_async(charge.id, {"expand": ["refunds"]})

    assert (len(found.data), found.has_more) == (2, True)
    assert not hasattr(charge, "refunds")
    assert expanded.refunds is not None
    assert len(expanded.refunds.data) == 3


async def test_a_bank_debit_is_refunded_like_a_card(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    stripe_standin.pay_slowly(session.id)
    paid = stripe_standin.finish_payment(session.id)

    refund = await sdk.v1.refunds.create_async({"payment_intent": paid["payment_intent"]})

    assert refund.id.startswith("pyr_")
    assert refund.destination_details is not None
    assert refund.destination_details.type == "sepa_debit"
