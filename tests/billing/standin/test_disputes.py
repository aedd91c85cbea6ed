"""Disputes, fraud warnings and reviews: what the bank takes, gives back and says."""

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


async def test_a_dispute_takes_the_money_and_a_fee(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    before = marks(stripe_standin)

    stripe_standin.dispute(intent)

    [dispute] = (await sdk.v1.disputes.list_async({"payment_intent": intent})).data
    [taken] = dispute.balance_transactions
    assert (dispute.status, dispute.amount) == ("needs_response", 2000)
    assert (taken.amount, taken.fee, taken.reporting_category) == (-2000, 1500, "dispute")
    assert told(stripe_standin, before) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]


async def test_a_won_dispute_gives_the_money_back(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    dispute = stripe_standin.dispute(intent)
    before = marks(stripe_standin)

    stripe_standin.dispute_step(dispute["id"], "win")
    stripe_standin.dispute_step(dispute["id"], "reinstate")

    won = await sdk.v1.disputes.retrieve_async(dispute["id"])
    assert won.status == "won"
    assert [one.net for one in won.balance_transactions] == [-3500, 3500]
    assert told(stripe_standin, before) == [
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


async def test_an_inquiry_takes_nothing_until_it_is_escalated(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)

    asked = stripe_standin.dispute(intent, inquiry=True)
    assert (asked["status"], asked["balance_transactions"]) == ("warning_needs_response", [])
    before = marks(stripe_standin)
    stripe_standin.dispute_step(asked["id"], "escalate")

    escalated = await sdk.v1.disputes.retrieve_async(asked["id"])
    assert (escalated.status, len(escalated.balance_transactions)) == ("needs_response", 1)
    assert told(stripe_standin, before) == [
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]


async def test_a_lost_dispute_can_be_appealed_and_won_after_all(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    dispute = stripe_standin.dispute(intent, 700)
    steps = ("respond", "lose", "appeal", "respond", "win")
    seen = [stripe_standin.dispute_step(dispute["id"], step)["status"] for step in steps]

    assert seen == ["under_review", "lost", "appeal_needs_response", "appeal_under_review", "won"]
    won = await sdk.v1.disputes.retrieve_async(dispute["id"])
    assert sum(one.amount for one in won.balance_transactions) == 0


@pytest.mark.parametrize(
    ("inquiry", "step", "end"),
    [
        (True, "close_inquiry", ("warning_closed", 0)),
        (True, "prevent", ("prevented", 0)),
        (False, "prevent", ("prevented", 0)),
        (False, "lose", ("lost", -2000)),
    ],
)
async def test_how_disputes_end(
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    inquiry: bool,
    step: str,
    end: tuple[str, int],
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    dispute = stripe_standin.dispute(intent, inquiry=inquiry)

    stripe_standin.dispute_step(dispute["id"], step)

    ended = await sdk.v1.disputes.retrieve_async(dispute["id"])
    assert (ended.status, sum(one.amount for one in ended.balance_transactions)) == end
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await sdk.v1.disputes.update_async(dispute["id"], {"evidence": {"customer_name": "Ann"}})


@pytest.mark.parametrize(
    ("evidence", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")]
)
async def test_stripes_words_for_evidence_decide_a_dispute(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, evidence: str, status: str
) -> None:
    dispute = stripe_standin.dispute(await paid_intent(sdk, stripe_standin))

    answered = await sdk.v1.disputes.update_async(
        dispute["id"], {"evidence": {"uncategorized_text": evidence}, "submit": True}
    )

    assert answered.status == status
    assert answered.evidence_details.submission_count == 1


async def test_a_disputed_charge_cannot_be_refunded(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    stripe_standin.dispute(intent, 500)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.refunds.create_async({"payment_intent": intent})

    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("4000000000000259", ["charge.dispute.created", "charge.dispute.funds_withdrawn"]),
        ("4000000000002685", ["charge.dispute.created", "charge.dispute.funds_withdrawn"]),
        ("4000000000001976", ["charge.dispute.created"]),
        ("4000000000005423", ["radar.early_fraud_warning.created"]),
        ("4000000000009235", ["review.opened"]),
    ],
)
async def test_cards_that_bring_trouble_do_so_after_the_purchase_is_complete(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, card: str, expected: list[str]
) -> None:
    session = await session_of(sdk)

    stripe_standin.pay(session.id, card=card)
    stripe_standin.advance(1)

    types = told(stripe_standin)
    assert types[types.index("checkout.session.completed") + 1 :] == expected


async def test_a_returned_bank_debit_is_a_dispute(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    customer = await sdk.v1.customers.create_async()
    method = await sdk.v1.payment_methods.create_async(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT591904300235473203"}}
    )
    await sdk.v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    intent = await sdk.v1.payment_intents.create_async(
        {
            "amount": 900,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
            "off_session": True,
        }
    )
    assert intent.status == "processing"

    stripe_standin.finish_intent(intent.id)
    stripe_standin.advance(1)

    [dispute] = (await sdk.v1.disputes.list_async({"payment_intent": intent.id})).data
    assert (dispute.reason, dispute.amount) == ("debit_not_authorized", 900)


async def test_warnings_and_reviews_are_found_and_reviews_are_closed(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    warning = stripe_standin.warn(intent)
    opened = stripe_standin.open_review(intent)

    found = await sdk.v1.radar.early_fraud_warnings.list_async({"payment_intent": intent})
    assert [one.id for one in found.data] == [warning["id"]]
    assert len((await sdk.v1.reviews.list_async()).data) == 1
    closed = await sdk.v1.reviews.approve_async(opened["id"])

    assert (closed.open, closed.closed_reason) == (False, "approved")
    assert (await sdk.v1.reviews.list_async()).data == []
    assert told(stripe_standin)[-1] == "review.closed"
