"""The admin's pages about selling: packages, orders with money back, subscriptions, the inbox."""

import asyncio
import re
from typing import Any

import pytest

from gateway.pages.admin.package_money import money_of
from ledger.errors import InvalidInput
from tests.control import Control
from tests.gateway.pages.admin.looking import Looking, text_of
from tests.selling import Market

pytestmark = pytest.mark.anyio


async def last(market: Market, action: str) -> dict[str, Any]:
    rows = (await market.admin.get("/audit", params={"limit": 100})).json()["items"]
    return next(row for row in rows if row["action"] == action)


async def for_sale(market: Market) -> dict[str, Any]:
    items = (await market.consumer.get("/v1/packages")).json()["items"]
    return {one["id"]: one for one in items}


async def test_a_package_is_put_up_changed_hidden_and_sorted(root: Looking, market: Market) -> None:
    page = await root.done(
        "/packages/new", id="winter", name="Winter", credits="50", price="4.00 usd, 600 JPY",
        expires_days="30", active="yes",
    )  # fmt: skip
    assert "The package is put up" in text_of(page)
    made = (await for_sale(market))["winter"]
    assert (made["price"], made["credits"], made["expires_s"]) == (
        {"usd": 400, "jpy": 600}, 50, 30 * 86_400,
    )  # fmt: skip

    asked = await root.get("/packages/winter/change")
    assert re.search(r'value="(4.00 usd, 600 jpy|600 jpy, 4.00 usd)"', asked.text)
    await root.done("/packages/winter/change", price="3.50 usd", sort="-5")
    assert next(iter(await for_sale(market))) == "winter"
    assert (await for_sale(market))["winter"]["price"] == {"usd": 350}

    await root.done("/packages/winter/show", hidden="yes")
    assert "winter" not in await for_sale(market)
    assert (await last(market, "package.create"))["actor"] == "root"


async def test_a_package_of_the_file_is_hidden_and_not_changed(
    root: Looking, market: Market
) -> None:
    page = await root.get("/packages")
    assert "/packages/gift/show" in page.text
    assert "/packages/gift/change" not in page.text

    await root.done("/packages/gift/show", hidden="yes")
    assert "gift" not in await for_sale(market)
    await root.done("/packages/gift/show", hidden=[])
    assert "gift" in await for_sale(market)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": "No Id"}, "id"),
        ({"price": "much"}, "price"),
        ({"price": "1.234 usd"}, "price"),
        ({"price": "1 usd, 2 USD"}, "price"),
        ({"credits": "-1"}, ""),
        ({"credits": "0"}, "credits"),
        ({"sort": "x"}, "sort"),
    ],
)
async def test_a_wrong_package_is_not_put_up_and_the_field_says_why(
    root: Looking, market: Market, wrong: dict[str, str], field: str
) -> None:
    right = {"id": "wrong", "name": "W", "credits": "5", "price": "1 usd"}

    answer = await root.send("/packages/new", **right | wrong)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    if field:
        assert f'id="e-{field}"' in answer.text
    assert "wrong" not in await for_sale(market)


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("10 usd", {"usd": 1000}),
        ("10.5 USD", {"usd": 1050}),
        ("1500 jpy; 9.99 eur", {"jpy": 1500, "eur": 999}),
        ("1.234 kwd\n2 usd", {"kwd": 1234, "usd": 200}),
    ],
)
def test_prices_are_read_in_each_currencys_decimals(text: str, money: dict[str, int]) -> None:
    assert money_of(text) == money


@pytest.mark.parametrize("text", ["", ",", "usd", "10", "-1 usd", "1e3 usd", "1.5 jpy", "1,0 usd"])
def test_prices_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        money_of(text)


async def test_money_is_given_back_once_however_often_the_form_is_sent(
    root: Looking, market: Market
) -> None:
    buyer = await market.buyer()
    order = (await market.bought(buyer))["order_id"]
    listed = await root.get("/orders", params={"account": buyer.account, "state": "paid"})
    assert f"/admin/orders/{order}" in listed.text
    asked = await root.get(f"/orders/{order}/refund")
    assert "10.00 USD were paid on this order, 0.00 USD of that are gone" in text_of(asked)
    once = re.search(r'name="once" value="([^"]+)"', asked.text)
    assert once is not None

    for _ in range(2):
        page = await root.done(
            f"/orders/{order}/refund", amount="2.50", reason="a part", once=once[1]
        )

    await market.until_available(buyer, 75)
    assert re.search(r"2\.50 USD succeeded a part root", text_of(page))
    too_much = await root.send(f"/orders/{order}/refund", amount="7.51")
    assert too_much.status_code == 409
    odd = await root.send(f"/orders/{order}/refund", amount="1.234")
    assert (odd.status_code, 'id="e-amount"' in odd.text) == (422, True)
    paid = await root.get("/payments", params={"account": buyer.account})
    assert "25 taken back" in text_of(paid)


