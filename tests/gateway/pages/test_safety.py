"""gateway/pages/security.py: what a page may load, whose forms count, and whose data is shown."""

import re
from typing import Any

import pytest

from tests.gateway.pages.browsing import PAGES, Browser, one_charge, signed_in
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
MOST_BYTES = 100 * 1024

FORMS = (
    ("/sign-out", {}),
    ("/packages", {"package": "starter"}),
    ("/portal", {}),
    ("/subscriptions/sub_1/end", {"when": "now"}),
    ("/top-up", {"package": "starter", "threshold": "1", "most_month": "10", "consent": "yes"}),
    ("/top-up/end", {}),
    ("/top-up/cards", {}),
    ("/top-up/cards/pm_1/remove", {}),
    ("/top-up/notices", {"credit_type": "credits", "threshold": "5"}),
    ("/keys", {"scopes": "call"}),
    ("/keys/{key}/rename", {"name": "theirs"}),
    ("/keys/{key}/rotate", {"overlap": "0"}),
    ("/keys/{key}/caps", {"credit_type": "credits", "day": "1"}),
    ("/keys/{key}/revoke", {}),
    ("/calculator", {"path": "/v1/products/B1"}),
)


async def state_of(market: Market, buyer: Buyer) -> Any:
    """All that a form could have changed."""
    keys = await market.consumer.get("/v1/keys", headers=buyer.headers)
    notices = await market.consumer.get("/v1/notices", headers=buyer.headers)
    orders = await market.admin.get("/orders", params={"account": buyer.account})
    return keys.json(), notices.json(), orders.json()


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_nothing_from_elsewhere_and_runs_no_script_of_its_own(
    browser: Browser, page: str
) -> None:
    shown = await browser.get(page)

    assert shown.status_code == 200, shown.text
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert "base-uri 'none'; frame-ancestors 'none'" in policy
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["cache-control"] == "no-store"
    assert re.findall(r"(?i)\son\w+=|\sstyle=|<style|javascript:", shown.text) == []
    assert re.findall(r"<script(?! src=\"/farebox/static/)", shown.text) == []
    loaded = re.findall(r'<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"', shown.text)
    assert len(loaded) == 3
    assert all(address.startswith("/farebox/static/") for address in loaded)


async def test_the_first_page_is_small_in_all(nobody: Browser) -> None:
    page = await nobody.get("/")
    total = len(page.content)
    for address in re.findall(r'(?:href|src)="(/farebox/static/[^"]+)"', page.text):
        file = await nobody.http.get(f"{nobody.url.removesuffix('/farebox')}{address}")
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        total += len(file.content)
    assert total < MOST_BYTES


async def test_a_file_has_one_address_only(nobody: Browser) -> None:
    page = (await nobody.get("/sign-in")).text
    (address,) = re.findall(r'href="/farebox(/static/[^"]+css)"', page)
    folder, _, name = address.rpartition("/")
    for wrong in (f"/static/0/{name}", f"{folder}/pages.py", f"{folder}/../../x", "/static/x"):
        assert (await nobody.get(wrong)).status_code == 404


@pytest.mark.parametrize(("path", "fields"), FORMS)
async def test_a_form_that_is_not_of_this_session_changes_nothing(
    market: Market, browser: Browser, buyer: Buyer, path: str, fields: dict[str, str]
) -> None:
    path = path.format(key=f"key_{buyer.customer.key}")
    async with signed_in(market, await market.buyer()) as other:
        await other.get("/")
        foreign = other.form_token
    await browser.get("/")
    own = browser.form_token
    before = await state_of(market, buyer)
    proof = {"key_again": buyer.headers["x-api-key"]}

    for token in ("", foreign, own[:-1], "ü"):
        refused = await browser.post(path, {**fields, **proof, "form_token": token})
        assert refused.status_code == 403, (token, refused.text)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
                    {"origin": "https://evil.example"}):  # fmt: skip
        refused = await browser.post(path, {**fields, **proof, "form_token": own}, headers)
        assert refused.status_code == 403

    assert await state_of(market, buyer) == before
    assert (await browser.get("/")).status_code == 200  # still signed in


