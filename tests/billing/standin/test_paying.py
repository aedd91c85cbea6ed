"""Paying on Checkout and by the API: states, and everything Stripe would tell."""

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


CARD_PAID = [
    "payment_intent.created",
    "payment_intent.succeeded",
    "charge.succeeded",
    "charge.updated",
    "checkout.session.completed",
]


async def test_a_card_payment_completes_its_session_and_tells_five_times(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    opened = await session_of(sdk)
    assert (opened.status, opened.payment_status, opened.amount_total) == ("open", "unpaid", 2000)
    assert opened.payment_intent is None

    stripe_standin.pay(opened.id, email="ann@example.com")

    session = await sdk.v1.checkout.sessions.retrieve_async(
        opened.id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
    )
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    moved = charge.balance_transaction
    assert isinstance(moved, stripe.BalanceTransaction)
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert session.customer_details is not None
    assert session.customer_details.email == "ann@example.com"
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    assert intent.metadata["order_id"] == charge.metadata["order_id"] == "ord_1"
    # 2.9 % of 20.00 and 0.30.
    assert (moved.fee, moved.net) == (88, 1912)
    assert told(stripe_standin) == CARD_PAID


async def test_line_items_come_with_their_product_only_when_asked_for(
    sdk: stripe.StripeClient,
) -> None:
    session = await session_of(sdk)
    assert not hasattr(session, "line_items")

    expanded = await sdk.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["line_items.data.price.product"]}
    )

    assert expanded.line_items is not None
    [line] = expanded.line_items.data
    assert (line.quantity, line.amount_total) == (2, 2000)
    assert line.price is not None
    assert isinstance(line.price.product, stripe.Product)
    assert line.price.product.name == "Starter"


async def test_line_items_are_listed_in_pages(sdk: stripe.StripeClient) -> None:
    line = {
        "price_data": {"currency": "usd", "unit_amount": 100, "product_data": {"name": "One"}},
        "quantity": 1,
    }
    session = await session_of(sdk, line_items=[line] * 12)

    first = await sdk.v1.checkout.sessions.line_items.list_async(session.id)
    rest = await sdk.v1.checkout.sessions.line_items.list_async(
        session.id, {"starting_after": first.data[-1].id}
    )

    assert (len(first.data), first.has_more) == (10, True)
    assert (len(rest.data), rest.has_more) == (2, False)


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000000069", "expired_card", None),
        ("4000000000000127", "incorrect_cvc", None),
        ("4000000000000341", "card_declined", "generic_decline"),
        ("4242424242424241", "incorrect_number", None),
    ],
)
async def test_a_refused_card_leaves_the_session_open(
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    card: str,
    code: str,
    decline_code: str | None,
) -> None:
    session = await session_of(sdk)

    with pytest.raises(Exception, match=r"[Cc]ard") as refused:
        stripe_standin.pay(session.id, card=card)

    assert refused.value.code == code
    assert refused.value.more["decline_code"] == decline_code
    again = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (again.status, again.payment_status) == ("open", "unpaid")


async def test_a_buyer_pays_with_another_card_after_a_refused_one_by_the_same_intent(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    with pytest.raises(Exception, match="declined"):
        stripe_standin.pay(session.id, card="4000000000000002")

    paid = stripe_standin.pay(session.id)

    charges = await sdk.v1.charges.list_async({"payment_intent": paid["payment_intent"]})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]
    assert told(stripe_standin) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        *CARD_PAID[1:],
    ]


async def test_a_bank_debit_completes_unpaid_and_comes_through_later(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)

    completed = stripe_standin.pay_slowly(session.id)
    assert (completed["status"], completed["payment_status"]) == ("complete", "unpaid")
    stripe_standin.finish_payment(session.id)

    paid = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert paid.payment_status == "paid"
    assert told(stripe_standin) == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.succeeded",
        "charge.updated",
        "checkout.session.async_payment_succeeded",
    ]


async def test_a_bank_debit_that_fails_later_leaves_its_session_unpaid(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    stripe_standin.pay_slowly(session.id)
    before = marks(stripe_standin)

    stripe_standin.finish_payment(session.id, succeeds=False)

    failed = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (failed.status, failed.payment_status) == ("complete", "unpaid")
    assert told(stripe_standin, before) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]


async def test_a_promotion_of_everything_needs_no_payment_intent(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    coupon = await sdk.v1.coupons.create_async({"percent_off": 100})
    await sdk.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FREE"}
    )
    session = await session_of(sdk, allow_promotion_codes=True)

    stripe_standin.pay(session.id, card=None, promotion_code="free")

    done = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert (done.amount_subtotal, done.amount_total, done.payment_intent) == (2000, 0, None)
    assert not [one for one in told(stripe_standin) if one.startswith("payment_intent")]


