"""Our rows of subscriptions, through the stand-in on real stores."""

import asyncio
from typing import Any

import pytest

from billing.errors import NoSuchObject, Quarantined, StateConflict
from billing.invoicing import subscriptions
from billing.invoicing.subscriptions import Subscription
from billing.shop import Shop
from config import PriceList, load_price_list
from tests.billing.conftest import applied, new_account, order_of, rows
from tests.billing.subscribing import PRICES, settle_all, subscribe, upgrade
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


async def row(shop: Shop, subscription_id: str) -> Subscription:
    async with shop.ledger.database.connection() as connection:
        found = await subscriptions.get(connection, subscription_id, livemode=False)
    assert found is not None
    return found


async def test_a_subscription_is_known_by_one_fetch(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Its row says whose, which package, until when and what it entitles to; it gives nothing."""
    order_id, subscription = await subscribe(shop, stripe_standin, account, ordered=3)

    settled = await subscriptions.settle(shop, subscription["id"])

    known = await row(shop, subscription["id"])
    item = subscription["items"]["data"][0]
    assert (settled.outcome, settled.account_id) == ("updated", account)
    assert (known.order_id, known.account_id, known.status) == (order_id, account, "active")
    assert (known.package, known.quantity, known.period_minor) == ("monthly", 3, 6000)
    assert (known.plan_tier, known.feature_flags) == ("pro", ("export",))
    assert known.current_period_end is not None
    assert int(known.current_period_end.timestamp()) == item["current_period_end"]
    assert (await order_of(shop, order_id)).subscription_id == subscription["id"]
    assert await rows(shop, "SELECT FROM grants") == []
    assert (await subscriptions.settle(shop, subscription["id"])).outcome == "unchanged"


async def test_many_at_once_write_one_row(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Each fetches while no other does, so that an older state never comes last."""
    _, subscription = await subscribe(shop, stripe_standin, account)

    settled = await asyncio.gather(
        *(subscriptions.settle(shop, subscription["id"]) for _ in range(6))
    )

    outcomes = sorted(one.outcome for one in settled)
    assert outcomes == ["unchanged"] * 5 + ["updated"]


async def test_an_upgrade_changes_package_and_entitlement(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The new price's product defines both."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    product = await upgrade(shop, subscription)

    await subscriptions.settle(shop, subscription["id"])

    known = await row(shop, subscription["id"])
    assert (known.package, known.plan_tier, known.feature_flags) == (product.lower(), "max", ())
    assert known.period_minor == 6000


async def test_an_unknown_price_keeps_the_row_and_alerts(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The state is brought up to date all the same."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await shop.stripe.v1.prices.create_async(
        {
            "product_data": {"name": "Consulting"},
            "currency": "usd",
            "unit_amount": 100,
            "recurring": {"interval": "month"},
        }
    )
    price = list(stripe_standin.world.every("price"))[-1]["id"]
    item = subscription["items"]["data"][0]["id"]
    await shop.stripe.v1.subscriptions.update_async(
        subscription["id"], {"items": [{"id": item, "price": price}]}
    )

    await subscriptions.settle(shop, subscription["id"])

    assert (await row(shop, subscription["id"])).period_minor == 100
    (alert,) = await rows(shop, "SELECT kind, subject FROM billing.alerts")
    assert (alert["kind"], alert["subject"]) == ("unknown-price", subscription["id"])


@pytest.mark.parametrize("steps", ["past_due", "unpaid", "canceled", "paused"])
async def test_the_row_follows_stripes_status(
    shop: Shop, stripe_standin: RunningStandIn, account: int, steps: str
) -> None:
    """Whatever it is; credits that were paid for stay."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await settle_all(shop, stripe_standin)
    if steps == "paused":
        await shop.stripe.v1.subscriptions.pause_async(subscription["id"])
    else:
        stripe_standin.when_unpaid(subscription["id"], "unpaid" if steps == "unpaid" else "cancel")
        stripe_standin.change_card(subscription["id"], "4000000000000341")
        stripe_standin.renew(subscription["id"])
        stripe_standin.advance(0 if steps == "past_due" else 16 * 86400)

    await settle_all(shop, stripe_standin)

    assert (await row(shop, subscription["id"])).status == steps
    assert await applied(shop, account) == {"credits": 500}


async def test_its_end_is_told_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """However often it is settled."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await shop.stripe.v1.subscriptions.cancel_async(subscription["id"])

    outcomes = [(await subscriptions.settle(shop, subscription["id"])).outcome for _ in range(3)]

    assert outcomes == ["closed", "unchanged", "unchanged"]
    (told,) = await rows(
        shop, "SELECT payload FROM billing.notices WHERE kind = 'subscription_ended'"
    )
    assert told["payload"]["package"] == "Monthly"


async def test_its_owner_ends_it_with_the_period_or_at_once(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A repeat changes nothing; one that has ended cannot end again."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await subscriptions.settle(shop, subscription["id"])

    for _ in range(2):
        ending = await subscriptions.cancel(shop, account, subscription["id"])
    assert (ending.status, ending.cancel_at_period_end) == ("active", True)
    ended = await subscriptions.cancel(shop, account, subscription["id"], at_period_end=False)
    assert (ended.status, ended.ended_at is None) == ("canceled", False)

    with pytest.raises(StateConflict):
        await subscriptions.cancel(shop, account, subscription["id"])


async def test_nobody_else_ends_it_but_an_admin(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """To another account it is not there."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await subscriptions.settle(shop, subscription["id"])
    other = await new_account(shop, email="other@example.com")

    for whose, which in [(other, subscription["id"]), (account, "sub_missing")]:
        with pytest.raises(NoSuchObject):
            await subscriptions.cancel(shop, whose, which)
    ended = await subscriptions.cancel(shop, None, subscription["id"], at_period_end=False)

    assert ended.status == "canceled"


async def test_one_that_ended_unheard_of_is_found_ended(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Stripe has no such subscription any more; our row learns that it ended."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await subscriptions.settle(shop, subscription["id"])
    await shop.stripe.v1.subscriptions.cancel_async(subscription["id"])

    ended = await subscriptions.cancel(shop, account, subscription["id"], at_period_end=False)

    assert ended.status == "canceled"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"order_id": "ord_" + "0" * 24}, "not there"),
        ({"order_id": ""}, "not there"),
    ],
)
async def test_one_with_our_mark_and_no_order_is_for_a_person(
    shop: Shop, stripe_standin: RunningStandIn, account: int, metadata: Any, said: str
) -> None:
    """Nothing is written."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    subscription["metadata"] |= metadata

    with pytest.raises(Quarantined, match=said):
        await subscriptions.settle(shop, subscription["id"])

    assert await rows(shop, "SELECT FROM billing.subscriptions") == []


async def test_copied_metadata_do_not_take_an_order_over(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Only the subscription that began with the order's session is the order's."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    copy = await shop.stripe.v1.subscriptions.create_async(
        {
            "customer": subscription["customer"],
            "default_payment_method": subscription["default_payment_method"],
            "items": [{"price": subscription["items"]["data"][0]["price"]["id"]}],
            "metadata": subscription["metadata"],
        }
    )

    with pytest.raises(Quarantined, match="did not begin"):
        await subscriptions.settle(shop, copy.id)
    await subscriptions.settle(shop, subscription["id"])
    with pytest.raises(Quarantined, match="belongs to subscription"):
        await subscriptions.settle(shop, copy.id)


async def test_one_without_our_mark_is_ignored(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Other products share the Stripe account; and one may not be there at all."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    subscription["metadata"].clear()

    for which in (subscription["id"], "sub_missing"):
        assert (await subscriptions.settle(shop, which)).outcome == "ignored"
