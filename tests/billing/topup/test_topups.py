"""Automatic top-up: one charge where one is due, and none anywhere else."""

import asyncio
from dataclasses import replace

import pytest

from billing.customer import cards
from billing.errors import Quarantined
from billing.purchases import sessions
from billing.shop import Shop
from billing.topup import open_checkouts, topups
from config import PriceList, load_price_list
from ledger import accounts
from ledger.controls import Clawback, Freeze, Grant, add
from tests.billing.conftest import PRICES, applied, buy, new_account, order_of
from tests.billing.topping import (
    attempts,
    charged,
    execute,
    save_card,
    settings_of,
    switch_on,
    told,
)
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

CREDITS = 1


@pytest.fixture
async def account(shop: Shop, stripe_standin: RunningStandIn) -> int:
    """Without credits, with a card, and automatic top-up below 20."""
    account = await new_account(shop)
    await save_card(shop, stripe_standin, account)
    await switch_on(shop, account)
    return account


async def order_credits(shop: Shop, account: int, control: Grant | Clawback | Freeze) -> None:
    async with shop.ledger.database.transaction() as connection:
        await add(connection, account, control, "test", None, "test")


async def test_an_account_below_its_threshold_is_charged_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    assert await topups.scan(shop) == 1

    assert await applied(shop, account) == {"credits": 100}
    assert charged(stripe_standin) == [1000]
    assert await topups.scan(shop) == 0
    [attempt] = await attempts(shop)
    assert attempt["state"] == "succeeded"
    assert (await order_of(shop, attempt["order_id"])).state == "paid"
    [notice] = await told(shop, "purchase")
    assert (notice["credits"], notice["paid_minor"]) == (100, 1000)


