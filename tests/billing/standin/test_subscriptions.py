"""Subscriptions at the stand-in, asked for with the real SDK over a socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from billing.stripe_door import StripeDoor
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

MONTH_AND_A_BIT_S = 31 * 24 * 3600 + 7200


@pytest.fixture
async def sdk(stripe_standin: RunningStandIn) -> AsyncIterator[Any]:
    door = StripeDoor.open(stripe_standin.key, stripe_standin.url)
    yield door.v1
    await door.aclose()


async def price(sdk: Any, unit_amount: int = 2000, **recurring: Any) -> Any:
    product = await sdk.products.create_async({"name": "Monthly"})
    return await sdk.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": unit_amount,
            "recurring": {"interval": "month"} | recurring,
        }
    )


async def subscribe(
    standin: RunningStandIn, sdk: Any, *, card: str | None = "4242424242424242", **fields: Any
) -> Any:
    quantity = fields.pop("quantity", 1)
    unit_amount = fields.pop("unit_amount", 2000)
    session = await sdk.checkout.sessions.create_async(
        {
            "mode": "subscription",
            "line_items": [{"price": (await price(sdk, unit_amount)).id, "quantity": quantity}],
            "success_url": "http://127.0.0.1:1/ok",
            **fields,
        }
    )
    standin.pay(session.id, card=card)
    done = await sdk.checkout.sessions.retrieve_async(session.id)
    return await sdk.subscriptions.retrieve_async(
        done.subscription, {"expand": ["latest_invoice.payments"]}
    )


def types(standin: RunningStandIn) -> list[str]:
    return [event["type"] for event in standin.events()]


async def test_a_completed_session_begins_a_paid_subscription(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """The subscription runs, its period is on the item, and its invoice names what paid it."""
    subscription = await subscribe(stripe_standin, sdk, subscription_data={"metadata": {"a": "b"}})

    invoice, item = subscription.latest_invoice, subscription["items"].data[0]
    intent = await sdk.payment_intents.retrieve_async(
        invoice.payments.data[0].payment.payment_intent
    )
    assert (subscription.status, subscription.metadata["a"]) == ("active", "b")
    assert 28 <= (item.current_period_end - item.current_period_start) / 86400 <= 31
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.amount_paid, intent.amount_received, intent.status) == (2000, 2000, "succeeded")
    assert invoice.parent.subscription_details.subscription == subscription.id
    line = invoice.lines.data[0]
    assert (line.amount, line.period.end) == (2000, item.current_period_end)
    assert not line.parent.subscription_item_details.proration


async def test_the_events_of_a_beginning_are_those_of_stripe(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """Payment, subscription, invoice and session each tell of it."""
    await subscribe(stripe_standin, sdk)

    wanted = [
        *("payment_intent.succeeded", "charge.succeeded", "customer.subscription.created"),
        *("invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"),
        *("invoice_payment.paid", "checkout.session.completed"),
    ]
    assert [one for one in types(stripe_standin) if one in wanted] == wanted


async def test_a_refused_card_begins_nothing(stripe_standin: RunningStandIn, sdk: Any) -> None:
    """The buyer may try another card: there is no subscription and no invoice yet."""
    with pytest.raises(Exception, match="declined"):
        await subscribe(stripe_standin, sdk, card="4000000000000341")

    assert list(stripe_standin.world.every("subscription")) == []
    assert list(stripe_standin.world.every("invoice")) == []


async def test_a_renewal_makes_an_invoice_for_the_next_period(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """The period moves on by itself, and an hour later its invoice is paid."""
    first = await subscribe(stripe_standin, sdk, quantity=3)

    invoice = stripe_standin.renew(first.id)

    second = await sdk.subscriptions.retrieve_async(first.id)
    assert (invoice["billing_reason"], invoice["amount_paid"]) == ("subscription_cycle", 6000)
    assert second["items"].data[0].current_period_start == first["items"].data[0].current_period_end
    listed = await sdk.invoices.list_async({"subscription": first.id})
    assert [one.status for one in listed.data] == ["paid", "paid"]


async def test_a_trial_begins_with_an_invoice_over_nothing(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """Nothing is taken; three days before the end it is announced; then the first period."""
    subscription = await subscribe(stripe_standin, sdk, subscription_data={"trial_period_days": 14})
    invoice = subscription.latest_invoice

    assert (subscription.status, invoice.status, invoice.total) == ("trialing", "paid", 0)
    assert invoice.payments.data == []
    stripe_standin.advance(11 * 86400 + 1)
    assert stripe_standin.events("customer.subscription.trial_will_end")
    paid = stripe_standin.renew(subscription.id)
    assert (paid["billing_reason"], paid["amount_paid"]) == ("subscription_cycle", 2000)
    after = await sdk.subscriptions.retrieve_async(subscription.id)
    assert after.status == "active"


async def test_an_upgrade_is_billed_for_the_rest_of_the_period(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """One line gives back what is unused, one costs the rest, and both are prorations."""
    subscription = await subscribe(stripe_standin, sdk, unit_amount=3000)
    item = subscription["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    stripe_standin.advance(half)

    changed = await sdk.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item.id, "price": (await price(sdk, 9000)).id}],
            "proration_behavior": "always_invoice",
        },
    )

    invoice = await sdk.invoices.retrieve_async(changed.latest_invoice)
    back, more = invoice.lines.data
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert (abs(back.amount + 1500) <= 1, abs(more.amount - 4500) <= 1) == (True, True)
    assert invoice.amount_paid == back.amount + more.amount
    assert all(
        line.parent.subscription_item_details.proration
        and line.period.end == item.current_period_end
        for line in (back, more)
    )
    assert changed["items"].data[0].current_period_end == item.current_period_end


async def test_prorations_wait_for_the_next_invoice_by_default(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """A change alone takes no money; the renewal's invoice has three lines."""
    subscription = await subscribe(stripe_standin, sdk)
    item = subscription["items"].data[0]

    changed = await sdk.subscriptions.update_async(
        subscription.id, {"items": [{"id": item.id, "quantity": 2}]}
    )
    assert changed.latest_invoice == subscription.latest_invoice.id
    renewed = stripe_standin.renew(subscription.id)

    assert [line["amount"] > 0 for line in renewed["lines"]["data"]] == [False, True, True]
    assert renewed["lines"]["data"][2]["amount"] == 4000