async def test_a_subscription_is_ended_in_the_admins_name(root: Looking, market: Market) -> None:
    buyer = await market.buyer()
    await market.bought(buyer, "monthly")
    place = None
    async with asyncio.timeout(15):  # the subscription comes by a delivery of its own
        while place is None:
            page = await root.get("/subscriptions", params={"account": buyer.account})
            place = re.search(r'href="/admin(/subscriptions/[^"]+/end)"', page.text)
            await asyncio.sleep(0.02)

    await root.done(place[1], when="now")

    row = await last(market, "subscription.cancel")
    assert (row["actor"], row["detail"]) == ("root", {"when": "now"})
    after = await root.get("/subscriptions", params={"account": buyer.account})
    assert "canceled" in text_of(after)


async def quarantined(market: Market, event: str) -> str:
    async with market.control.gateway.ledger.database.connection() as connection:
        return str(
            await connection.fetchval(
                "INSERT INTO billing.inbox (livemode, event_id, type, origin, raw, status,"
                " event_created, object_type, object_id) VALUES (false, $1, 'charge.refunded',"
                """ 'webhook', '{"a":[1,"<b>"]}', 'quarantined', now(), 'charge', 'ch_nobodys')"""
                " RETURNING id",
                event,
            )
        )


async def test_an_event_in_quarantine_is_tried_again_or_closed(
    root: Looking, market: Market
) -> None:
    first, second = await quarantined(market, "evt_a"), await quarantined(market, "evt_b")
    listed = await root.get("/inbox")
    assert f"/admin/inbox/{first}" in listed.text
    shown = await root.get(f"/inbox/{first}")
    assert "&#34;a&#34;: [" in shown.text

    again = await root.done("/inbox", f"/inbox/{first}/retry")
    closed = await root.done(f"/inbox/{second}/dismiss", reason="not ours")

    assert "It is tried again within a second" in text_of(again)
    assert "The event is closed" in text_of(closed)
    assert (await last(market, "inbox.retry"))["actor"] == "root"
    assert (await last(market, "inbox.dismiss"))["detail"]["reason"] == "not ours"
    assert "Close it" not in closed.text
    every = await root.get("/inbox", params={"status": "ignored"})
    assert f"/admin/inbox/{second}" in every.text


async def test_a_dispute_is_shown(root: Looking, market: Market) -> None:
    buyer = await market.buyer()
    bought = await market.bought(buyer)
    market.standin.dispute(bought["payment_intent_id"])
    async with asyncio.timeout(15):
        while True:
            page = await root.get("/disputes", params={"account": buyer.account})
            if "10.00 USD" in page.text:
                break
            await asyncio.sleep(0.05)

    overview = text_of(await root.get("/"))
    assert "1 open dispute" in overview


async def test_the_overview_shows_money_requests_and_what_waits(
    root: Looking, market: Market
) -> None:
    buyer = await market.buyer(credits=10)
    await market.bought(buyer)
    await market.control.called(buyer.customer)

    page = await root.get("/")
    said = text_of(page)

    for words in ("Money in USD, last 30 days", "Revenue", "Margin", "Monthly recurring",
                  "Half within", "95 % within", "Facts not posted yet", "Lag"):  # fmt: skip
        assert words in said
    assert re.search(r'<title id="hours-title">Requests by hour, in UTC</title>', page.text)
    assert re.search(r'<desc id="revenue-usd-desc">[\d.,]+ USD from \d+ payments?', page.text)


async def test_where_nothing_is_sold_the_pages_say_so(alone: tuple[Control, Looking]) -> None:
    _, looking = alone

    assert "Nothing is sold here" in text_of(await looking.get("/"))
    assert "/admin/orders" not in (await looking.get("/")).text
    refused = await looking.get("/orders")
    assert refused.status_code == 503
    assert "takes no payments" in text_of(refused)
    assert (await looking.get("/packages")).status_code == 200
