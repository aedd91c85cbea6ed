"""The home page in place of Stripe's dashboard, driven as a browser without script would."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx
import pytest
import stripe

from billing.standin.app import BANNER
from billing.standin.resources import customers
from billing.standin.test_cards import ACCOUNTS
from tests.billing.standin.receiver import receiver
from tests.billing.standin.test_subscriptions import subscribe
from tests.billing.standin.till import emptied, paid_intent, session_of
from tests.standin import RunningStandIn, running_standin, sdk_for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def all_day() -> AsyncIterator[RunningStandIn]:
    async with running_standin() as standin:
        yield standin


@pytest.fixture
def stripe_standin(all_day: RunningStandIn) -> RunningStandIn:
    return emptied(all_day)


class Browser:
    """Opens the page and presses its buttons by the names a screen reader says."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.page = ""

    async def open(self) -> str:
        answer = await self.client.get("/")
        assert answer.status_code == 200
        self.page = answer.text
        return self.page

    async def press(self, name: str, **typed: str) -> str:
        """Press the one button whose name begins so; answers what the page then says."""
        await self.open()
        fields = [sent for label, sent in self.forms() if label.startswith(name)]
        assert len(fields) == 1, (name, self.buttons())
        answer = await self.client.post("/", data=fields[0] | typed)
        if answer.status_code == 303:
            answer = await self.client.get(answer.headers["location"])
        self.page = answer.text
        return self.said()

    def forms(self) -> list[tuple[str, dict[str, str]]]:
        """The name of each button, and what a browser would send with it."""
        found = []
        for form in re.findall(r'<form method="post" action="/">(.*?)</form>', self.page):
            [label] = re.findall(r'<button aria-label="([^"]*)"', form)
            inputs = re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', form)
            found.append((unescape(label), {name: unescape(value) for name, value in inputs}))
        return found

    def buttons(self) -> list[str]:
        return [label for label, _ in self.forms()]

    def said(self) -> str:
        """What stands above everything, an error marked as one."""
        role, text = re.findall(r'role="(status|alert)">(.*?)</p>', self.page)[0]
        return f"error: {unescape(text)}" if role == "alert" else unescape(text)

    def section(self, name: str) -> str:
        """The text of a section, without tags."""
        [found] = re.findall(rf'(?s)<section[^>]*id="{name}".*?</section>', self.page)
        return unescape(re.sub(r"<[^>]+>", "", found))


@asynccontextmanager
async def opened(standin: RunningStandIn) -> AsyncIterator[Browser]:
    """A browser at a stand-in, which says where its forms come from as all browsers do."""
    headers = {"origin": standin.url, "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(base_url=standin.url, headers=headers, trust_env=False) as client:
        yield Browser(client)


@pytest.fixture
async def browser(stripe_standin: RunningStandIn) -> AsyncIterator[Browser]:
    async with opened(stripe_standin) as there:
        yield there


async def refunded(sdk: stripe.StripeClient, intent: str) -> list[int]:
    """The amounts of a payment's refunds, the newest first."""
    found = await sdk.v1.refunds.list_async({"payment_intent": intent})
    return [one.amount for one in found.data]


async def test_an_empty_page_says_so_and_has_landmarks(browser: Browser) -> None:
    page = await browser.open()
    assert BANNER in page
    assert page.count("None yet.") == 5
    for landmark in ("<main>", "<header>", '<nav aria-label="Sections">'):
        assert landmark in page
    labelled = re.findall(r'<section[^>]*aria-labelledby="([^"]+)"', page)
    assert len(labelled) == 5
    assert all(f'id="{name}"' in page for name in labelled)


async def test_a_payment_is_shown_with_its_order_and_refunded(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    """A part first, then the rest; the buttons go when nothing is left."""
    intent = await paid_intent(sdk, stripe_standin)
    await browser.open()
    shown = browser.section("payments")
    assert "20.00 USD paid" in shown
    assert "order_id ord_1 · visa ending in 4242" in shown

    said = await browser.press("Refund this amount", amount="5.5")
    assert said == "The money was given back."
    assert "5.50 USD refunded" in browser.section("payments")
    await browser.press("Refund all of 20.00 USD")

    assert await refunded(sdk, intent) == [1450, 550]
    assert "20.00 USD refunded" in browser.section("payments")
    assert [name for name in browser.buttons() if "Refund" in name] == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("20.01", "20.01 USD is too much: only 20.00 USD of this payment is left."),
        ("0", "The amount must be more than nothing."),
        ("1,50", "Write the amount as a number, like 20.00."),
        ("1.505", "Write the amount as a number, like 20.00."),
        ('">', "Write the amount as a number, like 20.00."),
    ],
)
async def test_an_amount_that_cannot_be_refunded_is_explained(
    browser: Browser,
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    typed: str,
    said: str,
) -> None:
    """Nothing is given back, and what was typed is still there."""
    intent = await paid_intent(sdk, stripe_standin)

    assert await browser.press("Refund this amount", amount=typed) == f"error: {said}"

    kept = [sent for label, sent in browser.forms() if label.startswith("Refund this amount")]
    assert kept[0]["amount"] == typed
    assert await refunded(sdk, intent) == []