async def test_a_downgrade_leaves_money_on_the_customers_balance(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """What is given back is not refunded; later invoices are paid from it."""
    subscription = await subscribe(stripe_standin, sdk, unit_amount=9000)
    item = subscription["items"].data[0]

    await sdk.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item.id, "price": (await price(sdk, 1000)).id}],
            "proration_behavior": "always_invoice",
        },
    )
    renewed = stripe_standin.renew(subscription.id)

    customer = await sdk.customers.retrieve_async(subscription.customer)
    assert (renewed["status"], renewed["amount_due"], renewed["total"]) == ("paid", 0, 1000)
    assert -8000 < customer.balance < -6000


async def test_a_failing_renewal_is_tried_again_and_then_ends_it(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """past_due while Stripe tries, four times in all, then canceled."""
    subscription = await subscribe(stripe_standin, sdk)
    stripe_standin.change_card(subscription.id, "4000000000000341")

    invoice = stripe_standin.renew(subscription.id)

    assert (invoice["status"], invoice["attempt_count"]) == ("open", 1)
    assert invoice["next_payment_attempt"] is not None
    seen = await sdk.subscriptions.retrieve_async(subscription.id)
    assert seen.status == "past_due"
    stripe_standin.advance(15 * 86400 + 10)
    seen = await sdk.subscriptions.retrieve_async(subscription.id)
    assert (seen.status, seen.cancellation_details.reason) == ("canceled", "payment_failed")
    assert types(stripe_standin).count("invoice.payment_failed") == 4


async def test_a_failing_renewal_may_leave_it_unpaid_until_somebody_pays(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """The merchant chooses unpaid; paying the invoice on its page brings it back."""
    subscription = await subscribe(stripe_standin, sdk)
    stripe_standin.when_unpaid(subscription.id, "unpaid")
    stripe_standin.change_card(subscription.id, "4000000000000341")
    invoice = stripe_standin.renew(subscription.id)
    stripe_standin.advance(15 * 86400 + 10)
    seen = await sdk.subscriptions.retrieve_async(subscription.id)
    assert seen.status == "unpaid"

    paid = stripe_standin.pay_invoice(invoice["id"])

    seen = await sdk.subscriptions.retrieve_async(subscription.id)
    assert (paid["status"], seen.status) == ("paid", "active")


async def test_a_renewal_that_wants_the_buyer_says_so(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """A card that always asks for 3-D Secure cannot be charged without the buyer."""
    subscription = await subscribe(stripe_standin, sdk)
    stripe_standin.change_card(subscription.id, "4000002760003184")

    stripe_standin.renew(subscription.id)

    assert stripe_standin.events("invoice.payment_action_required")


async def test_it_can_end_with_the_period_and_be_kept_after_all(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """Until the period ends the choice can be taken back."""
    subscription = await subscribe(stripe_standin, sdk)
    ending = await sdk.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    assert ending.cancel_at == ending["items"].data[0].current_period_end
    kept = await sdk.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    await sdk.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})

    stripe_standin.advance(MONTH_AND_A_BIT_S)

    ended = await sdk.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == (
        "canceled",
        "cancellation_requested",
    )
    assert types(stripe_standin).count("customer.subscription.deleted") == 1
    assert len((await sdk.invoices.list_async({"subscription": subscription.id})).data) == 1


async def test_it_can_end_at_once_and_only_once(stripe_standin: RunningStandIn, sdk: Any) -> None:
    """A second cancellation finds no subscription, in Stripe's words; lists leave it out."""
    subscription = await subscribe(stripe_standin, sdk)

    ended = await sdk.subscriptions.cancel_async(subscription.id)

    assert (ended.status, ended.ended_at is not None) == ("canceled", True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.subscriptions.cancel_async(subscription.id)
    assert refused.value.code == "resource_missing"
    customer = {"customer": subscription.customer}
    assert (await sdk.subscriptions.list_async(customer)).data == []
    assert len((await sdk.subscriptions.list_async(customer | {"status": "all"})).data) == 1


async def test_a_paused_subscription_makes_no_invoice_until_it_is_resumed(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """Unused time comes off the invoice of the new cycle that resuming begins."""
    subscription = await subscribe(stripe_standin, sdk)
    item = subscription["items"].data[0]
    stripe_standin.advance((item.current_period_end - item.current_period_start) // 2)
    paused = await sdk.subscriptions.pause_async(subscription.id)
    assert paused.status_details.paused.subscription.type == "pause_requested"
    stripe_standin.advance(2 * MONTH_AND_A_BIT_S)
    assert len((await sdk.invoices.list_async({"subscription": subscription.id})).data) == 1

    resumed = await sdk.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )

    invoice = await sdk.invoices.retrieve_async(resumed.latest_invoice)
    assert (resumed.status, resumed.status_details, invoice.status) == ("active", None, "paid")
    assert abs(invoice.amount_paid - 1000) <= 1
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(
        types(stripe_standin)
    )


async def test_resuming_by_default_waits_until_somebody_pays(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """The invoice is open for 23 hours; not paid then, it is void and all stays paused."""
    subscription = await subscribe(stripe_standin, sdk)
    await sdk.subscriptions.pause_async(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    waiting = await sdk.subscriptions.resume_async(subscription.id)
    invoice = await sdk.invoices.retrieve_async(waiting.latest_invoice)
    assert (waiting.status, invoice.status, invoice.amount_due) == ("paused", "open", 2000)
    stripe_standin.advance(24 * 3600)
    assert (await sdk.invoices.retrieve_async(invoice.id)).status == "void"

    again = await sdk.subscriptions.resume_async(subscription.id)
    await sdk.invoices.pay_async(again.latest_invoice)

    assert (await sdk.subscriptions.retrieve_async(subscription.id)).status == "active"


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_bank_debit_begins_it_when_the_bank_has_answered(
    stripe_standin: RunningStandIn, sdk: Any, *, succeeds: bool
) -> None:
    """Until then the session is unpaid, the invoice open and the subscription incomplete."""
    session = await sdk.checkout.sessions.create_async(
        {
            "mode": "subscription",
            "line_items": [{"price": (await price(sdk)).id, "quantity": 1}],
            "success_url": "http://127.0.0.1:1/ok",
        }
    )
    done = stripe_standin.pay_slowly(session.id)
    seen = await sdk.subscriptions.retrieve_async(done["subscription"])
    assert (done["payment_status"], seen.status) == ("unpaid", "incomplete")
    stripe_standin.advance(3 * 86400)

    stripe_standin.finish_payment(session.id, succeeds=succeeds)

    seen = await sdk.subscriptions.retrieve_async(
        done["subscription"], {"expand": ["latest_invoice"]}
    )
    assert (seen.status, seen.latest_invoice.status) == (
        ("active", "paid") if succeeds else ("incomplete", "open")
    )


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")],
)
async def test_paused_collection_takes_no_money_for_renewals(
    stripe_standin: RunningStandIn, sdk: Any, behavior: str, status: str
) -> None:
    """The subscription stays active, and its invoices are given up or kept as drafts."""
    subscription = await subscribe(stripe_standin, sdk)
    await sdk.subscriptions.update_async(
        subscription.id, {"pause_collection": {"behavior": behavior}}
    )

    invoice = stripe_standin.renew(subscription.id)

    seen = await sdk.subscriptions.retrieve_async(subscription.id)
    assert (invoice["status"], seen.status) == (status, "active")


async def test_tax_and_a_coupon_are_on_the_invoice(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """A tenth off once, and 19 % on the rest; the renewal is without the coupon."""
    coupon = await sdk.coupons.create_async({"percent_off": 10, "duration": "once"})
    subscription = await subscribe(
        stripe_standin,
        sdk,
        automatic_tax={"enabled": True},
        discounts=[{"coupon": coupon.id}],
    )
    invoice = subscription.latest_invoice

    assert (invoice.subtotal, invoice.total_discount_amounts[0].amount) == (2000, 200)
    assert (invoice.total_taxes[0].amount, invoice.total, invoice.amount_paid) == (342, 2142, 2142)
    assert stripe_standin.renew(subscription.id)["total"] == 2380


async def test_a_subscription_can_be_made_without_checkout(
    stripe_standin: RunningStandIn, sdk: Any
) -> None:
    """By the API, with a card the customer has saved."""
    customer = await sdk.customers.create_async({"email": "a@example.com"})
    method = await sdk.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})

    subscription = await sdk.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": (await price(sdk)).id}],
            "default_payment_method": method.id,
        }
    )

    assert subscription.status == "active"
    assert stripe_standin.renew(subscription.id)["status"] == "paid"


async def test_a_subscription_survives_a_restart_of_its_world(
    stripe_standin: RunningStandIn, sdk: Any, tmp_path: Any
) -> None:
    """Saved and loaded, it renews as before."""
    from billing.standin import World

    subscription = await subscribe(stripe_standin, sdk)
    stripe_standin.world.save(tmp_path / "state.json")

    again = World()
    again.load(tmp_path / "state.json")
    again.advance(MONTH_AND_A_BIT_S)

    invoices = list(again.every("invoice"))
    assert [one["status"] for one in invoices] == ["paid", "paid"]
    assert invoices[1]["parent"]["subscription_details"]["subscription"] == subscription.id
