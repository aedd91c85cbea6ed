"""The hosted page, driven over HTTP as a browser without script would."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import stripe

from tests.billing.standin.till import CANCEL, emptied, session_of, told
from tests.standin import RunningStandIn, running_standin

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def all_day() -> AsyncIterator[RunningStandIn]:
    async with running_standin() as standin:
        yield standin


@pytest.fixture
def stripe_standin(all_day: RunningStandIn) -> RunningStandIn:
    return emptied(all_day)


ANN = {
    "email": "ann@example.com",
    "name": "Ann",
    "method": "card",
    "card": "4242 4242 4242 4242",
    "expiry": "12 / 34",
    "cvc": "123",
}


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


def fields(page: str) -> dict[str, str]:
    """What a browser would send of the page's form besides what was typed."""
    inputs = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return {
        name: unescape(value) for name, value in inputs if "quantity" in name or "total" in name
    }


async def press(
    browser: httpx.AsyncClient, session: stripe.checkout.Session, **typed: str
) -> httpx.Response:
    """Open the page, type and press a button: `action` is pay unless said otherwise."""
    assert session.url
    shown = await browser.get(session.url)
    assert shown.status_code == 200
    return await browser.post(session.url, data={"action": "pay", **fields(shown.text), **typed})


async def test_a_person_pays_and_is_sent_to_the_success_address(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, browser: httpx.AsyncClient
) -> None:
    session = await session_of(sdk)

    answer = await press(browser, session, **ANN)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://shop.example/done?session={session.id}"
    paid = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert paid.payment_status == "paid"
    assert paid.customer_details is not None
    assert (paid.customer_details.email, paid.customer_details.name) == ("ann@example.com", "Ann")


async def test_the_page_says_what_is_sold_what_it_costs_and_that_no_money_moves(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    session = await session_of(
        sdk,
        price={"product_data": {"name": "<b>Starter</b>"}},
        automatic_tax={"enabled": True},
    )
    assert session.url

    page = (await browser.get(session.url)).text

    assert "no real money" in page
    assert "&lt;b&gt;Starter&lt;/b&gt;" in page
    assert "Pay 23.80 USD" in page
    assert CANCEL in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"card": "4000000000000002"}, "Your card was declined."),
        ({"card": "4000000000009995"}, "Your card has insufficient funds."),
        ({"card": "4242"}, "Your card number is incorrect."),
        ({"expiry": "01 / 20"}, "expiration date is in the past"),
        ({"expiry": "soon"}, "expiration date is incomplete"),
        ({"cvc": ""}, "security code is incomplete"),
        ({"action": "fail"}, "Your card was declined."),
        ({"method": "debit", "iban": "DE00"}, "The IBAN you entered is invalid."),
        ({"method": "saved:pm_of_somebody"}, "No such PaymentMethod"),
    ],
)
async def test_what_cannot_be_paid_with_is_said_above_the_form(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient, typed: dict[str, str], message: str
) -> None:
    session = await session_of(sdk)

    answer = await press(browser, session, **ANN | typed)

    assert 400 <= answer.status_code < 500
    assert message in unescape(answer.text)
    assert 'role="alert"' in answer.text
    assert 'value="ann@example.com"' in answer.text
    assert (await sdk.v1.checkout.sessions.retrieve_async(session.id)).status == "open"