async def test_currencies_without_decimals_are_typed_without(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk, price={"currency": "jpy"})
    intent = stripe_standin.pay(session.id)["payment_intent"]

    assert "like 2000." in await browser.press("Refund this amount", amount="5.00")
    await browser.press("Refund this amount", amount="500")

    assert await refunded(sdk, intent) == [500]


async def test_a_page_that_was_left_open_says_what_has_happened_since(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    """Pressing the same button twice gives nothing twice."""
    intent = await paid_intent(sdk, stripe_standin)
    await browser.open()
    [again] = [sent for label, sent in browser.forms() if label.startswith("Refund all")]
    await browser.press("Refund all")

    answer = await browser.client.post("/", data=again)

    assert answer.status_code == 400
    assert "has been refunded already" in answer.text
    assert await refunded(sdk, intent) == [2000]


async def test_a_refused_card_is_shown_and_has_no_buttons(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    session = await session_of(sdk)
    with pytest.raises(Exception, match="declined"):
        stripe_standin.pay(session.id, card="4000000000000002")
    await browser.open()
    assert "failed: Your card was declined" in browser.section("payments")
    assert not [name for name in browser.buttons() if "Refund" in name]


@pytest.mark.parametrize(
    ("pressed", "end"),
    [
        (("The bank decides for us",), ("won", 0)),
        (("The bank decides for the buyer",), ("lost", -2000)),
        (("The bank decides for the buyer", "The bank returns the money"), ("lost", 0)),
        (("The bank decides for the buyer", "Appeal", "The bank decides for us"), ("won", 0)),
        (("Send evidence", "The bank decides for us"), ("won", 0)),
    ],
)
async def test_a_dispute_is_decided(
    browser: Browser,
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    pressed: tuple[str, ...],
    end: tuple[str, int],
) -> None:
    """Each button does what it says, and the payment has no refund meanwhile."""
    intent = await paid_intent(sdk, stripe_standin)
    dispute = stripe_standin.dispute(intent, reason="product_not_received")
    await browser.open()
    assert "needs response; reason: product not received" in browser.section("disputes")
    assert "paid, disputed" in browser.section("payments")
    assert not [name for name in browser.buttons() if "Refund" in name]

    for name in pressed:
        assert not (await browser.press(name)).startswith("error")

    ended = await sdk.v1.disputes.retrieve_async(dispute["id"])
    assert (ended.status, sum(one.amount for one in ended.balance_transactions)) == end


async def test_an_inquiry_becomes_a_dispute_or_is_closed(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    """While the bank only asks, the money can be given back."""
    intent = await paid_intent(sdk, stripe_standin)
    stripe_standin.dispute(intent, inquiry=True)
    await browser.open()
    names = " ".join(browser.buttons())
    assert "The bank asks no more" in names
    assert "Refund all" in names
    assert "decides for" not in names

    await browser.press("Make it a dispute")

    assert any(name.startswith("The bank decides for us") for name in browser.buttons())
    assert "Refund" not in " ".join(browser.buttons())


@pytest.mark.parametrize(
    ("pressed", "end"),
    [
        ("Let it succeed", ("paid", "checkout.session.async_payment_succeeded")),
        ("Let it fail", ("unpaid", "checkout.session.async_payment_failed")),
    ],
)
async def test_a_bank_debit_comes_through_or_fails(
    browser: Browser,
    sdk: stripe.StripeClient,
    stripe_standin: RunningStandIn,
    pressed: str,
    end: tuple[str, str],
) -> None:
    """It moves from one section to the other, and its session is told."""
    session = await session_of(sdk)
    stripe_standin.pay_slowly(session.id)
    await browser.open()
    assert "20.00 USD under way" in browser.section("debits")
    assert "order_id ord_1 · bank account ending in" in browser.section("debits")
    assert "None yet." in browser.section("payments")

    await browser.press(pressed)

    seen = await sdk.v1.checkout.sessions.retrieve_async(session.id)
    [event] = stripe_standin.events(end[1])
    assert (seen.payment_status, event["data"]["object"]["id"]) == (end[0], session.id)
    assert "None yet." in browser.section("debits")
    assert "20.00 USD" in browser.section("payments")


async def test_a_bank_debit_without_a_session_comes_through(
    browser: Browser, sdk: stripe.StripeClient
) -> None:
    account = await sdk.v1.payment_methods.create_async(
        {"type": "sepa_debit", "sepa_debit": {"iban": ACCOUNTS[0].iban}}
    )
    intent = await sdk.v1.payment_intents.create_async(
        {
            "amount": 700,
            "currency": "eur",
            "payment_method": account.id,
            "confirm": True,
            "return_url": "http://127.0.0.1:1/back",
        }
    )
    await browser.press("Let it succeed")
    assert (await sdk.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_subscription_is_renewed_by_moving_the_clock() -> None:
    """Its next period is paid, and the page says what time it is here."""
    async with running_standin() as standin, sdk_for(standin) as sdk, opened(standin) as browser:
        subscription = await subscribe(standin, sdk.v1)
        await browser.open()
        assert "1 x Monthly active; period ends 20" in browser.section("subscriptions")

        assert (await browser.press("Renew now")) == "Time has passed: the next period is paid."

        assert "The clock was moved on" in browser.page
        assert f"for {subscription.id}" in browser.section("payments")
        assert len(standin.events("invoice.paid")) == 2


async def test_a_subscriptions_next_payment_fails_until_it_may_succeed() -> None:
    """Afterwards the buyer's own card is charged again, and the refused one is gone."""
    async with running_standin() as standin, sdk_for(standin) as sdk, opened(standin) as browser:
        subscription = await subscribe(standin, sdk.v1)
        own = subscription.default_payment_method
        await browser.press("Let the next payment fail")
        assert "the next payment fails" in browser.section("subscriptions")

        assert "did not go through" in await browser.press("Renew now")
        assert "past due" in browser.section("subscriptions")
        await browser.press("Let the next payment succeed")
        assert await browser.press("Renew now") == "Time has passed: the next period is paid."

        seen = await sdk.v1.subscriptions.retrieve_async(subscription.id)
        assert (seen.status, seen.default_payment_method) == ("active", own)
        cards = await sdk.v1.payment_methods.list_async({"customer": str(seen.customer)})
        assert [card.id for card in cards.data] == [own]


async def test_a_subscription_is_canceled_later_goes_on_and_is_canceled_now(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    subscription = await subscribe(stripe_standin, sdk.v1)
    assert "will end" in await browser.press("Cancel at the period's end")
    assert "ends with its period" in browser.section("subscriptions")
    await browser.press("Go on")
    assert "ends with its period" not in browser.section("subscriptions")

    assert await browser.press("Cancel now") == "The subscription has ended."

    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    assert "canceled" in browser.section("subscriptions")
    assert subscription.id not in " ".join(browser.buttons())


async def test_an_event_is_sent_again(browser: Browser, stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        customer = customers.make(stripe_standin.world)
        await stripe_standin.delivered()

        assert await browser.press("Send again customer.created") == "The event was sent again."
        await stripe_standin.delivered()
        await browser.open()

    assert customer["id"] in browser.section("events")
    assert "delivered" in browser.section("events")
    assert len(taken.bodies) == 2


async def test_an_event_nobody_wants_is_not_said_to_be_sent(
    browser: Browser, stripe_standin: RunningStandIn
) -> None:
    customers.make(stripe_standin.world)
    assert "No webhook endpoint wants this event" in await browser.press("Send again")


async def test_only_the_newest_are_shown(browser: Browser, stripe_standin: RunningStandIn) -> None:
    made = [customers.make(stripe_standin.world)["id"] for _ in range(51)]
    await browser.open()
    shown = browser.section("events")
    assert made[0] not in shown
    assert all(one in shown for one in made[1:])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "OURS", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-origin"},
        {"origin": "http://evil.example", "host": "evil.example", "sec-fetch-site": "same-origin"},
    ],
)
async def test_a_form_of_another_site_changes_nothing(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, headers: dict[str, str]
) -> None:
    """Another site's page can post to this machine; the browser says whose page it was."""
    intent = await paid_intent(sdk, stripe_standin)
    sent = {name: value.replace("OURS", stripe_standin.url) for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=stripe_standin.url, trust_env=False) as client:
        answer = await client.post("/", data={"do": "refund", "thing": intent}, headers=sent)
    assert answer.status_code == 403
    assert await refunded(sdk, intent) == []


@pytest.mark.parametrize(
    "headers", [{"origin": "OURS"}, {"sec-fetch-site": "same-origin"}], ids=["origin", "fetch"]
)
async def test_a_browser_that_says_only_one_thing_is_served(
    sdk: stripe.StripeClient, stripe_standin: RunningStandIn, headers: dict[str, str]
) -> None:
    intent = await paid_intent(sdk, stripe_standin)
    sent = {name: value.replace("OURS", stripe_standin.url) for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=stripe_standin.url, trust_env=False) as client:
        answer = await client.post("/", data={"do": "refund", "thing": intent}, headers=sent)
    assert answer.status_code == 303
    assert await refunded(sdk, intent) == [2000]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8002", 200), ("[::1]:8002", 200), ("evil.example:8002", 403), ("[", 403)],
)
async def test_the_page_is_shown_under_this_machines_names_only(
    stripe_standin: RunningStandIn, host: str, status: int
) -> None:
    """Else a site whose name leads here could read it."""
    async with httpx.AsyncClient(base_url=stripe_standin.url, trust_env=False) as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == status


async def test_nobody_can_put_the_page_into_a_frame(browser: Browser) -> None:
    answer = await browser.client.get("/")
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"do": "nothing"}, 400),
        ({}, 400),
        ({"do": "refund", "thing": "pi_1"}, 404),
        ({"do": "refund", "thing": "pi_1", "amount": "5"}, 404),
        ({"do": "dispute", "thing": "du_1", "step": "win"}, 404),
        ({"do": "debit", "thing": "pi_1"}, 404),
        ({"do": "renew", "thing": "sub_1"}, 404),
        ({"do": "cancel", "thing": "sub_1", "when": "now"}, 404),
        ({"do": "resend", "thing": "evt_1"}, 404),
    ],
)
async def test_what_is_not_there_is_said_on_the_page(
    browser: Browser, form: dict[str, str], status: int
) -> None:
    answer = await browser.client.post("/", data=form)
    assert (answer.status_code, 'role="alert"' in answer.text) == (status, True)


async def test_what_others_wrote_is_shown_as_text(
    browser: Browser, sdk: stripe.StripeClient, stripe_standin: RunningStandIn
) -> None:
    data: dict[str, Any] = {"metadata": {"order_id": "<script>alert(1)</script>"}}
    session = await session_of(sdk, payment_intent_data=data)
    stripe_standin.pay(session.id)
    assert "<script" not in await browser.open()
    assert "<script>alert(1)</script>" in browser.section("payments")
