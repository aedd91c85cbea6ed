"""gateway/pages/consumer/shop.py: buying with a session, coming back, payments, subscriptions."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.gateway.pages.browsing import Browser, text_of
from tests.selling import LIMIT_S, LOOK_S, Buyer, Market

pytestmark = pytest.mark.anyio


async def came_back(browser: Browser, url: str) -> str:
    """Follow Stripe's way back."""
    query = dict(parse_qs(urlsplit(url).query).items())
    return (await browser.get("/bought", params=query)).text


async def test_who_is_signed_in_buys_and_sees_it_everywhere(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    offers = text_of((await browser.get("/packages")).text)
    leads_on = await browser.send("/packages", package="starter", currency="usd")
    session = leads_on.headers["location"].rpartition("/")[2]
    paid = market.standin.pay(session)
    query = parse_qs(urlsplit(paid["success_url"]).query)
    shown = await browser.get("/bought", params=query | {"session_id": session})

    assert "Starter 10.00 USD or 1,500 JPY 100 credits" in offers
    assert "Payments are in test mode" in offers
    assert leads_on.status_code == 303
    assert leads_on.headers["location"].startswith(market.standin.url)
    words = text_of(shown.text)
    assert "Thank you" in words
    assert "100 credits were added." in words
    assert 'href="/farebox/charges"' in shown.text
    await market.until_available(buyer, 200)
    payments = text_of((await browser.get("/payments")).text)
    assert "10.00 USD" in payments
    assert "Receipt" in payments


async def test_forms_may_lead_to_where_it_is_paid_and_nowhere_else(
    market: Market, browser: Browser
) -> None:
    page = await browser.get("/packages")
    policy = page.headers["content-security-policy"]
    assert f"form-action 'self' {market.standin.url};" in policy


async def test_who_leaves_without_paying_is_told_that_nothing_was_charged(
    market: Market, browser: Browser
) -> None:
    await browser.get("/packages")
    leads_on = await browser.send("/packages", package="starter")
    session = leads_on.headers["location"].rpartition("/")[2]
    cancel = market.standin.world.objects[session]["cancel_url"]
    words = text_of(await came_back(browser, cancel))
    assert "Not paid" in words
    assert "Nothing was charged." in words
    assert "Go on with this payment" in words


async def test_a_payment_that_is_not_seen_yet_is_looked_for_again(
    market: Market, browser: Browser
) -> None:
    await browser.get("/packages")
    leads_on = await browser.send("/packages", package="starter")
    session = leads_on.headers["location"].rpartition("/")[2]
    back = market.standin.world.objects[session]["success_url"]
    page = await came_back(browser, back.replace("{CHECKOUT_SESSION_ID}", session))
    assert "<h1>Processing</h1>" in page
    assert 'id="purchase" data-poll="3"' in page
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"package": "nothing"}, "nothing"), ({"package": "starter", "quantity": "2"}, "quantity"),
     ({"package": "starter", "quantity": "x"}, "quantity:"), ({}, "package:"),
     ({"package": "starter", "currency": "eur"}, "is sold in usd")],
)  # fmt: skip
async def test_what_cannot_be_bought_is_told_and_no_order_is_made(
    market: Market, browser: Browser, buyer: Buyer, fields: dict[str, str], told: str
) -> None:
    await browser.get("/packages")
    refused = await browser.send("/packages", **fields)
    assert refused.status_code in (409, 422)
    assert told in text_of(refused.text).lower()
    orders = await market.admin.get("/orders", params={"account": buyer.account})
    assert orders.json()["items"] == []


async def test_a_subscription_is_bought_shown_and_ended(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    assert "There is no subscription." in text_of((await browser.get("/subscriptions")).text)
    await market.bought(buyer, "monthly")
    async with asyncio.timeout(LIMIT_S):
        while "every month" not in (await browser.get("/subscriptions")).text:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
    shown = text_of((await browser.get("/subscriptions")).text)
    listed = await market.consumer.get("/v1/subscriptions", headers=buyer.headers)
    (subscription,) = listed.json()["items"]

    ended = await browser.send(f"/subscriptions/{subscription['id']}/end", when="period-end")
    after = text_of((await browser.get("/subscriptions?done=ends")).text)

    assert "20.00 USD every month" in shown
    assert "active" in shown
    assert ended.headers["location"] == "/farebox/subscriptions?done=ends"
    assert "The subscription ends with the period that is paid." in after
    assert "End it now" in after
    now = await market.consumer.get("/v1/subscriptions", headers=buyer.headers)
    assert now.json()["items"][0]["cancel_at_period_end"] is True


async def test_the_portal_is_at_stripe(market: Market, browser: Browser, buyer: Buyer) -> None:
    await market.bought(buyer)
    await browser.get("/subscriptions")
    leads_on = await browser.send("/portal")
    assert leads_on.status_code == 303
    assert leads_on.headers["location"].startswith(market.standin.url)


async def test_buying_again_and_again_has_to_wait(
    market: Market, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.get("/packages")
    seen = set()
    for _ in range(65):  # 30 in a minute, and a new minute may begin in between
        answer = await browser.send("/packages", package="starter")
        seen.add(answer.status_code)
        if "Too many purchases" in text_of(answer.text):
            break
    else:
        pytest.fail("nobody was asked to wait")
    assert seen == {303, 409}
