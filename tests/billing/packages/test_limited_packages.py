"""Packages whose credits may be used on some routes only: sold, given, taken back and given again."""

from dataclasses import replace

import pytest

from billing.invoicing import invoices
from billing.packages import catalogue
from billing.packages.offers import Offer
from billing.shop import Shop
from config import PriceList, load_price_list
from ledger import grants
from tests.billing.conftest import applied, rows
from tests.billing.reversing.test_reversals import dispute_lost_and_won
from tests.billing.sales import sold
from tests.billing.subscribing import subscribe
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /search, upstream: api, price: 1, name: search }
  - { path: /chat, upstream: api, price: 1, name: chat }
packages:
  searches: { name: Searches, credits: 100, price: { usd: 1000 }, routes: [search] }
  monthly: { name: Monthly, credits: 500, price: { usd: 2000 }, interval: month, routes: [search, chat] }
"""
WITHOUT_CHAT = PRICES.replace("name: chat", "name: talk").replace(", chat]", "]")


@pytest.fixture
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


async def routes(shop: Shop, account: int) -> list[list[str] | None]:
    """Of the account's grants, the oldest first."""
    async with shop.ledger.database.connection() as connection:
        return [row.routes for row in await grants.of_account(connection, account)][::-1]


async def test_what_is_bought_may_be_used_where_the_package_said(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await sold(shop, stripe_standin, account, "searches")
    assert await applied(shop, account) == {"credits": 0}
    assert await routes(shop, account) == [["search"]]
    assert await rows(shop, "SELECT remaining FROM grants") == [{"remaining": 100}]


async def test_what_a_subscription_gives_may_be_used_where_its_package_said(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    _, subscription = await subscribe(shop, stripe_standin, account)
    assert (await invoices.settle(shop, subscription["latest_invoice"])).outcome == "granted"
    assert await routes(shop, account) == [["chat", "search"]]


async def test_what_is_given_again_after_a_won_dispute_is_limited_as_before(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    sale = await sold(shop, stripe_standin, account, "searches")
    await dispute_lost_and_won(shop, stripe_standin, sale.payment_intent_id)
    assert await routes(shop, account) == [["search"], ["search"]]


async def test_a_package_of_a_route_that_is_gone_is_not_sold(shop: Shop, prices: PriceList) -> None:
    of_chat = Offer(
        name="chats", title="Chats", credit_type="credits", credits=5, scale=0,
        prices={"usd": 100}, source="admin", routes=("chat",),
    )  # fmt: skip
    async with shop.ledger.database.connection() as connection:
        await catalogue.create(connection, prices, of_chat, active=True, actor="ann")
        before = await catalogue.shelves(connection, prices, livemode=False)
        after = await catalogue.shelves(
            connection, load_price_list(WITHOUT_CHAT, environ={}), livemode=False
        )
    assert {shelf.offer.name for shelf in before if shelf.for_sale} == {
        "searches", "monthly", "chats",
    }  # fmt: skip
    [shelf] = [shelf for shelf in after if not shelf.for_sale]
    assert shelf.problem == "the price file has no route chat (it has search, talk)"


def test_an_offer_with_routes_is_read_back_and_one_of_an_earlier_release_has_none() -> None:
    offer = Offer(
        name="a", title="A", credit_type="credits", credits=5, scale=0, prices={}, source="file",
        routes=("search",),
    )  # fmt: skip
    assert Offer.from_json(offer.to_json()) == offer
    earlier = {name: value for name, value in offer.to_json().items() if name != "routes"}
    assert Offer.from_json(earlier) == replace(offer, routes=())
