"""billing/purchases/checkout.py: the order comes first, the session after it, once."""

import asyncio
from dataclasses import replace

import pytest

from billing.customer import customers
from billing.errors import NotForSale, StripeRefused, StripeUnavailable, WrongPurchase
from billing.purchases import checkout, orders
from billing.purchases.checkout import Purchase
from billing.shop import Shop
from config import PriceList
from tests.billing.conftest import PAGES, buy, lose_the_answer, order_of, rows
from tests.standin import RunningStandIn, sdk_for

pytestmark = pytest.mark.anyio

SESSIONS = "/v1/checkout/sessions"


def sessions_of(standin: RunningStandIn, order_id: str) -> list[dict]:
    made = standin.world.every("checkout.session")
    return [one for one in made if one["client_reference_id"] == order_id]


async def only_order(shop: Shop) -> orders.Order:
    [row] = await rows(shop, "SELECT id FROM billing.orders")
    return await order_of(shop, row["id"])


async def test_a_session_is_opened_for_an_order_that_holds_the_offer(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "business", quantity=3)

    order = await order_of(shop, started.order_id)
    [session] = sessions_of(stripe_standin, order.id)
    assert (order.state, order.kind, order.session_id) == ("open", "checkout", session["id"])
    assert (order.credits_each, order.unit_minor, order.currency) == (1000, 8000, "usd")
    assert (order.quantity, order.least_quantity, order.most_quantity) == (3, 1, 10)
    assert order.offer.title == "Business"
    assert order.customer_id == session["customer"]
    assert started.checkout_url == session["url"]
    assert started.expires_at is not None
    assert session["amount_total"] == 24_000
    assert session["metadata"] == {
        "farebox": shop.installation,
        "order_id": order.id,
        "account": f"acc_{account}",
    }


async def test_buyers_are_sent_back_to_our_own_pages_only(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)

    [session] = sessions_of(stripe_standin, started.order_id)
    assert session["success_url"].startswith(f"{PAGES}/bought?session_id={{CHECKOUT_SESSION_ID}}")
    assert session["cancel_url"].startswith(f"{PAGES}/bought?cancelled=1&order={started.order_id}.")


async def test_the_currency_asked_for_is_the_one_charged(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, currency="JPY")

    [session] = sessions_of(stripe_standin, started.order_id)
    assert (session["currency"], session["amount_total"]) == ("jpy", 1500)


async def test_a_subscription_is_marked_down_to_the_subscription(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "monthly", save_card=True)

    [session] = sessions_of(stripe_standin, started.order_id)
    order = await order_of(shop, started.order_id)
    assert (session["mode"], order.kind) == ("subscription", "subscription")
    assert not order.save_card, "a subscription keeps its card anyway"


async def test_an_unknown_package_or_currency_is_not_for_sale(shop: Shop, account: int) -> None:
    for purchase in (Purchase(package="gone"), Purchase(package="starter", currency="eur")):
        with pytest.raises(NotForSale):
            await checkout.start(shop, account, purchase)
    assert await rows(shop, "SELECT 1 FROM billing.orders") == []


@pytest.mark.parametrize(
    ("package", "quantity"), [("business", 0), ("business", 11), ("business", -1), ("starter", 2)]
)
async def test_a_quantity_out_of_bounds_changes_nothing(
    shop: Shop, account: int, package: str, quantity: int
) -> None:
    with pytest.raises(WrongPurchase) as wrong:
        await buy(shop, account, package, quantity=quantity)

    assert wrong.value.field == "quantity"
    assert await rows(shop, "SELECT 1 FROM billing.orders") == []


@pytest.mark.parametrize("kind", ["cut_after", "error_after", "cut_before", "error_before"])
async def test_an_answer_that_is_lost_once_is_asked_for_again(
    shop: Shop, account: int, stripe_standin: RunningStandIn, kind: str
) -> None:
    """Stripe's own `error_after` is replayed under the same key, so only then it stays unknown."""
    stripe_standin.fault(kind=kind, path=SESSIONS, method="POST")
    if kind == "error_after":
        with pytest.raises(StripeUnavailable):
            await buy(shop, account)
    else:
        await buy(shop, account)

    order = await only_order(shop)
    assert len(sessions_of(stripe_standin, order.id)) == 1