async def test_a_discount_is_spread_over_the_lines_to_the_last_cent(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    coupon = await sdk.v1.coupons.create_async({"amount_off": 100, "currency": "usd"})
    line = {
        "price_data": {"currency": "usd", "unit_amount": 333, "product_data": {"name": "One"}},
        "quantity": 1,
    }

    session = await session_of(sdk, line_items=[line] * 3, discounts=[{"coupon": coupon.id}])

    lines = await sdk.v1.checkout.sessions.line_items.list_async(session.id)
    assert [one.amount_discount for one in lines.data] == [33, 33, 34]
    assert session.amount_total == 899


async def test_tax_is_known_once_the_buyer_has_said_where_they_are(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk, automatic_tax={"enabled": True})
    assert session.automatic_tax.status == "requires_location_inputs"
    assert session.amount_total == 2000

    stripe_standin.pay(session.id)

    paid = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert paid.automatic_tax.status == "complete"
    assert paid.total_details is not None
    assert (paid.amount_subtotal, paid.total_details.amount_tax, paid.amount_total) == (
        2000,
        380,
        2380,
    )


async def test_the_buyer_changes_an_adjustable_quantity_within_its_limits(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    limits = {"enabled": True, "minimum": 1, "maximum": 5}
    session = await session_of(sdk, line={"adjustable_quantity": limits})

    with pytest.raises(Exception, match="from 1 to 5"):
        stripe_standin.pay(session.id, quantity=6)
    paid = stripe_standin.pay(session.id, quantity=5)

    assert (paid["amount_subtotal"], paid["payment_status"]) == (5000, "paid")


async def test_three_d_secure_parks_the_session_until_the_buyer_has_answered(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    waiting = stripe_standin.pay(session.id, card="4000002760003184", authentication="leave")
    intent = await sdk.v1.payment_intents.retrieve_async(waiting["payment_intent"])
    assert (waiting["status"], intent.status) == ("open", "requires_action")
    assert intent.next_action is not None
    assert intent.next_action.type == "redirect_to_url"

    stripe_standin.authenticate(session.id, succeeds=False)
    failed = await sdk.v1.payment_intents.retrieve_async(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"

    assert stripe_standin.pay(session.id, card="4000002760003184")["payment_status"] == "paid"
    assert told(stripe_standin) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
        "payment_intent.requires_action",
        *CARD_PAID[1:],
    ]


async def test_a_card_saved_on_checkout_is_charged_later_without_the_buyer(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    customer = await sdk.v1.customers.create_async({"email": "ann@example.com"})
    session = await session_of(
        sdk, customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"}
    )
    stripe_standin.pay(session.id, card="4000002500003155")
    [saved] = (await sdk.v1.customers.payment_methods.list_async(customer.id)).data

    intent = await sdk.v1.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": saved.id,
            "confirm": True,
            "off_session": True,
            "error_on_requires_action": True,
        }
    )

    assert (intent.status, saved.customer) == ("succeeded", customer.id)
    assert "payment_method.attached" in told(stripe_standin)


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
async def test_a_charge_without_the_buyer_that_fails_names_its_intent(
    sdk: stripe.StripeClient, method: str, code: str, decline_code: str
) -> None:
    customer = await sdk.v1.customers.create_async()
    saved = await sdk.v1.payment_methods.attach_async(method, {"customer": customer.id})

    with pytest.raises(stripe.CardError) as refused:
        await sdk.v1.payment_intents.create_async(
            {
                "amount": 1000,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": saved.id,
                "confirm": True,
                "off_session": True,
                "error_on_requires_action": True,
            }
        )

    error = refused.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    intent = await sdk.v1.payment_intents.retrieve_async(error.error.payment_intent.id)
    assert intent.status == "requires_payment_method"


async def test_a_declining_card_cannot_be_attached(sdk: stripe.StripeClient) -> None:
    customer = await sdk.v1.customers.create_async()

    with pytest.raises(stripe.CardError, match="Your card was declined"):
        await sdk.v1.payment_methods.attach_async(
            "pm_card_visa_chargeDeclined", {"customer": customer.id}
        )


async def test_a_detached_card_can_no_longer_be_charged_for_its_customer(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    customer = await sdk.v1.customers.create_async()
    saved = stripe_standin.save_card(customer.id)

    await sdk.v1.payment_methods.detach_async(saved["id"])

    assert (await sdk.v1.customers.payment_methods.list_async(customer.id)).data == []
    assert told(stripe_standin)[-1] == "payment_method.detached"
    with pytest.raises(stripe.InvalidRequestError, match="detached"):
        await sdk.v1.payment_intents.create_async(
            {
                "amount": 1000,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": saved["id"],
                "confirm": True,
                "off_session": True,
            }
        )


async def test_a_session_in_setup_mode_saves_a_card_without_a_payment(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    customer = await sdk.v1.customers.create_async()
    session = await session_of(
        sdk,
        mode="setup",
        currency="usd",
        customer=customer.id,
        line_items=None,
        payment_intent_data=None,
    )

    stripe_standin.pay(session.id, card="4000002760003184")

    done = await sdk.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["setup_intent"]})
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert done.setup_intent.status == "succeeded"
    assert told(stripe_standin) == [
        "customer.created",
        "setup_intent.created",
        "setup_intent.requires_action",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_a_session_expires_by_itself_and_can_be_expired_once(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    asked = await session_of(sdk)
    await sdk.v1.checkout.sessions.expire_async(asked.id)
    with pytest.raises(stripe.InvalidRequestError, match="has a status of expired"):
        await sdk.v1.checkout.sessions.expire_async(asked.id)

    left = await session_of(sdk)
    stripe_standin.advance(24 * 3600 + 1)

    expired = await sdk.v1.checkout.sessions.retrieve_async(left.id)
    assert (expired.status, expired.url) == ("expired", None)
    assert told(stripe_standin) == ["checkout.session.expired"] * 2
    with pytest.raises(Exception, match="is expired"):
        stripe_standin.pay(left.id)


async def test_sessions_are_found_by_their_intent_customer_and_status(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    customer = await sdk.v1.customers.create_async()
    paid = await session_of(sdk, customer=customer.id)
    stripe_standin.pay(paid.id)
    await session_of(sdk)
    intent = stripe_standin.world.objects[paid.id]["payment_intent"]

    async def ids(**wanted: str) -> list[str]:
        found = await sdk.v1.checkout.sessions.list_async(wanted)  # type: ignore[arg-type]
        return [session.id for session in found.data]

    assert await ids(payment_intent=intent) == [paid.id]
    assert await ids(customer=customer.id) == [paid.id]
    assert await ids(status="complete") == [paid.id]
    assert len(await ids()) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"payment_method_types": ["card"]}, "unknown parameter: payment_method_types"),
        ({"line": {"quantity": 1}, "price": {"unit_amount": 49}}, "at least 0.50 USD"),
        ({"expires_at": 1}, "between 30 minutes and 24 hours"),
        ({"line_items": None}, "Missing required param: line_items"),
        ({"success_url": None}, "Missing required param: success_url"),
        ({"customer": "cus_nobody"}, "No such customer: 'cus_nobody'"),
        ({"customer_email": "a@b.c", "customer": "cus_1"}, "only specify one of these"),
        ({"subscription_data": {"description": "x"}}, "can not pass `subscription_data`"),
        ({"mode": "subscription", "payment_intent_data": None}, "at least one recurring price"),
    ],
)
async def test_what_does_not_fit_together_is_refused(
    sdk: stripe.StripeClient, given: dict[str, object], message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        await session_of(sdk, **given)


async def test_a_buyer_who_is_there_needs_an_address_to_come_back_to(
    sdk: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="must provide a `return_url`"):
        await sdk.v1.payment_intents.create_async(
            {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )


async def test_what_is_missing_is_named_and_404_only_where_the_path_asks_for_it(
    sdk: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await sdk.v1.checkout.sessions.retrieve_async("cs_test_nothing")

    error = missing.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "session")
    with pytest.raises(stripe.InvalidRequestError) as referred:
        await session_of(sdk, customer="cus_nobody")
    assert (referred.value.http_status, referred.value.param) == (400, "customer")


async def test_a_payment_intent_that_was_not_paid_can_be_canceled(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    intent = await sdk.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})

    canceled = await sdk.v1.payment_intents.cancel_async(
        intent.id, {"cancellation_reason": "abandoned"}
    )

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert told(stripe_standin) == ["payment_intent.created", "payment_intent.canceled"]
    paid = await paid_intent(sdk, stripe_standin)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.payment_intents.cancel_async(paid)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_what_the_buyer_sees_in_their_currency_stands_apart(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    stripe_standin.present_in(session.id, 1850, "eur")

    stripe_standin.pay(session.id)

    paid = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (paid.currency, paid.amount_total) == ("usd", 2000)
    assert paid.presentment_details is not None
    assert paid.presentment_details.presentment_currency == "eur"


async def test_invoice_creation_adds_an_invoice_and_its_events(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk, invoice_creation={"enabled": True}, customer_creation="always")

    paid = stripe_standin.pay(session.id)

    invoice = await sdk.v1.invoices.retrieve_async(paid["invoice"])
    assert (invoice.status, invoice.amount_paid) == ("paid", 2000)
    assert {"invoice.paid", "checkout.session.completed"} <= set(told(stripe_standin))
