"""gateway/consumer/buying.py: from a 402 to its credits in a browser, and the same as JSON."""

import re
from collections.abc import AsyncIterator, Mapping
from html import unescape
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from gateway import buy_link
from tests.charging import SECRET, Stores
from tests.selling import Buyer, Market, selling

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
CALL = "/v1/products/B1"


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    async with selling(shared_stores) as running:
        yield running


async def refused_call(market: Market, buyer: Buyer) -> str:
    """Make a call that costs more than there is; returns the token of its buy link."""
    refused = await market.control.gateway.get(CALL, buyer.customer)
    assert refused.status_code == 402
    link = urlsplit(refused.json()["buy"])
    assert f"{link.scheme}://{link.netloc}{link.path}" == f"{market.url}/buy"
    return parse_qs(link.query)["token"][0]


def forms_of(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form on a page."""
    hidden = r'<input type="hidden" name="([^"]*)" value="([^"]*)">'
    return [
        {name: unescape(value) for name, value in re.findall(hidden, form)}
        for form in re.findall(r"(?s)<form.*?</form>", page)
    ]


async def begun(market: Market, fields: Mapping[str, str], **headers: str) -> httpx.Response:
    return await market.consumer.post("/buy", data=fields, headers=BROWSER | headers)


async def came_back(market: Market, url: str, **more: str) -> httpx.Response:
    """Follow Stripe's way back, as a browser."""
    query = dict(parse_qs(urlsplit(url).query).items())
    return await market.consumer.get("/bought", params=query | more, headers=BROWSER)


async def test_a_refused_call_works_after_buying_in_a_browser(market: Market) -> None:
    buyer = await market.buyer(credits=1)
    token = await refused_call(market, buyer)

    page = await market.consumer.get("/buy", params={"token": token}, headers=BROWSER)
    starter = next(form for form in forms_of(page.text) if form["package"] == "starter")
    leads_on = await begun(market, starter)
    assert (leads_on.status_code, leads_on.headers["cache-control"]) == (303, "no-store")
    session = leads_on.headers["location"].rpartition("/")[2]
    paid = market.standin.pay(session)
    shown = await market.consumer.get(
        "/bought", params=parse_qs(urlsplit(paid["success_url"]).query) | {"session_id": session},
        headers=BROWSER,
    )  # fmt: skip

    assert shown.status_code == 200
    assert "<h1>Thank you</h1>" in shown.text
    assert "100 credits were added" in shown.text
    assert "10.00 USD" in shown.text
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 200


async def test_the_pages_lead_to_stripe_and_nowhere_else(market: Market) -> None:
    token = await refused_call(market, await market.buyer())

    page = await market.consumer.get("/buy", params={"token": token}, headers=BROWSER)

    policy = page.headers["content-security-policy"]
    assert f"form-action 'self' {market.standin.url};" in policy
    assert "default-src 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_a_program_buys_with_the_link_too(market: Market) -> None:
    buyer = await market.buyer()
    token = await refused_call(market, buyer)

    offers = (await market.consumer.get("/buy", params={"token": token})).json()["items"]
    body = {"token": token, "package": offers[1]["id"], "quantity": 2}
    made = await market.consumer.post("/buy", json=body)

    assert (made.status_code, offers[1]["id"]) == (201, "business")
    market.standin.pay(made.json()["session_id"])
    await market.until_available(buyer, 2000)


@pytest.mark.parametrize("headers", [{}, BROWSER])
async def test_a_link_that_is_over_or_changed_buys_nothing(
    market: Market, headers: dict[str, str]
) -> None:
    old = buy_link.sign(1, secret=SECRET, now_s=1_000_000)
    buyer = await market.buyer()
    good = await refused_call(market, buyer)
    # Another account's, with this one's signature.
    other = f"{buyer.customer.account + 1}{good[good.index('.') :]}"

    for token in (old, other, good[:-1], "x"):
        for answer in (
            await market.consumer.get("/buy", params={"token": token}, headers=headers),
            await market.consumer.post(
                "/buy", data={"token": token, "package": "starter"}, headers=headers
            ),
        ):
            assert answer.status_code == 403
            assert ("<h1>" in answer.text) is bool(headers)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"package": "unknown"}, 422),
        ({"package": "business", "quantity": "eleven"}, 422),
        ({"package": "starter", "price": "1"}, 422),
        ({}, 422),
    ],
)
async def test_a_form_that_cannot_be_used_is_told_so_as_a_page(
    market: Market, fields: dict[str, str], status: int
) -> None:
    token = await refused_call(market, await market.buyer())

    refused = await begun(market, {"token": token, **fields})

    assert refused.status_code == status
    assert refused.headers["content-type"].startswith("text/html")