async def test_a_grant_on_its_way_counts_as_there(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """What was just bought is not posted yet: the pool in Postgres still says nothing."""
    await topups.scan(shop)
    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == [1000]


async def test_an_account_above_its_threshold_is_left_alone(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await order_credits(shop, account, Grant(CREDITS, 20))
    await applied(shop, account)

    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == []


async def test_credits_for_some_routes_only_are_none_of_the_threshold(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await order_credits(shop, account, Grant(CREDITS, 500, routes=["/*"]))
    assert await topups.scan(shop) == 1  # also while they are on their way
    await applied(shop, account)

    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == [1000]


async def test_a_package_that_became_one_for_some_routes_is_not_bought_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    limited = PRICES.replace("name: Starter,", "name: Starter, routes: [/*],")
    shop = replace(shop, prices=lambda: load_price_list(limited, environ={}))

    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == []


async def test_an_emptied_redis_charges_nobody(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A store of balances that comes back empty once made a provider charge everybody."""
    await order_credits(shop, account, Grant(CREDITS, 500))
    await applied(shop, account)
    link = await shop.ledger._connect()
    names = await link.call("KEYS", f"{shop.ledger.options.namespace}*")
    await link.call("DEL", *names)
    link.close()

    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == []


async def test_twenty_scans_at_once_make_one_charge(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await asyncio.gather(*(topups.scan(shop) for _ in range(20)))

    assert sum(started) == 1
    assert charged(stripe_standin) == [1000]
    assert len(await attempts(shop)) == 1
    assert await applied(shop, account) == {"credits": 100}


async def test_nobody_is_charged_who_has_not_said_yes(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    for change in ("enabled = false", "paused = 'why'", "consented_at = NULL"):
        await switch_on(shop, account)
        await execute(shop, f"UPDATE billing.topup_settings SET {change}")
        assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == []


async def test_a_frozen_account_is_not_charged(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    async with shop.ledger.database.connection() as connection:
        await accounts.freeze(connection, account, frozen=True, actor="test", reason="disputed")
    await applied(shop, account)
    assert await topups.scan(shop) == 0


async def test_the_limit_for_a_day_holds_and_is_said_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(shop, account, most_count_day=1, threshold=1_000, most_minor_month=90_000)
    assert await topups.scan(shop) == 1
    assert [await topups.scan(shop) for _ in range(3)] == [0, 0, 0]

    assert charged(stripe_standin) == [1000]
    assert (await settings_of(shop, account)).rest_until is not None
    [notice] = await told(shop, "top_up_paused")
    assert "for a day" in notice["reason"]


async def test_the_limit_for_a_month_holds(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(shop, account, most_minor_month=2_999, threshold=1_000)
    for _ in range(5):
        await topups.scan(shop)

    assert charged(stripe_standin) == [1000, 1000]
    [notice] = await told(shop, "top_up_paused")
    assert "29.99 USD" in notice["reason"]


async def test_a_new_month_begins_at_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(shop, account, most_minor_month=1_000, threshold=1_000)
    await topups.scan(shop)
    await execute(
        shop, "UPDATE billing.topup_attempts SET created_at = created_at - interval '1 month'"
    )
    assert await topups.scan(shop) == 1


async def test_debt_pauses_it(shop: Shop, stripe_standin: RunningStandIn, account: int) -> None:
    await order_credits(shop, account, Clawback(CREDITS, 30))
    await applied(shop, account)

    assert await topups.scan(shop) == 0

    assert charged(stripe_standin) == []
    assert "owed" in ((await settings_of(shop, account)).paused or "")
    assert len(await told(shop, "top_up_paused")) == 1


async def test_another_price_than_agreed_pauses_it(
    shop: Shop, prices: PriceList, stripe_standin: RunningStandIn, account: int
) -> None:
    dearer = replace(prices.packages["starter"], price={"usd": 1001})
    changed = replace(prices, packages={**prices.packages, "starter": dearer})

    assert await topups.scan(replace(shop, prices=lambda: changed)) == 0

    assert charged(stripe_standin) == []
    assert "price" in ((await settings_of(shop, account)).paused or "")


async def test_a_package_that_is_gone_pauses_it(
    shop: Shop, prices: PriceList, stripe_standin: RunningStandIn, account: int
) -> None:
    less = replace(prices, packages={"business": prices.packages["business"]})
    assert await topups.scan(replace(shop, prices=lambda: less)) == 0
    assert "not for sale" in ((await settings_of(shop, account)).paused or "")


async def test_a_removed_card_switches_it_off(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    [card] = await cards.listed(shop, account)
    await cards.detach(shop, account, card.id)

    assert await topups.scan(shop) == 0
    assert not (await settings_of(shop, account)).enabled


async def test_an_open_checkout_of_the_same_package_is_closed_first(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Else the buyer could still pay on the page what the card was just charged for."""
    started = await buy(shop, account)

    assert await topups.scan(shop) == 1

    assert stripe_standin.world.objects[started.session_id]["status"] == "expired"
    assert (await order_of(shop, started.order_id)).state == "expired"
    assert charged(stripe_standin) == [1000]


async def test_a_checkout_is_left_alone_where_nothing_is_due(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await order_credits(shop, account, Grant(CREDITS, 500))
    started = await buy(shop, account)

    assert await topups.scan(shop) == 0
    assert stripe_standin.world.objects[started.session_id]["status"] == "open"


async def test_a_checkout_that_was_just_paid_makes_the_charge_needless(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Its webhook has not come yet; looking at it first finds the money."""
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    assert await topups.scan(shop) == 0

    assert charged(stripe_standin) == [1000]
    assert await applied(shop, account) == {"credits": 100}


async def test_money_under_way_by_a_slow_method_counts_as_there(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay_slowly(started.session_id)
    await sessions.settle(shop, started.session_id)

    assert await topups.scan(shop) == 0
    assert charged(stripe_standin) == []


async def test_an_order_whose_session_is_just_being_made_is_waited_for(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account)
    await execute(
        shop,
        "UPDATE billing.orders SET state = 'created', session_id = NULL WHERE id = $1",
        started.order_id,
    )
    assert await topups.scan(shop) == 0

    await execute(shop, "UPDATE billing.orders SET created_at = created_at - interval '1 hour'")
    assert await topups.scan(shop) == 1


async def test_one_account_that_cannot_be_looked_at_stops_no_other(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await buy(shop, account)
    other = await new_account(shop, email="other@example.com")
    await save_card(shop, stripe_standin, other)
    await switch_on(shop, other)
    stripe_standin.fault(kind="error_before", path="/v1/checkout/sessions/*", method="GET", count=3)

    assert await topups.scan(shop) == 1
    assert await applied(shop, other) == {"credits": 100}


async def test_several_of_a_package_are_bought_at_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    await switch_on(
        shop, account, package="business", quantity=3, most_minor_month=90_000, threshold=100
    )
    await topups.scan(shop)

    assert charged(stripe_standin) == [24_000]
    assert await applied(shop, account) == {"credits": 3_000}


async def test_an_account_that_meets_a_fault_of_ours_holds_up_no_other(
    shop: Shop, stripe_standin: RunningStandIn, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await new_account(shop)
    await save_card(shop, stripe_standin, other)
    await switch_on(shop, other)
    closed = open_checkouts.closed

    async def faulty(shop: Shop, account_id: int, package: str) -> bool:
        if account_id == account:
            raise KeyError(package)
        return await closed(shop, account_id, package)

    monkeypatch.setattr("billing.topup.open_checkouts.closed", faulty)

    assert await topups.scan(shop) == 1
    assert await applied(shop, other) == {"credits": 100}


async def test_a_checkout_that_stripe_has_lost_stands_in_nobodys_way(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    started = await buy(shop, account)
    del stripe_standin.world.objects[started.session_id]

    assert await topups.scan(shop) == 1
    assert charged(stripe_standin) == [1000]


async def test_an_account_in_trouble_is_not_looked_at_in_every_scan(
    shop: Shop, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan is made every other second, and each look asks Stripe."""
    looked: list[int] = []

    async def odd(shop: Shop, account_id: int, package: str) -> bool:
        looked.append(account_id)
        raise Quarantined("the session does not fit its order")

    monkeypatch.setattr("billing.topup.open_checkouts.closed", odd)
    for _ in range(3):
        assert await topups.scan(shop) == 0
    assert looked == [account]

    rest = (await settings_of(shop, account)).rest_until
    await execute(shop, "UPDATE billing.topup_settings SET rest_until = now()")
    await topups.scan(shop)

    assert rest is not None
    assert looked == [account, account]
