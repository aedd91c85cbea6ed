"""What an account may agree to about automatic top-up."""

from dataclasses import replace

import pytest

from billing.errors import NotForSale, WrongPurchase
from billing.shop import Shop
from billing.topup import topup_settings
from config import load_price_list
from tests.billing.conftest import PRICES, new_account
from tests.billing.topping import save_card, settings_of, switch_on, told
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def account(shop: Shop, stripe_standin: RunningStandIn) -> int:
    account = await new_account(shop)
    await save_card(shop, stripe_standin, account)
    return account


async def test_it_is_off_until_it_is_asked_for(shop: Shop, account: int) -> None:
    async with shop.ledger.database.connection() as connection:
        assert await topup_settings.get(connection, account, shop.livemode) is None


async def test_what_was_agreed_to_is_kept(shop: Shop, account: int) -> None:
    await switch_on(shop, account, package="business", quantity=2, most_minor_month=40_000)

    agreed = await settings_of(shop, account)
    assert agreed.enabled
    assert (agreed.package, agreed.quantity, agreed.currency) == ("business", 2, "usd")
    assert (agreed.amount_minor, agreed.most_minor_month) == (16_000, 40_000)
    assert agreed.consented_at is not None


WRONG: list[tuple[dict[str, object], str]] = [
    ({"consent": False}, "consent"),
    ({"package": "monthly"}, "package"),
    ({"package": "taxed"}, "package"),
    ({"quantity": 2}, "quantity"),
    ({"threshold": 0}, "threshold"),
    ({"most_minor_month": 999}, "most_minor_month"),
    ({"most_count_day": 0}, "most_count_day"),
    ({"most_count_day": 101}, "most_count_day"),
]


async def test_credits_for_some_routes_only_cannot_be_agreed_to(shop: Shop, account: int) -> None:
    limited = PRICES.replace("name: Starter,", "name: Starter, routes: [/*],")
    shop = replace(shop, prices=lambda: load_price_list(limited, environ={}))
    with pytest.raises(WrongPurchase) as refused:
        await switch_on(shop, account)
    assert refused.value.field == "package"


async def test_what_cannot_be_agreed_to_changes_nothing(shop: Shop, account: int) -> None:
    for wrong, field in WRONG:
        with pytest.raises(WrongPurchase) as refused:
            await switch_on(shop, account, **wrong)
        assert refused.value.field == field
    async with shop.ledger.database.connection() as connection:
        assert await topup_settings.get(connection, account, shop.livemode) is None


async def test_what_is_not_for_sale(shop: Shop, account: int) -> None:
    with pytest.raises(NotForSale):
        await switch_on(shop, account, package="nothing")
    with pytest.raises(NotForSale):
        await switch_on(shop, account, currency="eur")


async def test_it_needs_a_saved_card(shop: Shop) -> None:
    with pytest.raises(WrongPurchase) as refused:
        await switch_on(shop, await new_account(shop))
    assert refused.value.field == "card"


async def test_switching_it_off_by_hand_tells_nobody(shop: Shop, account: int) -> None:
    await switch_on(shop, account)
    async with shop.ledger.database.connection() as connection:
        await topup_settings.disable(connection, account, shop.livemode)

    assert not (await settings_of(shop, account)).enabled
    assert await told(shop, "top_up_paused") == []


async def test_a_pause_is_told_once(shop: Shop, account: int) -> None:
    await switch_on(shop, account)
    paused = []
    for _ in range(2):
        async with shop.ledger.database.transaction() as connection:
            paused.append(
                await topup_settings.pause(connection, account, shop.livemode, "Because.")
            )

    assert paused == [True, False]
    assert [notice["reason"] for notice in await told(shop, "top_up_paused")] == ["Because."]
