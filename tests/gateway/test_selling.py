"""gateway/consumer/selling.py: an account buys with its key, and sees only what is its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.charging import Stores
from tests.selling import Buyer, Market, selling

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    async with selling(shared_stores) as running:
        yield running


async def test_a_package_is_bought_and_can_be_spent(market: Market) -> None:
    buyer = await market.buyer()
    begun = await market.begin(buyer)
    assert begun["checkout_url"].startswith(market.standin.url)

    market.standin.pay(begun["session_id"])
    await market.until_available(buyer, 100)

    shown = await market.consumer.get(f"/v1/checkout/{begun['session_id']}", headers=buyer.headers)
    purchase = shown.json()
    assert (purchase["state"], purchase["credits"], purchase["given"]) == ("paid", 100, True)
    assert (purchase["amount_minor"], purchase["currency"]) == (1000, "usd")
    assert purchase["display"] == {"credits": "100", "amount": "10.00 USD"}


async def test_looking_at_a_purchase_settles_it_without_a_webhook(market: Market) -> None:
    buyer = await market.buyer()
    market.standin.deliver_badly(drop=1.0)
    try:
        purchase = await market.bought(buyer)
    finally:
        market.standin.deliver_badly()
    assert purchase["given"]
    await market.until_available(buyer, 100)


async def test_nobody_sees_anothers_purchase(market: Market) -> None:
    begun = await market.begin(await market.buyer())
    stranger = await market.buyer()

    for session in (begun["session_id"], "cs_test_unknown", "not-a-session"):
        refused = await market.consumer.get(f"/v1/checkout/{session}", headers=stranger.headers)
        assert refused.status_code == 404
        assert refused.json()["type"].endswith("/not-found")


async def test_buying_needs_a_key_that_manages(market: Market) -> None:
    buyer = await market.buyer()

    refused = await market.consumer.post(
        "/v1/checkout", json={"package": "starter"}, headers=buyer.customer.headers
    )

    assert (refused.status_code, refused.json()["type"][-13:]) == (403, "scope-missing")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"package": "unknown"}, "not-for-sale"),
        ({"package": "starter", "currency": "eur"}, "not-for-sale"),
        ({"package": "starter", "quantity": 2}, "invalid-input"),
        ({"package": "business", "quantity": 11}, "invalid-input"),
        ({"package": "starter", "price": 1}, "invalid-input"),
        ({"package": "starter", "success_url": "https://evil.example"}, "invalid-input"),
    ],
)
async def test_what_cannot_be_bought_is_refused_and_no_order_is_made(
    market: Market, body: dict[str, object], name: str
) -> None:
    buyer = await market.buyer()

    refused = await market.consumer.post("/v1/checkout", json=body, headers=buyer.headers)

    assert (refused.status_code, refused.json()["type"]) == (422, f"/farebox/problems/{name}")
    orders = await market.admin.get("/orders", params={"account": buyer.account})
    assert orders.json()["items"] == []


async def test_quantity_and_currency_are_the_buyers_the_price_is_not(market: Market) -> None:
    buyer = await market.buyer()

    many = await market.bought(buyer, "business", quantity=3)
    yen = await market.bought(buyer, "starter", currency="JPY")

    assert (many["credits"], many["amount_minor"]) == (3000, 24000)
    assert (yen["amount_minor"], yen["display"]["amount"]) == (1500, "1500 JPY")


async def test_payments_are_listed_with_receipts_and_invoices(market: Market) -> None:
    buyer = await market.buyer()
    for package in ("starter", "minutes", "starter"):
        await market.bought(buyer, package)

    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = await market.consumer.get("/v1/payments", params=query, headers=buyer.headers)
        seen += page.json()["items"]
        if not (cursor := page.json()["next"]):
            break

    assert [one["package"] for one in seen] == ["starter", "minutes", "starter"]
    assert seen[1]["display"]["credits"] == "12.50"
    assert all(one["receipt_url"] and one["invoice_pdf"] for one in seen)


async def test_a_subscription_gives_credits_and_is_ended_by_its_owner_only(market: Market) -> None:
    buyer, stranger = await market.buyer(), await market.buyer()
    begun = await market.begin(buyer, "monthly")
    market.standin.pay(begun["session_id"])
    await market.until_available(buyer, 500)

    [one] = await until_listed(market, buyer, "subscriptions", 1)
    path = f"/v1/subscriptions/{one['id']}"
    assert (one["status"], one["package"], one["plan_tier"]) == ("active", "monthly", "pro")
    refused = await market.consumer.delete(path, headers=stranger.headers)
    assert refused.status_code == 404
    ended = await market.consumer.delete(path, headers=buyer.headers)
    assert (ended.json()["status"], ended.json()["cancel_at_period_end"]) == ("active", True)
    gone = await market.consumer.delete(path, params={"when": "now"}, headers=buyer.headers)
    assert gone.json()["status"] == "canceled"
    await market.until_available(buyer, 500)


async def test_packages_are_grouped_by_credit_type(market: Market) -> None:
    listed = (await market.consumer.get("/v1/packages")).json()

    assert [one["id"] for one in listed["items"]][:3] == ["starter", "business", "minutes"]
    assert listed["by_credit_type"]["calling"] == ["minutes"]
    assert listed["items"][0]["display"] == {
        "credits": "100", "price_usd": "10.00 USD", "price_jpy": "1500 JPY",
    }  # fmt: skip


async def test_a_saved_card_is_listed_charged_by_top_up_and_removed(market: Market) -> None:
    buyer = await market.buyer(credits=5)
    saving = await market.consumer.post("/v1/cards", headers=buyer.headers)
    market.standin.pay(saving.json()["session_id"])
    [card] = await until_cards(market, buyer, 1)
    assert (card["brand"], card["last4"], card["is_default"]) == ("visa", "4242", True)

    wish = {
        "package": "starter", "threshold": 10, "most_minor_month": 1000, "most_count_day": 1,
        "consent": True,
    }  # fmt: skip
    refused = await market.consumer.put(
        "/v1/top-up", json={**wish, "consent": False}, headers=buyer.headers
    )
    assert refused.json()["errors"][0]["field"] == "consent"
    agreed = await market.consumer.put("/v1/top-up", json=wish, headers=buyer.headers)
    assert (agreed.json()["enabled"], agreed.json()["display"]["amount"]) == (True, "10.00 USD")
    await market.until_available(buyer, 105)

    left = await market.consumer.delete(f"/v1/cards/{card['id']}", headers=buyer.headers)
    assert left.json()["items"] == []
    shown = await market.consumer.get("/v1/top-up", headers=buyer.headers)
    assert shown.json()["enabled"] is False


async def until_cards(market: Market, buyer: Buyer, many: int) -> list[dict[str, Any]]:
    """Wait for the webhook that tells of a saved card."""
    return await until_listed(market, buyer, "cards", many)


async def until_listed(market: Market, buyer: Buyer, what: str, many: int) -> list[dict[str, Any]]:
    """Wait for the webhook that tells of it: payments are told of by others, in any order."""
    for _ in range(500):
        listed = await market.consumer.get(f"/v1/{what}", headers=buyer.headers)
        if len(listed.json()["items"]) == many:
            break
        await asyncio.sleep(0.02)
    return listed.json()["items"]


async def test_top_up_can_be_ended(market: Market) -> None:
    buyer = await market.buyer()
    ended = await market.consumer.delete("/v1/top-up", headers=buyer.headers)
    assert ended.json()["enabled"] is False


async def test_the_portal_is_for_who_has_bought(market: Market) -> None:
    buyer = await market.buyer()
    refused = await market.consumer.post("/v1/portal", headers=buyer.headers)
    assert (refused.status_code, refused.json()["type"][-8:]) == (409, "conflict")

    await market.bought(buyer)
    opened = await market.consumer.post("/v1/portal", headers=buyer.headers)
    assert opened.json()["portal_url"].startswith(market.standin.url)


async def test_an_account_says_from_which_balance_on_it_is_told(market: Market) -> None:
    buyer = await market.buyer()
    wish = {"credit_type": "credits", "threshold": 50}

    changed = await market.consumer.put("/v1/notices", json=wish, headers=buyer.headers)

    assert {"credit_type": "credits", "threshold": 50} in changed.json()["items"]
    unknown = {"credit_type": "unheard-of", "threshold": 1}
    refused = await market.consumer.put("/v1/notices", json=unknown, headers=buyer.headers)
    assert refused.status_code == 404


async def test_a_stripe_that_does_not_answer_is_a_503_and_the_repeat_works(market: Market) -> None:
    buyer = await market.buyer()
    market.standin.fault(kind="cut_before", path="/v1/checkout/sessions", method="POST", count=3)
    try:
        refused = await market.consumer.post(
            "/v1/checkout", json={"package": "starter"}, headers=buyer.headers
        )
    finally:
        market.standin.heal()

    assert (refused.status_code, refused.json()["type"][-18:]) == (503, "stripe-unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    await market.bought(buyer)


async def test_purchases_cannot_be_begun_without_end(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.throttle.Throttle.retry_after_s", lambda _self, _who: 7)
    buyer = await market.buyer()

    refused = await market.consumer.post(
        "/v1/checkout", json={"package": "starter"}, headers=buyer.headers
    )

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
