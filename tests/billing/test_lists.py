"""billing/lists.py: pages that skip and repeat nothing, of one mode only."""

import pytest

from billing import lists
from billing.errors import NoSuchObject, StateConflict
from billing.shop import Shop
from tests.billing.conftest import buy, rows
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_orders_are_paged_newest_first_in_their_own_mode(shop: Shop, account: int) -> None:
    made = [(await buy(shop, account)).order_id for _ in range(3)]

    async with shop.ledger.database.connection() as connection:
        first = await lists.orders(connection, livemode=False, account_id=account, limit=2)
        rest = await lists.orders(connection, livemode=False, before=first[-1].id)
        live = await lists.orders(connection, livemode=True)

    assert [line.id for line in [*first, *rest]] == made[::-1]
    assert live == []


async def test_an_order_of_the_other_mode_is_not_there(shop: Shop, account: int) -> None:
    made = await buy(shop, account)
    async with shop.ledger.database.connection() as connection:
        assert (await lists.order(connection, made.order_id, livemode=False)).unit_minor == 1000
        with pytest.raises(NoSuchObject):
            await lists.order(connection, made.order_id, livemode=True)


async def test_a_payment_says_what_it_gave_and_what_was_taken_back(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    from billing.purchases import sessions
    from billing.reversing import money_back

    made = await buy(shop, account)
    stripe_standin.pay(made.session_id)
    await sessions.settle(shop, made.session_id)
    asked = await money_back.refund(shop, made.order_id, 400, actor="test")

    async with shop.ledger.database.connection() as connection:
        [line] = await lists.payments(connection, livemode=False, order_id=made.order_id)
        refund = await lists.refund(connection, asked.id, livemode=False)
        of_order = await lists.refunds_of_order(connection, made.order_id, livemode=False)
        with pytest.raises(NoSuchObject):
            await lists.refund(connection, asked.id, livemode=True)

    assert (line.credits, line.clawed, line.refunded_minor) == (100, 40, 400)
    assert (refund.order_id, refund.amount_minor, refund.currency) == (made.order_id, 400, "usd")
    assert of_order == [refund]


async def test_a_subscription_that_is_not_there_is_not_there(shop: Shop) -> None:
    async with shop.ledger.database.connection() as connection:
        with pytest.raises(NoSuchObject):
            await lists.subscription(connection, "sub_1", livemode=False)
        assert await lists.subscription_counts(connection, livemode=False) == {}


async def test_only_what_was_given_up_is_sent_again(shop: Shop, account: int) -> None:
    from billing.telling import notices

    async with shop.ledger.database.transaction() as connection:
        await notices.tell(connection, "refund", account_id=account, key="k", payload={})
    async with shop.ledger.database.connection() as connection:
        ends = await lists.notices(connection, account_id=account)
        notice = ends[0].id
        with pytest.raises(StateConflict):
            await lists.retry_notice(connection, notice, actor="ann")
        await connection.execute(
            "UPDATE billing.notice_deliveries SET state = 'dead', attempts = 20"
            " WHERE channel = 'mail'"
        )
        dead = await lists.notices(connection, state="dead")
        again = await lists.retry_notice(connection, notice, actor="ann")

    assert [end.channel for end in ends] == ["mail", "webhook"]
    assert [(end.id, end.channel) for end in dead] == [(notice, "mail")]
    assert again == ["mail"]
    found = await rows(shop, "SELECT actor, target FROM audit WHERE action = 'notice.retry'")
    assert found == [{"actor": "ann", "target": f"notice {notice}"}]
