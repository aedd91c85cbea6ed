"""The pages that show: home, use, charges, history, prices, examples, the calculator."""

import csv
import io

import pytest

from tests.gateway.pages.browsing import Browser, one_charge, text_of, values_of
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio


async def test_home_shows_what_there_is_and_what_was_charged(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    empty = text_of((await browser.get("/")).text)
    await one_charge(market, buyer.customer)
    page = await browser.get("/")

    assert "No calls yet." in empty
    assert '<span class="value">98</span>' in page.text
    assert '<time datetime="20' in page.text
    assert "product" in page.text


async def test_home_says_what_expires_when(market: Market, browser: Browser, buyer: Buyer) -> None:
    for days, amount in (("2041-01-01", 7), ("2040-01-01", 5)):
        given = {"credit_type": "credits", "amount": amount, "expires_at": f"{days}T00:00:00Z"}
        await market.admin.post(f"/accounts/{buyer.account}/grants", json=given)
    await market.control.posted()

    words = text_of((await browser.get("/")).text)

    first, second = words.index("2040-01-01"), words.index("2041-01-01")
    assert first < second
    assert "Will expire 12" in words


async def test_a_frozen_account_is_told_so(market: Market, browser: Browser, buyer: Buyer) -> None:
    await market.admin.post(f"/accounts/{buyer.account}/freeze", json={"reason": "a dispute"})
    await market.control.posted()
    assert "This account is frozen" in text_of((await browser.get("/")).text)


async def test_amounts_have_the_decimals_of_their_type(market: Market, browser: Browser) -> None:
    buyer = await market.buyer()
    given = {"credit_type": "calling", "amount": 123_450}
    await market.admin.post(f"/accounts/{buyer.account}/grants", json=given)
    await market.control.posted()
    await browser.post("/sign-in", {"key": buyer.headers["x-api-key"]})
    assert "1,234.50 calling" in text_of((await browser.get("/")).text)


async def test_a_charge_says_why_it_cost_that(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    charge = await one_charge(market, buyer.customer)
    words = text_of((await browser.get(f"/charges/{charge}")).text)
    assert "Why it cost 2 credits" in words
    assert "2 credits held, 2 credits charged: the answer was delivered (status 200)." in words
    assert "asin B1" in words


async def test_a_charge_says_why_it_was_refunded(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    charge = await one_charge(market, buyer.customer)
    refund = {"amount": 1, "reason": "the answer was stale"}
    await market.admin.post(f"/charges/{charge}/refunds", json=refund)
    await market.control.posted()

    words = text_of((await browser.get(f"/charges/{charge}")).text)
    told = (await market.consumer.get(f"/v1/charges/{charge}", headers=buyer.headers)).json()

    assert "partly refunded" in words
    assert "Why it was refunded" in words
    assert "the answer was stale" in words
    assert [(one["amount"], one["reason"]) for one in told["refunds"]] == [
        (1, "the answer was stale")
    ]


async def test_a_call_that_was_not_charged_says_why(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    charge = await one_charge(market, buyer.customer, "/v1/made")
    words = text_of((await browser.get(f"/charges/{charge}")).text)
    assert "Why it cost nothing" in words
    assert "the upstream's status is not one that is charged" in words


async def test_charges_are_found_by_what_is_asked_for(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    product = await one_charge(market, buyer.customer)
    made = await one_charge(market, buyer.customer, "/v1/made")

    async def shown(query: str) -> set[str]:
        page = (await browser.get(f"/charges?{query}")).text
        return {one for one in (product, made) if one in page}

    assert await shown("") == {product, made}
    assert await shown("state=captured") == {product}
    assert await shown("state=void&route=") == {made}
    assert await shown("route=product") == {product}
    assert await shown(f"key=key_{buyer.customer.key}") == {product, made}
    assert await shown("key=key_999999") == set()
    assert await shown("from=2001-01-01&to=2001-01-31") == set()
    assert await shown("from=2001-01-01") == {product, made}
    assert "No charge fits." in text_of((await browser.get("/charges?route=none")).text)


async def test_an_id_leads_to_its_charge(market: Market, browser: Browser, buyer: Buyer) -> None:
    charge = await one_charge(market, buyer.customer)
    found = await browser.get(f"/charges?id={charge.upper()}&state=")
    assert (found.status_code, found.headers["location"]) == (303, f"/farebox/charges/{charge}")
    missing = await browser.get(f"/charges/{'0' * 24}")
    assert missing.status_code == 404
    assert "shows up within two seconds" in text_of(missing.text)


@pytest.mark.parametrize(
    ("query", "field"),
    [("id=12", "id"), ("state=odd", "state"), ("from=yesterday", "from"), ("key=7", "key"),
     ("type=gold", "type")],
)  # fmt: skip
async def test_a_wrong_filter_is_told_beside_its_field(
    browser: Browser, query: str, field: str
) -> None:
    page = await browser.get(f"/charges?{query}")
    assert page.status_code == 422
    assert f'id="e-{field}"' in page.text


async def test_pages_of_charges_follow_one_another(
    market: Market, browser: Browser, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pages.consumer.charged.SHOWN", 2)
    made = [await one_charge(market, buyer.customer) for _ in range(5)]
    seen: list[str] = []
    path = "/charges?route=product"
    while path:
        page = (await browser.get(path)).text
        seen += [one for one in reversed(made) if f"/charges/{one}" in page]
        _, found, rest = page.partition(' rel="next"')
        link = _.rpartition('href="')[2].removesuffix('"') if found else ""
        path = link.replace("&amp;", "&").removeprefix("/farebox")
        assert not link or "route=product" in path
        assert rest or not link
    assert seen == list(reversed(made))


async def test_charges_and_history_can_be_taken_away(
    market: Market, browser: Browser, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pages.consumer.charged.MAX_LIMIT", 2)
    made = [await one_charge(market, buyer.customer) for _ in range(5)]

    charges = await browser.get("/charges.csv?state=captured")
    entries = await browser.get("/entries.csv?kind=charge")

    assert charges.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="charges.csv"' in charges.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(charges.text)))
    assert [row["id"] for row in rows] == list(reversed(made))
    assert {(row["charged"], row["outcome"]) for row in rows} == {("2", "charged")}
    assert rows[0]["record"] == "asin=B1"
    moved = list(csv.DictReader(io.StringIO(entries.text)))
    assert [(row["amount"], row["charge"]) for row in moved] == [
        ("-2", one) for one in reversed(made)
    ]


async def test_history_shows_all_that_moved_the_balance(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    charge = await one_charge(market, buyer.customer)
    words = text_of((await browser.get("/entries")).text)
    assert "Given" in words
    assert "+100 credits" in words
    only = (await browser.get("/entries?kind=charge")).text
    assert charge in only
    assert "+100" not in only
    assert (await browser.get("/entries?kind=odd")).status_code == 422


async def test_use_is_drawn_by_day_and_route_with_the_same_as_a_table(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    nothing = text_of((await browser.get("/use")).text)
    for _ in range(3):
        await one_charge(market, buyer.customer)
    page = (await browser.get("/use?days=7")).text

    assert "No call was charged in this time." in nothing
    assert page.count('<g class="bar">') == 7
    assert '<svg viewBox="0 0 720 220" role="img" aria-labelledby="d1-title d1-desc">' in page
    assert "6 credits in 3 calls." in page
    words = text_of(page)
    assert "As a table" in words
    assert "product" in words
    assert (await browser.get("/use?days=1000")).status_code == 200


async def test_the_price_list_is_the_one_in_force(browser: Browser) -> None:
    words = text_of((await browser.get("/prices")).text)
    assert "GET /v1/products/{asin}" in words
    assert "1 credit + 1 credit for each 100 of body /limit (1 where absent), at most 50" in words
    assert "0.25 calling" in words
    assert "only recorded, nothing is charged" in words


async def test_the_calculator_says_what_a_call_would_cost(browser: Browser, buyer: Buyer) -> None:
    form = await browser.get("/calculator?method=POST&path=/v1/search")
    assert 'value="POST" selected' in form.text
    shown = await browser.send(
        "/calculator", method="POST", path="/v1/search", body='{"limit": 250}', headers=""
    )
    words = text_of(shown.text)
    assert "Cost 4 credits" in words
    assert "1 + 250 / 100 x 1, rounded up = 4" in words
    assert "There is enough for it." in words
    assert values_of(shown.text)["path"] == "/v1/search"


async def test_the_calculator_says_what_is_missing(market: Market, browser: Browser) -> None:
    poor = await market.buyer()
    await browser.post("/sign-in", {"key": poor.headers["x-api-key"]})
    await browser.get("/calculator")
    words = text_of((await browser.send("/calculator", path="/v1/products/B1")).text)
    assert "There is not enough for it." in words
    assert "Missing 2" in words


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"path": ""}, "Is missing"), ({"path": "/nowhere"}, "No route serves /nowhere."),
     ({"path": "/v1/search"}, "This path takes POST."),
     ({"path": "/v1/products/B1", "headers": "no colon"}, "One on each line")],
)  # fmt: skip
async def test_a_call_that_has_no_price_is_told_as_it_would_be(
    browser: Browser, fields: dict[str, str], told: str
) -> None:
    await browser.get("/calculator")
    refused = await browser.send("/calculator", **fields)
    assert refused.status_code in (404, 405, 422)
    assert told in text_of(refused.text)


async def test_examples_have_the_callers_own_address(market: Market, browser: Browser) -> None:
    address = market.url.removesuffix("/farebox")
    page = (await browser.get("/examples")).text
    assert f'curl -i "{address}/v1/products/ASIN"' in page
    assert f'base_url="{address}/v1"' in page
    chosen = text_of((await browser.get("/examples?route=1")).text)
    assert """-d '{"limit": 1}'""" in chosen
    assert "requests.post(" in chosen
    assert 'body: JSON.stringify({"limit": 1}),' in chosen
