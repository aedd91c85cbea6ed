"""
What we rely on at Stripe, asked of the stand-in; and unchanged of Stripe itself.

With `STRIPE_SECRET_KEY=sk_test_...` in the environment every call here goes to that sandbox, which
then has a few more customers, prices and payments. What needs a browser, or time to pass, is asked
of the stand-in alone; `docs/stripe.md` lists it.
"""

import asyncio
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from billing.standin.endpoints import endpoints
from billing.standin.resources import load_all
from billing.stripe_door import StripeDoor, at, ident
from tests.standin import RunningStandIn, running_standin

pytestmark = pytest.mark.anyio

KEY = os.environ.get("STRIPE_SECRET_KEY", "")
SANDBOX = KEY.startswith("sk_test_") and not os.environ.get("STRIPE_API_BASE")
PATIENCE_S = 60


@pytest.fixture(scope="module")
async def standin() -> AsyncIterator[RunningStandIn | None]:
    if SANDBOX:
        yield None
        return
    async with running_standin() as standin:
        yield standin


@pytest.fixture(scope="module")
async def v1(standin: RunningStandIn | None) -> AsyncIterator[Any]:
    """Stripe's services, wherever they are."""
    door = StripeDoor.open(standin.key, standin.url) if standin else StripeDoor.open(KEY, None)
    yield door.v1
    await door.aclose()


async def eventually(seen: Callable[[], Awaitable[Any]]) -> Any:
    """What is seen as soon as it is anything; Stripe does some things a moment later."""
    until = time.monotonic() + PATIENCE_S
    while not (found := await seen()):
        assert time.monotonic() < until, "it has not been seen"
        await asyncio.sleep(0.5 if SANDBOX else 0.01)
    return found


async def price(v1: Any, unit_amount: int = 2000, **fields: Any) -> Any:
    product = await v1.products.create_async({"name": "Contract"})
    given = {"product": product.id, "currency": "usd", "unit_amount": unit_amount}
    return await v1.prices.create_async(given | fields)


async def monthly(v1: Any, unit_amount: int = 2000) -> Any:
    return await price(v1, unit_amount, recurring={"interval": "month"})


async def customer_with_card(v1: Any, card: str = "pm_card_visa") -> tuple[str, str]:
    customer = await v1.customers.create_async({"email": "contract@example.com"})
    method = await v1.payment_methods.attach_async(card, {"customer": customer.id})
    return customer.id, method.id


async def session(v1: Any, **fields: Any) -> Any:
    line = {"price": (await price(v1)).id, "quantity": 2}
    given = {"mode": "payment", "line_items": [line], "success_url": "https://example.com/ok"}
    return await v1.checkout.sessions.create_async(given | fields)


async def paid(v1: Any, amount: int = 2000, card: str = "pm_card_visa", **fields: Any) -> Any:
    given = {
        "amount": amount,
        "currency": "usd",
        "payment_method": card,
        "confirm": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "expand": ["latest_charge.balance_transaction"],
    }
    return await v1.payment_intents.create_async(given | fields)


async def subscribed(v1: Any, **fields: Any) -> Any:
    customer, method = await customer_with_card(v1)
    given = {
        "customer": customer,
        "items": [{"price": (await monthly(v1)).id}],
        "default_payment_method": method,
        "expand": ["latest_invoice.payments"],
    }
    return await v1.subscriptions.create_async(given | fields)


async def refused(call: Awaitable[Any]) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as error:
        await call
    return error.value


async def test_an_open_session_names_no_payment_intent_and_no_lines(v1: Any) -> None:
    """There is none before the buyer pays; lines come only when they are expanded."""
    made = await session(v1, client_reference_id="ord_1", metadata={"a": "b"})

    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (made.amount_subtotal, made.client_reference_id, made.livemode) == (4000, "ord_1", False)
    assert made.url.startswith("http")
    assert 23 * 3600 < made.expires_at - made.created <= 24 * 3600
    assert at(made, "line_items") is None
    expanded = await v1.checkout.sessions.retrieve_async(
        made.id, {"expand": ["line_items.data.price.product", "payment_intent.latest_charge"]}
    )
    assert expanded.line_items.data[0].quantity == 2
    assert expanded.line_items.data[0].price.product.name == "Contract"


