"""billing/purchases/orders.py: an order keeps what was offered, and no state is left twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.errors import NotForSale
from billing.ids import new_id
from billing.packages import catalogue
from billing.purchases import orders
from billing.purchases.orders import Order
from billing.shop import Shop
from ledger.database import Connection

pytestmark = pytest.mark.anyio

SOON = datetime.now(UTC) + timedelta(days=1)


async def made(shop: Shop, connection: Connection, account: int, **fields: Any) -> Order:
    values = {
        "order_id": new_id("ord", shop.random_bytes),
        "account_id": account,
        "livemode": False,
        "kind": "checkout",
        "offer": await catalogue.offer(shop, connection, "business"),
        "currency": "usd",
        "quantity": 2,
    }
    return await orders.create(connection, **values | fields)


async def test_an_order_comes_back_as_it_was_made(shop: Shop, account: int) -> None:
    async with shop.ledger.database.connection() as connection:
        order = await made(shop, connection, account, save_card=True, origin="page")

        assert await orders.get(connection, order.id) == order
    assert (order.state, order.credits_each, order.unit_minor) == ("created", 1000, 8000)
    assert (order.least_quantity, order.most_quantity) == (1, 10)
    assert (order.save_card, order.origin, order.rules) == (True, "page", 1)


async def test_what_has_no_price_in_a_currency_is_not_for_sale_in_it(
    shop: Shop, account: int
) -> None:
    async with shop.ledger.database.connection() as connection:
        with pytest.raises(NotForSale):
            await made(shop, connection, account, currency="eur")


async def test_an_order_has_one_session_for_good(shop: Shop, account: int) -> None:
    async with shop.ledger.database.connection() as connection:
        order = await made(shop, connection, account)
        fields = {"session_url": "https://pay", "customer_id": "cus_1", "expires_at": SOON}

        noted = [
            await orders.opened(connection, order.id, session_id=session_id, **fields)
            for session_id in ("cs_test_1", "cs_test_1", "cs_test_2")
        ]

        found = await orders.of_session(connection, False, "cs_test_1")
        assert noted == [True, True, False]
        assert found is not None
        assert (found.id, found.state, found.customer_id) == (order.id, "open", "cus_1")
        assert await orders.of_session(connection, True, "cs_test_1") is None, "the other mode"


async def test_a_move_happens_once_and_from_the_states_named(shop: Shop, account: int) -> None:
    async with shop.ledger.database.connection() as connection:
        order = await made(shop, connection, account)

        moves = [
            await orders.move(connection, order.id, "expired", of=("open",)),
            await orders.move(connection, order.id, "quarantined", of=("created",), problem="odd"),
            await orders.move(connection, order.id, "paid", of=("quarantined",)),
            await orders.move(connection, order.id, "paid", of=("quarantined",)),
        ]

        now = await orders.get(connection, order.id)
        assert moves == [False, True, True, False]
        assert now is not None
        assert (now.state, now.problem) == ("paid", None)


async def test_links_complete_what_is_known_and_forget_nothing(shop: Shop, account: int) -> None:
    async with shop.ledger.database.connection() as connection:
        order = await made(shop, connection, account)
        await orders.link(connection, order.id, payment_intent_id="pi_1", email="a@example.com")
        await orders.link(connection, order.id, subscription_id="sub_1")
        await orders.failed_try(connection, order.id, "card_declined")

        by_intent = await orders.of_payment_intent(connection, False, "pi_1")
        by_subscription = await orders.of_subscription(connection, False, "sub_1")
        assert by_intent is not None
        assert by_intent == by_subscription
        assert (by_intent.email, by_intent.failure) == ("a@example.com", "card_declined")