async def test_a_field_given_twice_is_refused(market: Market) -> None:
    token = await refused_call(market, await market.buyer())

    refused = await market.consumer.post(
        "/buy",
        content=f"token={token}&package=starter&package=business",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert refused.status_code == 400


async def test_who_left_without_paying_finds_a_way_back(market: Market) -> None:
    token = await refused_call(market, await market.buyer())
    leads_on = await begun(market, {"token": token, "package": "starter"})
    session = leads_on.headers["location"].rpartition("/")[2]
    cancel = market.standin.world.get("checkout.session", session)["cancel_url"]

    page = await came_back(market, cancel)

    assert "Nothing was charged" in page.text
    assert leads_on.headers["location"] in page.text
    again = unescape(re.findall(r'href="([^"]*/buy\?token=[^"]*)"', page.text)[0])
    offers = await market.consumer.get(again.removeprefix("/farebox"), headers=BROWSER)
    assert offers.status_code == 200


async def test_the_page_looks_again_while_the_payment_is_not_seen(market: Market) -> None:
    token = await refused_call(market, await market.buyer())
    leads_on = await begun(market, {"token": token, "package": "starter"})
    session = leads_on.headers["location"].rpartition("/")[2]
    success = market.standin.world.get("checkout.session", session)["success_url"]

    page = await came_back(market, success, session_id=session)

    assert "<h1>Processing</h1>" in page.text
    assert 'http-equiv="refresh"' in page.text


async def test_a_slow_payment_is_waited_for_and_nothing_is_promised(market: Market) -> None:
    buyer = await market.buyer()
    token = await refused_call(market, buyer)
    leads_on = await begun(market, {"token": token, "package": "starter"})
    session = leads_on.headers["location"].rpartition("/")[2]
    success = market.standin.world.get("checkout.session", session)["success_url"]
    market.standin.pay_slowly(session)

    page = await came_back(market, success, session_id=session)
    assert "may take some days" in page.text
    assert 'http-equiv="refresh"' not in page.text

    market.standin.finish_payment(session, succeeds=False)
    page = await came_back(market, success, session_id=session)
    assert "Nothing was charged" in page.text
    assert await market.control.gateway.available(buyer.customer) == 0


async def test_the_way_back_shows_one_order_and_fails_closed(market: Market) -> None:
    orders = []
    for _ in range(2):
        token = await refused_call(market, await market.buyer())
        leads_on = await begun(market, {"token": token, "package": "starter"})
        session = leads_on.headers["location"].rpartition("/")[2]
        made = market.standin.world.get("checkout.session", session)
        orders.append((session, parse_qs(urlsplit(made["success_url"]).query)["order"][0]))
    (first, mine), (second, _) = orders

    async def status(**query: str) -> int:
        return (await market.consumer.get("/bought", params=query)).status_code

    assert await status(order=mine, session_id=first) == 200
    assert await status(order=mine) == 200
    assert await status(order=mine, session_id=second) == 404
    assert await status(order=mine, session_id="") == 404
    assert await status(order=mine[:-1], session_id=first) == 404
    assert await status(session_id=first) == 422


async def test_saving_a_card_leads_back_to_a_page(market: Market) -> None:
    buyer = await market.buyer()
    begun = await market.consumer.post("/v1/cards", headers=buyer.headers)
    session = market.standin.world.get("checkout.session", begun.json()["session_id"])

    for name, title in (("success_url", "Card saved"), ("cancel_url", "No card saved")):
        back = urlsplit(session[name])
        assert f"{back.scheme}://{back.netloc}{back.path}" == f"{market.url}/cards"
        page = await market.consumer.get("/cards", params=parse_qs(back.query), headers=BROWSER)
        assert (page.status_code, f"<h1>{title}</h1>" in page.text) == (200, True)


async def test_a_page_that_says_no_says_when_to_come_back(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await refused_call(market, await market.buyer())

    async def away(*_: object, **__: object) -> None:
        raise asyncpg.CannotConnectNowError("starting up")

    monkeypatch.setattr("gateway.operations.packages.for_sale", away)
    page = await market.consumer.get("/buy", params={"token": token}, headers=BROWSER)

    assert (page.status_code, page.headers["retry-after"]) == (503, "1")
    assert page.headers["content-type"].startswith("text/html")


async def test_a_purchase_is_not_looked_at_without_end(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = await market.buyer()
    session = (await market.begin(buyer))["session_id"]
    success = market.standin.world.get("checkout.session", session)["success_url"]
    monkeypatch.setattr("gateway.throttle.Throttle.retry_after_s", lambda _self, _who: 7)

    page = await came_back(market, success, session_id=session)
    asked = await market.consumer.get(f"/v1/checkout/{session}", headers=buyer.headers)

    assert (page.status_code, page.headers["retry-after"]) == (429, "7")
    assert (asked.status_code, asked.headers["retry-after"]) == (429, "7")


async def test_a_checkout_domain_of_the_operators_own_is_led_to_by_a_link(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await refused_call(market, await market.buyer())
    monkeypatch.setattr("gateway.consumer.services.Services.pay_at", ("https://elsewhere",))

    page = await market.consumer.post(
        "/buy", data={"token": token, "package": "starter"}, headers=BROWSER
    )

    assert (page.status_code, "Go on to payment" in page.text) == (201, True)