async def test_a_session_expires_once(v1: Any) -> None:
    """An expired one has no page, and cannot expire again."""
    made = await session(v1)

    gone = await v1.checkout.sessions.expire_async(made.id)

    assert (gone.status, gone.url) == ("expired", None)
    again = await refused(v1.checkout.sessions.expire_async(made.id))
    assert again.http_status == 400


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        (
            {"payment_method_types": ["card"]},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ({"nonsense": "1"}, "parameter_unknown", "nonsense"),
        ({"customer": "cus_missing"}, "resource_missing", "customer"),
        (
            {"line_items": [{"price": "price_missing", "quantity": 1}]},
            "resource_missing",
            "line_items[0][price]",
        ),
    ],
)
async def test_a_session_is_refused_with_code_and_parameter(
    v1: Any, fields: Any, code: str, param: str
) -> None:
    """A missing customer and a missing price have one code: the parameter tells them apart."""
    error = await refused(session(v1, **fields))

    assert (error.http_status, error.code, error.param) == (400, code, param)


async def test_an_object_that_is_not_there_is_404(v1: Any) -> None:
    """With the code resource_missing."""
    for missing in (
        v1.checkout.sessions.retrieve_async("cs_test_missing"),
        v1.subscriptions.retrieve_async("sub_missing"),
        v1.invoices.retrieve_async("in_missing"),
        v1.payment_intents.retrieve_async("pi_missing"),
    ):
        error = await refused(missing)
        assert (error.http_status, error.code) == (404, "resource_missing")


async def test_an_idempotency_key_answers_again_and_never_for_other_parameters(v1: Any) -> None:
    """The second call makes nothing; a changed one is an idempotency error."""
    options = {"idempotency_key": f"contract:{uuid.uuid4()}"}
    given = {"email": "contract@example.com"}

    first = await v1.customers.create_async(given, options)
    second = await v1.customers.create_async(given, options)
    error = await refused(v1.customers.create_async({"email": "o@example.com"}, options))

    assert second.id == first.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert (type(error), error.http_status) == (stripe.IdempotencyError, 400)


async def test_a_payment_takes_money_at_once(v1: Any) -> None:
    """Its charge has a receipt, and a balance transaction with Stripe's fee."""
    intent = await paid(v1, metadata={"farebox": "contract"})
    charge = intent.latest_charge

    assert (intent.status, intent.amount_received, charge.paid) == ("succeeded", 2000, True)
    assert (charge.metadata["farebox"], charge.amount_refunded) == ("contract", 0)
    assert charge.receipt_url.startswith("http")
    assert charge.disputed is False
    booked = await eventually(
        lambda: v1.charges.retrieve_async(charge.id, {"expand": ["balance_transaction"]})
    )
    assert at(booked, "balance_transaction.fee") in (None, 88) or SANDBOX
    assert at(booked, "refunds") is None


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
    ],
)
async def test_a_declined_payment_carries_the_reason_and_the_intent(
    v1: Any, card: str, code: str, decline_code: str
) -> None:
    """402, and the intent wants another method."""
    error = await refused(paid(v1, card=card))

    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code) == (402, code)
    assert at(error.error, "decline_code") == decline_code
    intent = await v1.payment_intents.retrieve_async(at(error.error, "payment_intent.id"))
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code


async def test_a_payment_without_the_buyer_fails_where_the_bank_wants_to_see_them(
    v1: Any,
) -> None:
    """With error_on_requires_action nothing is parked in requires_action."""
    customer, method = await customer_with_card(v1, "pm_card_authenticationRequired")
    error = await refused(
        paid(
            v1,
            card=method,
            customer=customer,
            off_session=True,
            error_on_requires_action=True,
        )
    )

    assert error.http_status == 402
    assert "authentication_required" in (error.code, at(error.error, "decline_code"))
    intent = await v1.payment_intents.retrieve_async(at(error.error, "payment_intent.id"))
    assert intent.status == "requires_payment_method"


async def test_refunds_are_listed_by_intent_and_never_beyond_what_was_paid(v1: Any) -> None:
    """In parts; one more than is left is refused, and so is one when nothing is left."""
    intent = await paid(v1)

    part = await v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    too_much = await refused(v1.refunds.create_async({"payment_intent": intent.id, "amount": 1501}))
    await v1.refunds.create_async({"payment_intent": intent.id})
    nothing_left = await refused(v1.refunds.create_async({"payment_intent": intent.id}))

    assert part.status in {"succeeded", "pending"}
    assert too_much.http_status == 400
    assert nothing_left.code == "charge_already_refunded"
    listed = await v1.refunds.list_async({"payment_intent": intent.id})
    assert sorted(refund.amount for refund in listed.data) == [500, 1500]
    charge = await v1.charges.retrieve_async(intent.latest_charge.id)
    assert (charge.amount_refunded, charge.refunded) == (2000, True)