async def test_clicking_a_test_card_fills_the_form(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    session = await session_of(sdk)

    answer = await press(browser, session, email="ann@example.com", fill="4000000000000259")

    assert 'value="4000000000000259"' in answer.text
    assert 'value="ann@example.com"' in answer.text


async def test_three_d_secure_is_a_page_of_its_own_that_the_buyer_completes(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    session = await session_of(sdk)
    assert session.url

    asked = await press(browser, session, **ANN | {"card": "4000002760003184"})
    bank = f"{session.url}/authenticate"
    assert bank.endswith(asked.headers["location"])
    assert "20.00 USD" in (await browser.get(bank)).text
    failed = await browser.post(bank, data={"action": "fail"})
    assert "unable to authenticate" in failed.text

    await press(browser, session, **ANN | {"card": "4000002760003184"})
    done = await browser.post(bank, data={"action": "complete"})

    assert done.headers["location"].startswith("http://shop.example/done")
    assert (await sdk.v1.checkout.sessions.retrieve_async(session.id)).payment_status == "paid"


async def test_another_quantity_is_only_paid_after_its_total_was_shown(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    limits = {"enabled": True, "minimum": 1, "maximum": 5}
    session = await session_of(sdk, line={"adjustable_quantity": limits})
    assert session.url
    [quantity] = [
        name for name in fields((await browser.get(session.url)).text) if "quantity" in name
    ]

    too_many = await press(browser, session, action="change", **{quantity: "6"})
    assert "Choose a quantity from 1 to 5." in too_many.text
    surprised = await press(browser, session, **ANN | {quantity: "3"})
    assert surprised.status_code == 200
    assert "Pay 30.00 USD" in surprised.text
    paid = await press(browser, session, **ANN)

    assert paid.status_code == 303
    done = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.amount_total, done.payment_status) == (3000, "paid")


async def test_a_promotion_code_is_applied_or_refused(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    coupon = await sdk.v1.coupons.create_async({"percent_off": 100})
    await sdk.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FREE"}
    )
    session = await session_of(sdk, allow_promotion_codes=True)

    wrong = await press(browser, session, action="change", promotion="NOTHING")
    right = await press(browser, session, action="change", promotion="free")
    done = await press(browser, session, email="ann@example.com")

    assert "This code is invalid." in wrong.text
    assert "Complete without payment" in right.text
    assert done.status_code == 303
    free = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert free.payment_status == "no_payment_required"


@pytest.mark.parametrize(
    ("iban", "ends"),
    [
        ("AT611904300234573201", ("paid", "checkout.session.async_payment_succeeded")),
        ("AT861904300235473202", ("unpaid", "checkout.session.async_payment_failed")),
    ],
)
async def test_a_bank_debit_is_chosen_on_the_page_and_known_later(
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    browser: httpx.AsyncClient,
    iban: str,
    ends: tuple[str, str],
) -> None:
    session = await session_of(sdk)

    await press(browser, session, **ANN | {"method": "debit", "iban": iban})
    assert (await sdk.v1.checkout.sessions.retrieve_async(session.id)).payment_status == "unpaid"
    stripe_standin.advance(60)

    known = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert (known.payment_status, told(stripe_standin)[-1]) == ends


async def test_only_the_customers_own_saved_cards_are_offered(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, browser: httpx.AsyncClient
) -> None:
    ann = await sdk.v1.customers.create_async({"email": "ann@example.com"})
    ben = await sdk.v1.customers.create_async({"email": "ben@example.com"})
    hers = stripe_standin.save_card(ann.id, card="5555555555554444")
    his = stripe_standin.save_card(ben.id)
    session = await session_of(sdk, customer=ann.id)
    assert session.url

    page = (await browser.get(session.url)).text
    assert "Mastercard ending in 4444" in page
    assert his["id"] not in page
    stolen = await press(browser, session, method=f"saved:{his['id']}")
    assert "not yours" in stolen.text
    paid = await press(browser, session, method=f"saved:{hers['id']}")

    assert paid.status_code == 303


async def test_a_card_the_buyer_keeps_is_offered_the_next_time(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    ann = await sdk.v1.customers.create_async({"email": "ann@example.com"})
    options = {"payment_method_save": "enabled"}
    first = await session_of(sdk, customer=ann.id, saved_payment_method_options=options)
    await press(browser, first, **ANN | {"save": "yes"})

    again = await session_of(sdk, customer=ann.id)

    assert again.url
    assert "Visa ending in 4242" in (await browser.get(again.url)).text


async def test_a_page_that_is_over_says_so(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, browser: httpx.AsyncClient
) -> None:
    expired = await session_of(sdk)
    paid = await session_of(sdk)
    assert expired.url
    assert paid.url
    await sdk.v1.checkout.sessions.expire_async(expired.id)
    stripe_standin.pay(paid.id)

    gone = await browser.get(expired.url)
    assert (gone.status_code, "Nothing was paid." in gone.text) == (410, True)
    assert (await browser.post(expired.url, data=ANN)).status_code == 410
    assert (await browser.get(paid.url)).headers["location"].startswith("http://shop.example/done")
    assert (await browser.get(f"{stripe_standin.url}/pay/cs_test_nothing")).status_code == 404


async def test_an_expired_session_with_recovery_opens_again_as_a_copy(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, browser: httpx.AsyncClient
) -> None:
    session = await session_of(sdk, after_expiration={"recovery": {"enabled": True}})
    stripe_standin.expire(session.id)
    expired = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    assert expired.after_expiration is not None
    assert expired.after_expiration.recovery is not None
    link = expired.after_expiration.recovery.url
    assert link

    again = await browser.get(link)

    [copy] = (await sdk.v1.checkout.sessions.list_async({"status": "open"})).data
    assert again.headers["location"] == f"/pay/{copy.id}"
    assert (copy.recovered_from, copy.amount_total) == (session.id, 2000)


@pytest.mark.parametrize(
    ("action", "outcome", "status"),
    [("complete", "succeeded", "succeeded"), ("fail", "failed", "requires_payment_method")],
)
async def test_a_payment_by_the_api_is_authenticated_on_the_banks_page(
    sdk: stripe.StripeClient,
    browser: httpx.AsyncClient,
    action: str,
    outcome: str,
    status: str,
) -> None:
    params: Any = {
        "amount": 500,
        "currency": "usd",
        "payment_method": "pm_card_authenticationRequired",
        "confirm": True,
        "return_url": "http://shop.example/back",
    }
    intent = await sdk.v1.payment_intents.create_async(params)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    bank = intent.next_action.redirect_to_url.url
    assert bank

    back = await browser.post(bank, data={"action": action})

    assert f"redirect_status={outcome}" in back.headers["location"]
    assert (await sdk.v1.payment_intents.retrieve_async(intent.id)).status == status


async def test_a_receipt_is_where_the_charge_says(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, browser: httpx.AsyncClient
) -> None:
    session = await session_of(sdk)
    intent = stripe_standin.pay(session.id)["payment_intent"]
    [charge] = (await sdk.v1.charges.list_async({"payment_intent": intent})).data
    assert charge.receipt_url

    assert "20.00 USD" in (await browser.get(charge.receipt_url)).text


async def test_a_card_saved_by_the_api_is_authenticated_on_the_banks_page(
    sdk: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    ann = await sdk.v1.customers.create_async()
    intent = await sdk.v1.setup_intents.create_async(
        {
            "customer": ann.id,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "http://shop.example/back",
        }
    )
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    bank = intent.next_action.redirect_to_url.url
    assert bank

    back = await browser.post(bank, data={"action": "complete"})

    assert back.headers["location"].startswith("http://shop.example/back?setup_intent=seti_")
    saved = await sdk.v1.setup_intents.retrieve_async(intent.id)
    assert (saved.status, saved.usage) == ("succeeded", "off_session")