async def test_a_form_of_another_type_or_size_is_refused(browser: Browser) -> None:
    await browser.get("/")
    json = await browser.http.post(f"{browser.url}/keys", json={"form_token": browser.form_token})
    large = await browser.send("/keys", name="x" * 70_000)
    assert (json.status_code, large.status_code) == (415, 413)
    assert "<h1>" in large.text


async def test_strangers_send_no_forms(nobody: Browser) -> None:
    for path, fields in FORMS[1:]:
        assert (await nobody.post(path.format(key="key_1"), dict(fields))).status_code == 401


async def test_hostile_words_are_shown_as_words_on_every_page(market: Market) -> None:
    buyer = await market.buyer(credits=50)
    async with market.control.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE accounts SET name = $1 WHERE id = $2", HOSTILE, buyer.customer.account
        )
    charge = await one_charge(market, buyer.customer, "/v1/products/%3Cscript%3Ealert(1)")
    await market.admin.post(f"/charges/{charge}/refunds", json={"reason": HOSTILE})
    await market.admin.post(
        f"/accounts/{buyer.account}/grants",
        json={"credit_type": "credits", "amount": 5, "description": HOSTILE,
              "expires_at": "2040-01-01T00:00:00Z"},
    )  # fmt: skip
    await market.consumer.post("/v1/keys", json={"name": HOSTILE}, headers=buyer.headers)
    await market.control.posted()
    keys = (await market.consumer.get("/v1/keys", headers=buyer.headers)).json()["items"]
    wild = (
        *PAGES, f"/charges/{charge}", f"/keys/{keys[0]['id']}",
        "/charges?route=" + "%3Cscript%3Ealert(1)%3C/script%3E",
        "/charges?id=%3Cscript%3E", "/charges/%3Cscript%3E", "/entries?type=%3Cscript%3E",
        "/calculator?path=%3Cscript%3Ealert(1)&method=%22%3E%3Cscript%3E", "/nothing<script>",
        "/use?days=%3Cscript%3E", "/top-up?done=%3Cscript%3E", "/packages?<script>",
    )  # fmt: skip

    seen = 0
    async with signed_in(market, buyer) as entered:
        for path in wild:
            page = (await entered.get(path)).text
            assert "<script>" not in page, path
            assert "<img" not in page, path
            assert "49" not in re.findall(r"img src=x onerror=alert\(1\)&gt;(\d*)", page), path
            seen += page.count("&lt;script&gt;alert(1)")
    assert seen > len(PAGES)  # the name stands on each, and more on some


async def test_nobody_sees_anothers(market: Market, browser: Browser) -> None:
    other = await market.buyer(credits=100)
    charge = await one_charge(market, other.customer)
    bought = await market.bought(other)
    theirs = f"key_{other.customer.key}"
    await browser.get("/")

    for path in (f"/charges/{charge}", f"/keys/{theirs}"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "product" not in answer.text
    found = await browser.get(f"/charges?key={theirs}")
    assert charge not in found.text
    assert charge not in (await browser.get("/charges.csv")).text
    assert bought["order_id"] not in (await browser.get("/payments")).text
    for path in (f"/keys/{theirs}/revoke", f"/keys/{theirs}/rename"):
        await browser.get("/")
        assert (await browser.send(path, name="x")).status_code == 404
    keys = (await market.consumer.get("/v1/keys", headers=other.headers)).json()["items"]
    assert {key["status"] for key in keys} == {"active"}
    assert "x" not in {key["name"] for key in keys}


async def test_what_is_not_there_is_said_as_a_page_and_to_programs_as_json(
    market: Market, nobody: Browser
) -> None:
    page = await nobody.get("/nothing")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Not found</h1>" in page.text
    api = await nobody.get("/v1/nothing")
    assert api.headers["content-type"] == "application/problem+json"
    plain = await nobody.http.get(f"{market.url}/nothing", headers={"accept": "*/*"})
    assert plain.headers["content-type"] == "application/problem+json"


async def test_what_nobody_expected_is_a_page_that_tells_nothing(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_args: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("gateway.operations.accounts.show", fails)
    page = await browser.get("/")
    assert page.status_code == 500
    assert "<h1>The gateway failed</h1>" in page.text
    assert "secret" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