async def test_a_dispute_shows_what_it_withdrew(v1: Any) -> None:
    """Listed by intent, with its balance transactions."""
    intent = await paid(v1, card="pm_card_createDispute")

    async def opened() -> Any:
        return (await v1.disputes.list_async({"payment_intent": intent.id})).data

    (dispute,) = await eventually(opened)

    assert (dispute.status, dispute.amount) == ("needs_response", 2000)
    assert sum(one.amount for one in dispute.balance_transactions) == -2000


async def test_a_subscription_has_its_period_on_the_item_and_its_payment_on_the_invoice(
    v1: Any,
) -> None:
    """The places where they have been since basil."""
    subscription = await subscribed(v1, metadata={"farebox": "contract"})
    invoice, item = subscription.latest_invoice, subscription["items"].data[0]

    assert (subscription.status, invoice.billing_reason) == ("active", "subscription_create")
    assert at(subscription, "current_period_end") is None
    assert ident(invoice.parent.subscription_details.subscription) == subscription.id
    assert invoice.parent.subscription_details.metadata["farebox"] == "contract"
    (payment,) = invoice.payments.data
    assert (payment.status, payment.is_default, payment.amount_paid) == ("paid", True, 2000)
    line = invoice.lines.data[0]
    assert line.pricing.price_details.price == item.price.id
    assert line.period.end == item.current_period_end
    assert line.parent.subscription_item_details.proration is False
    intent = await v1.payment_intents.retrieve_async(ident(payment.payment.payment_intent))
    assert at(intent, "metadata.farebox") is None
    by_intent = {"type": "payment_intent", "payment_intent": intent.id}
    (found,) = (await v1.invoice_payments.list_async({"payment": by_intent})).data
    assert ident(found.invoice) == invoice.id


async def test_a_trial_begins_with_a_paid_invoice_over_nothing(v1: Any) -> None:
    """One line over 0 for the time of the trial."""
    subscription = await subscribed(v1, trial_period_days=7)
    invoice = subscription.latest_invoice

    assert (subscription.status, invoice.status) == ("trialing", "paid")
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (0, 0, 0)
    assert [line.amount for line in invoice.lines.data] == [0]
    assert invoice.lines.data[0].period.end == subscription.trial_end
    assert invoice.payments.data == []


async def test_an_upgrade_is_invoiced_by_two_prorations(v1: Any) -> None:
    """One gives back, one costs, to the end of a period that does not move."""
    subscription = await subscribed(v1)
    item = subscription["items"].data[0]
    bigger = (await monthly(v1, 6000)).id

    changed = await v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item.id, "price": bigger}],
            "proration_behavior": "always_invoice",
            "expand": ["latest_invoice"],
        },
    )

    invoice = changed.latest_invoice
    back, more = sorted(invoice.lines.data, key=lambda line: line.amount)
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert back.amount < 0 < more.amount
    assert more.pricing.price_details.price == bigger
    for line in (back, more):
        parent = line.parent
        details = at(parent, "subscription_item_details") or at(parent, "invoice_item_details")
        assert at(details, "proration") is True
    assert changed["items"].data[0].current_period_end == item.current_period_end


async def test_a_subscription_ends_with_its_period_or_at_once(v1: Any) -> None:
    """A second cancellation finds nothing; lists leave it out unless asked for all."""
    subscription = await subscribed(v1)

    ending = await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    ended = await v1.subscriptions.cancel_async(subscription.id)
    again = await refused(v1.subscriptions.cancel_async(subscription.id))

    assert (ending.status, ending.cancel_at_period_end) == ("active", True)
    assert (ended.status, ended.ended_at is None) == ("canceled", False)
    assert again.code == "resource_missing"
    mine = {"customer": ident(subscription.customer)}
    assert (await v1.subscriptions.list_async(mine)).data == []
    assert len((await v1.subscriptions.list_async(mine | {"status": "all"})).data) == 1


async def test_a_paused_subscription_says_why_and_can_be_resumed(v1: Any) -> None:
    """Its status is paused; resumed with a successful payment it is active."""
    subscription = await subscribed(v1, billing_mode={"type": "flexible"})

    paused = await v1.subscriptions.pause_async(subscription.id)
    resumed = await v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )

    assert paused.status == "paused"
    assert paused.status_details.paused.subscription.type == "pause_requested"
    assert resumed.status == "active"