async def test_an_order_outlives_a_lost_answer_and_finds_its_session_again(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    lose_the_answer(stripe_standin, SESSIONS)
    with pytest.raises(StripeUnavailable):
        await buy(shop, account)
    lost = await only_order(shop)
    assert (lost.state, lost.session_id) == ("created", None)

    found = await checkout.find(shop, lost)

    [session] = sessions_of(stripe_standin, lost.id)
    assert found is not None
    assert (found.session_id, found.checkout_url) == (session["id"], session["url"])
    assert (await order_of(shop, lost.id)).state == "open"


async def test_a_session_is_found_by_looking_where_the_call_cannot_be_repeated(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """With other pages the same key would ask for something else, which Stripe refuses."""
    lose_the_answer(stripe_standin, SESSIONS)
    with pytest.raises(StripeUnavailable):
        await buy(shop, account)
    lost = await only_order(shop)

    found = await checkout.find(replace(shop, pages_url="https://moved.example/farebox"), lost)

    [session] = sessions_of(stripe_standin, lost.id)
    assert found is not None
    assert found.session_id == session["id"]


async def test_an_old_order_without_a_session_is_closed_and_none_is_made(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    stripe_standin.fault(kind="cut_before", path=SESSIONS, method="POST", count=3)
    with pytest.raises(StripeUnavailable):
        await buy(shop, account)
    await rows(shop, "UPDATE billing.orders SET created_at = now() - interval '26 hours'")

    assert await checkout.find(shop, await only_order(shop)) is None

    order = await only_order(shop)
    assert (order.state, order.failure) == ("canceled", "no session was made")
    assert sessions_of(stripe_standin, order.id) == []


async def test_a_customer_that_is_gone_is_replaced_once(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    first = await customers.customer_of(shop, account)
    async with sdk_for(stripe_standin) as client:
        await client.v1.customers.delete_async(first)

    started = await buy(shop, account)

    order = await order_of(shop, started.order_id)
    assert order.customer_id not in (None, first)
    assert order.customer_id == await customers.customer_of(shop, account)
    states = await rows(shop, "SELECT state, failure FROM billing.orders ORDER BY created_at")
    assert states == [
        {"state": "canceled", "failure": "resource_missing"},
        {"state": "open", "failure": None},
    ]


async def test_a_price_that_is_gone_costs_no_customer(
    shop: Shop, account: int, prices: PriceList
) -> None:
    """A missing price has the same code as a missing customer, about another parameter."""
    before = await customers.customer_of(shop, account)
    definition = {
        "name": "mirrored",
        "title": "Mirrored",
        "credit_type": "credits",
        "credits": 5,
        "scale": 0,
        "prices": {"usd": 100},
        "source": "stripe",
        "stripe_prices": {"usd": "price_gone"},
    }
    async with shop.ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO billing.packages (name, source, livemode, stripe_product, definition)"
            " VALUES ('mirrored', 'stripe', false, 'prod_1', $1)",
            definition,
        )

    with pytest.raises(StripeRefused) as refused:
        await buy(shop, account, "mirrored")

    assert refused.value.code == "resource_missing"
    assert await customers.customer_of(shop, account) == before
    assert (await only_order(shop)).state == "canceled"


async def test_many_purchases_at_once_are_as_many_orders_for_one_customer(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await asyncio.gather(*(buy(shop, account) for _ in range(8)))

    assert len({one.session_id for one in started}) == 8
    made = list(stripe_standin.world.every("checkout.session"))
    assert len({session["customer"] for session in made}) == 1


async def test_a_setup_session_takes_no_money(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await checkout.start_setup(shop, account)

    session = stripe_standin.world.get("checkout.session", started.session_id)
    assert session["mode"] == "setup"
    assert session["customer"] == await customers.customer_of(shop, account)
    assert session["metadata"] == {"farebox": shop.installation, "account": f"acc_{account}"}
    assert await rows(shop, "SELECT 1 FROM billing.orders") == []
