"""billing/customer/customers.py: one customer per account, whatever happens on the way."""

import asyncio

import pytest

from billing.customer import customers
from billing.errors import StripeUnavailable
from billing.shop import Shop
from tests.billing.conftest import lose_the_answer, new_account, rows
from tests.standin import RunningStandIn, sdk_for

pytestmark = pytest.mark.anyio


def made(standin: RunningStandIn) -> list[dict]:
    return [one for one in standin.world.every("customer") if not one.get("deleted")]


async def delete(standin: RunningStandIn, customer: str) -> None:
    async with sdk_for(standin) as client:
        await client.v1.customers.delete_async(customer)


async def test_a_customer_is_made_once_with_the_accounts_name_and_address(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    found = [await customers.customer_of(shop, account) for _ in range(2)]

    [customer] = made(stripe_standin)
    assert found == [customer["id"]] * 2
    assert (customer["email"], customer["name"]) == ("buyer@example.com", "A Buyer")
    assert customer["metadata"] == {"farebox": shop.installation, "account": f"acc_{account}"}
    assert await customers.known(shop, account) == customer["id"]


async def test_many_at_once_make_one_customer(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    found = await asyncio.gather(*(customers.customer_of(shop, account) for _ in range(12)))

    assert len(set(found)) == 1
    assert len(made(stripe_standin)) == 1


async def test_a_lost_answer_leaves_no_second_customer(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    lose_the_answer(stripe_standin, "/v1/customers")
    with pytest.raises(StripeUnavailable):
        await customers.customer_of(shop, account)

    found = await customers.customer_of(shop, account)

    assert [one["id"] for one in made(stripe_standin)] == [found]


async def test_a_name_that_changed_after_a_lost_answer_does_not_stop_the_account(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """The key then asks for something else, and Stripe refuses it for good."""
    lose_the_answer(stripe_standin, "/v1/customers")
    with pytest.raises(StripeUnavailable):
        await customers.customer_of(shop, account)
    await rows(shop, "UPDATE accounts SET name = 'Another name'")

    found = await customers.customer_of(shop, account)

    assert found in {one["id"] for one in made(stripe_standin)}
    assert await customers.customer_of(shop, account) == found


async def test_a_customer_whose_making_was_never_answered_is_linked_by_its_event(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    lose_the_answer(stripe_standin, "/v1/customers")
    with pytest.raises(StripeUnavailable):
        await customers.customer_of(shop, account)
    [customer] = made(stripe_standin)

    settled = await customers.settle(shop, customer["id"])

    assert (settled.outcome, settled.account_id) == ("updated", account)
    assert await customers.known(shop, account) == customer["id"]


async def test_a_customer_deleted_at_stripe_is_unlinked_and_charged_no_more(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    customer = await customers.customer_of(shop, account)
    await rows(
        shop,
        "INSERT INTO billing.cards (id, livemode, account_id, customer_id, kind, fetched_at)"
        " VALUES ('pm_1', false, $1, $2, 'card', now())",
        account,
        customer,
    )
    await rows(
        shop,
        "INSERT INTO billing.topup_settings (account_id, livemode, enabled, package, currency,"
        " credit_type_id, amount_minor, threshold, most_minor_month, most_count_day)"
        " VALUES ($1, false, true, 'starter', 'usd', 1, 1000, 10, 5000, 1)",
        account,
    )
    await delete(stripe_standin, customer)

    first = await customers.settle(shop, customer)
    again = await customers.settle(shop, customer)

    assert (first.outcome, first.account_id, again.outcome) == ("updated", account, "ignored")
    assert await customers.known(shop, account) is None
    [card] = await rows(shop, "SELECT detached_at FROM billing.cards")
    [top_up] = await rows(shop, "SELECT enabled FROM billing.topup_settings")
    [told] = await rows(shop, "SELECT account_id, kind FROM billing.notices")
    assert card["detached_at"] is not None
    assert top_up["enabled"] is False
    assert told == {"account_id": account, "kind": "top_up_paused"}
    assert await customers.customer_of(shop, account) != customer


async def test_a_card_removed_while_its_customer_is_forgotten_holds_up_neither(
    shop: Shop, account: int
) -> None:
    """Both lock the card's row first and the customer's afterwards."""
    customer = await customers.customer_of(shop, account)
    await rows(
        shop,
        "INSERT INTO billing.cards (id, livemode, account_id, customer_id, kind, fetched_at)"
        " VALUES ('pm_1', false, $1, $2, 'card', '2020-01-01')",
        account,
        customer,
    )
    async with shop.ledger.database.connection() as other, other.transaction():
        await other.execute("UPDATE billing.cards SET fetched_at = now()")
        forgetting = asyncio.create_task(customers.forget(shop, customer))
        await until_somebody_waits(shop)

        await other.execute("UPDATE billing.customers SET default_card = NULL")

    assert await forgetting == account


async def until_somebody_waits(shop: Shop) -> None:
    """Until a statement of somebody's waits for another's lock."""
    waiting = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while not await rows(shop, waiting):  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.01)


async def test_a_customer_that_is_there_changes_nothing(shop: Shop, account: int) -> None:
    settled = await customers.settle(shop, await customers.customer_of(shop, account))

    assert settled.outcome == "unchanged"


async def test_somebody_elses_customer_is_left_alone(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    async with sdk_for(stripe_standin) as client:
        foreign = await client.v1.customers.create_async({"name": "Other product"})

    assert (await customers.settle(shop, foreign.id)).outcome == "ignored"
    assert (await customers.settle(shop, "cus_of_nobody")).outcome == "ignored"


async def test_an_account_without_address_can_buy_too(shop: Shop) -> None:
    assert await customers.customer_of(shop, await new_account(shop, email="", name=""))