async def test_a_credit_note_refunds_through_a_refund(v1: Any) -> None:
    """Which the list by intent has."""
    subscription = await subscribed(v1)
    invoice = subscription.latest_invoice

    note = await v1.credit_notes.create_async(
        {"invoice": invoice.id, "amount": 700, "refund_amount": 700}
    )

    assert (note.type, note.post_payment_amount) == ("post_payment", 700)
    intent = ident(invoice.payments.data[0].payment.payment_intent)
    (refund,) = (await v1.refunds.list_async({"payment_intent": intent})).data
    assert (refund.id, refund.amount) == (ident(note.refunds[0].refund), 700)


async def test_events_are_listed_by_type_and_name_their_object(v1: Any) -> None:
    """At most twenty types in one call."""
    customer = await v1.customers.create_async({"email": "contract@example.com"})
    wanted = {
        "types": ["customer.created", "customer.deleted"],
        "created": {"gte": customer.created},
    }

    async def told() -> Any:
        listed = await v1.events.list_async(wanted)
        return [one for one in listed.data if one.data.object.id == customer.id]

    (event,) = await eventually(told)

    assert (event.type, event.livemode) == ("customer.created", False)
    too_many = await refused(v1.events.list_async({"types": [f"a.b{n}" for n in range(21)]}))
    assert too_many.http_status == 400


async def test_lists_come_in_pages_newest_first(v1: Any) -> None:
    """`starting_after` goes on where the page before ended."""
    customer, method = await customer_with_card(v1)
    made = [(await paid(v1, card=method, customer=customer)).id for _ in range(3)]
    wanted = {"customer": customer, "limit": 2}

    first = await v1.payment_intents.list_async(wanted)
    second = await v1.payment_intents.list_async(wanted | {"starting_after": first.data[-1].id})

    assert [one.id for one in [*first.data, *second.data]] == made[::-1]
    assert (first.has_more, second.has_more) == (True, False)


async def test_a_deleted_customer_is_found_as_deleted(v1: Any) -> None:
    """Retrieving it works; selling to it does not."""
    customer = await v1.customers.create_async({"email": "contract@example.com"})

    await v1.customers.delete_async(customer.id)

    assert (await v1.customers.retrieve_async(customer.id)).deleted is True
    error = await refused(session(v1, customer=customer.id))
    assert (error.code, error.param) == ("resource_missing", "customer")


async def test_a_webhook_endpoint_keeps_its_version_and_tells_its_secret_once(v1: Any) -> None:
    """The version is the one asked for; the secret is only in the first answer."""
    made = await v1.webhook_endpoints.create_async(
        {
            "url": "https://example.com/contract",
            "enabled_events": ["invoice.paid"],
            "api_version": stripe.api_version,
        }
    )
    try:
        seen = await v1.webhook_endpoints.retrieve_async(made.id)
        assert made.secret.startswith("whsec_")
        assert (at(seen, "secret"), seen.api_version) == (None, stripe.api_version)
    finally:
        await v1.webhook_endpoints.delete_async(made.id)


async def test_a_buyer_pays_a_session(v1: Any, standin: RunningStandIn | None) -> None:
    """Needs a browser: the intent, its charge and the session's own metadata."""
    if standin is None:
        pytest.skip("a sandbox's Checkout page needs a person")
    made = await session(v1, payment_intent_data={"metadata": {"a": "b"}}, metadata={"c": "d"})

    standin.pay(made.id)

    done = await v1.checkout.sessions.retrieve_async(
        made.id, {"expand": ["payment_intent.latest_charge"]}
    )
    assert (done.status, done.payment_status, done.amount_total) == ("complete", "paid", 4000)
    assert done.payment_intent.metadata.to_dict() == {"a": "b"}
    assert done.payment_intent.latest_charge.metadata.to_dict() == {"a": "b"}


def test_the_documents_list_what_the_stand_in_has() -> None:
    """Every endpoint, and none that is not there."""
    load_all()
    page = (Path(__file__).parents[2] / "docs" / "stripe.md").read_text("utf-8")
    (block,) = re.findall(r"(?ms)^```text\n(.*?)^```$", page)

    listed = [tuple(line.split()) for line in block.splitlines()]

    assert listed == sorted(
        ((one.method, one.path) for one in endpoints()), key=lambda one: (one[1], one[0])
    )
