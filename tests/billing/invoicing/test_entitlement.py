"""What subscriptions entitle to becomes the account's plan, and goes with them."""

import asyncio

import pytest

from billing.invoicing import entitlement, subscriptions
from billing.shop import Shop
from config import PriceList, load_price_list
from ledger import accounts, plans
from ledger.account_record import AccountRecord, account_field
from ledger.plans import NOTHING, OnPlan
from tests.billing.conftest import applied
from tests.billing.subscribing import PRICES, subscribe, upgrade
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


async def standing(shop: Shop, account: int) -> plans.Standing:
    async with shop.ledger.database.connection() as connection:
        return await plans.standing(connection, account)


async def number_in_redis(shop: Shop, account: int) -> int:
    """The plan that holds are checked against."""
    await applied(shop, account)
    ledger = shop.ledger
    keys = ledger.shard.keys.balances(ledger.shard.epoch)
    link = await ledger._reading.link()
    return AccountRecord.unpack(await link.call("HGET", keys, account_field(account))).plan


async def test_the_products_plan_counts_while_the_subscription_lasts(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Of the package, then of the product it was changed to; at its end the account's own."""
    async with shop.ledger.database.connection() as connection:
        await accounts.set_plan(connection, account, "own", actor="test")
    _, subscription = await subscribe(shop, stripe_standin, account)
    assert (await standing(shop, account)).on == OnPlan("own")

    await subscriptions.settle(shop, subscription["id"])
    first = await standing(shop, account)
    pro = await number_in_redis(shop, account)
    await upgrade(shop, subscription)
    await subscriptions.settle(shop, subscription["id"])
    second = await standing(shop, account)
    await shop.stripe.v1.subscriptions.cancel_async(subscription["id"])
    await subscriptions.settle(shop, subscription["id"])

    assert first.on == OnPlan("pro", ("export",))
    assert await plans.PlanDirectory(shop.ledger.database).find(pro) == first.on
    assert (second.on, second.own) == (OnPlan("max"), "own")
    assert (await standing(shop, account)).on == OnPlan("own")


async def test_settling_again_orders_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    _, subscription = await subscribe(shop, stripe_standin, account)
    for _ in range(3):
        await subscriptions.settle(shop, subscription["id"])

    async with shop.ledger.database.connection() as connection:
        orders = await connection.fetch("SELECT actor FROM controls WHERE kind = 'p'")
    assert [row["actor"] for row in orders] == ["stripe"]


async def test_of_two_subscriptions_the_later_names_the_plan_and_both_bring_features(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Also where both are settled at once; and the other one's is left when one ends."""
    _, one = await subscribe(shop, stripe_standin, account)
    _, two = await subscribe(shop, stripe_standin, account)
    await upgrade(shop, two)
    two["created"] = one["created"] + 1
    await asyncio.gather(
        *(subscriptions.settle(shop, which["id"]) for which in (one, two) for _ in range(3))
    )
    assert (await standing(shop, account)).on == OnPlan("max", ("export",))

    await shop.stripe.v1.subscriptions.cancel_async(two["id"])
    await subscriptions.settle(shop, two["id"])
    assert (await standing(shop, account)).on == OnPlan("pro", ("export",))
    await shop.stripe.v1.subscriptions.cancel_async(one["id"])
    await subscriptions.settle(shop, one["id"])

    assert (await standing(shop, account)).on == NOTHING
    assert await number_in_redis(shop, account) == 0


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("active", True),
        ("trialing", True),
        ("past_due", True),
        ("unpaid", False),
        ("paused", False),
    ],
)
async def test_what_nobody_pays_for_entitles_to_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int, status: str, counts: bool
) -> None:
    """A subscription that is past due counts for as long as Stripe tries again."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    subscription["status"] = status

    await subscriptions.settle(shop, subscription["id"])

    assert (await standing(shop, account)).on == (OnPlan("pro", ("export",)) if counts else NOTHING)


async def test_who_comes_later_sees_what_the_other_has_written(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Two subscriptions change in transactions that overlap: neither's entitlement is lost."""
    for _ in range(2):
        _, subscription = await subscribe(shop, stripe_standin, account)
        await subscriptions.settle(shop, subscription["id"])
    ended = "UPDATE billing.subscriptions SET status = 'canceled', feature_flags = jsonb_build_array(id)"
    begun = "UPDATE billing.subscriptions SET status = 'active' WHERE id = $1"
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with shop.ledger.database.connection() as connection:
        await connection.execute(ended)
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM billing.subscriptions")]
        await entitlement.follow(connection, account, livemode=False)

    async def begin(which: str) -> None:
        async with shop.ledger.database.transaction() as connection:
            await connection.execute(begun, which)
            await entitlement.follow(connection, account, livemode=False)

    async with shop.ledger.database.transaction() as connection:
        await connection.execute(begun, ids[0])
        await entitlement.follow(connection, account, livemode=False)
        other = asyncio.create_task(begin(ids[1]))
        async with shop.ledger.database.connection() as watching, asyncio.timeout(10):
            while not await watching.fetchval(blocked):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    await other

    assert (await standing(shop, account)).on.features == tuple(sorted(ids))
