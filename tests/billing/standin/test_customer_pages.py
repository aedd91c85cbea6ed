"""The pages of invoices and the portal, driven as a browser without script would."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from billing.stripe_door import StripeDoor
from tests.billing.standin.test_subscriptions import subscribe
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def v1(stripe_standin: RunningStandIn) -> AsyncIterator[Any]:
    door = StripeDoor.open(stripe_standin.key, stripe_standin.url)
    yield door.v1
    await door.aclose()


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, follow_redirects=True) as client:
        yield client


async def test_an_unpaid_invoice_is_paid_on_its_page(
    stripe_standin: RunningStandIn, v1: Any, browser: httpx.AsyncClient
) -> None:
    """A refused card is said above the form; a good one pays it, and there is a file."""
    subscription = await subscribe(stripe_standin, v1)
    stripe_standin.change_card(subscription.id, "4000000000000341")
    invoice = stripe_standin.renew(subscription.id)
    url = invoice["hosted_invoice_url"]

    shown = await browser.get(url)
    refused = await browser.post(url, data={"card": "4000000000009995"})
    paid = await browser.post(url, data={"card": "4242424242424242"})

    assert "Pay 20.00 USD" in shown.text
    assert (refused.status_code, "insufficient funds" in refused.text) == (402, True)
    assert "Paid" in paid.text
    assert (await v1.invoices.retrieve_async(invoice["id"])).status == "paid"
    file = await browser.get(invoice["invoice_pdf"])
    assert (file.headers["content-type"], file.content[:5]) == ("application/pdf", b"%PDF-")


async def test_the_portal_cancels_goes_on_and_changes_the_card(
    stripe_standin: RunningStandIn, v1: Any, browser: httpx.AsyncClient
) -> None:
    """Each button does what it says, and the events follow."""
    subscription = await subscribe(stripe_standin, v1)
    portal = await v1.billing_portal.sessions.create_async(
        {"customer": subscription.customer, "return_url": "http://127.0.0.1:1/back"}
    )

    cancel = {"thing": subscription.id}
    assert "http://127.0.0.1:1/back" in (await browser.get(portal.url)).text
    ending = await browser.post(portal.url, data=cancel | {"action": "cancel"})
    assert "ends with this period" in ending.text
    going_on = await browser.post(portal.url, data=cancel | {"action": "go_on"})
    assert "ends with this period" not in going_on.text
    saved = await browser.post(portal.url, data={"action": "add", "card": "5555555555554444"})
    assert "ending in 4444" in saved.text

    seen = await v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["default_payment_method"]}
    )
    assert (seen.cancel_at_period_end, seen.default_payment_method.card.last4) == (False, "4444")
    old = re.findall(r'value="(pm_\w+)"', saved.text)[0]
    removed = await browser.post(portal.url, data={"thing": old, "action": "remove"})
    assert f'value="{old}"' not in removed.text
    assert stripe_standin.events("payment_method.detached")


async def test_the_portal_touches_nothing_of_others(
    stripe_standin: RunningStandIn, v1: Any, browser: httpx.AsyncClient
) -> None:
    """Somebody else's subscription is not there."""
    theirs = await subscribe(stripe_standin, v1)
    customer = await v1.customers.create_async({"email": "b@example.com"})
    portal = await v1.billing_portal.sessions.create_async({"customer": customer.id})

    answer = await browser.post(portal.url, data={"thing": theirs.id, "action": "cancel"})

    assert answer.status_code == 404
    assert not (await v1.subscriptions.retrieve_async(theirs.id)).cancel_at_period_end
