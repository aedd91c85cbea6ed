"""The customer portal: opened for those who have a customer, and for nobody else."""

import pytest

from billing.customer import customers, portal
from billing.errors import StateConflict
from billing.shop import Shop
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_each_request_opens_a_session_that_leads_back_to_us(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    customer = await customers.customer_of(shop, account)

    first, second = await portal.open(shop, account), await portal.open(shop, account)

    assert first != second
    made = list(stripe_standin.world.every("billing_portal.session"))
    assert {session["customer"] for session in made} == {customer}
    assert {session["return_url"] for session in made} == {f"{shop.pages_url}/"}


async def test_who_never_bought_has_nothing_to_manage(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    with pytest.raises(StateConflict):
        await portal.open(shop, account)
    assert list(stripe_standin.world.every("customer")) == []


async def test_a_customer_that_is_gone_is_said_and_not_made_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A new one's portal would be empty, and hide that the old one is gone."""
    customer = await customers.customer_of(shop, account)
    await shop.stripe.v1.customers.delete_async(customer)

    for _ in range(2):
        with pytest.raises(StateConflict, match="none any more"):
            await portal.open(shop, account)
    assert await customers.known(shop, account) is None
