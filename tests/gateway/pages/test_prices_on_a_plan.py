"""What a page says of prices is what the account's plan makes of them."""

import pytest

from config import load_price_list
from gateway.pages.consumer.priced import price_rows
from tests.gateway.pages.browsing import Browser, text_of
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /usual, upstream: api, price: 10 }
  - { path: /closed, upstream: api, price: 5, plans: [pro] }
limits: { per_account: { free: { requests: 3, per: month } } }
plans:
  pro: { factor: 0.5, routes: { /closed: { price: 1 } } }
"""


def test_each_plan_has_prices_and_closed_routes_of_its_own() -> None:
    prices = load_price_list(PRICES, environ={})
    none, pro = (price_rows(prices, prices.plan_of(name)) for name in ("", "pro"))
    assert [row.price for row in none] == ["10 credits", "5 credits"]
    assert [row.price for row in pro] == ["5 credits (10 credits x 0.5)", "1 credit"]
    assert "pro" in none[1].notes[0]
    assert [row.notes for row in pro] == [["3 free in each month"]] * 2


async def test_credits_for_some_routes_are_told_apart(
    market: Market, buyer: Buyer, browser: Browser
) -> None:
    grant = {"credit_type": "credits", "amount": 7, "routes": ["product"]}
    answer = await market.admin.post(f"/accounts/{buyer.account}/grants", json=grant)
    assert answer.status_code == 201
    await market.control.posted()
    words = text_of((await browser.get("/")).text)
    assert "Beside these, 7 that can be used for product only." in words
