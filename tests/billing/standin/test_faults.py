import asyncio

import pytest
import stripe

from tests.ledger.waiting import until
from tests.standin import RunningStandIn, sdk_for

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("kind", "error", "made"),
    [
        ("error_before", stripe.APIError, 0),
        ("error_after", stripe.APIError, 1),
        ("cut_before", stripe.APIConnectionError, 0),
        ("cut_after", stripe.APIConnectionError, 1),
        ("rate_limited", stripe.RateLimitError, 0),
    ],
)
async def test_each_fault_fails_as_named_and_once(
    stripe_standin: RunningStandIn,
    sdk: stripe.StripeClient,
    kind: str,
    error: type[Exception],
    made: int,
) -> None:
    stripe_standin.fault(kind=kind, path="/v1/customers", method="POST")
    with pytest.raises(error):
        await sdk.v1.customers.create_async({"name": "A"})
    assert len(list(stripe_standin.world.every("customer"))) == made
    assert (await sdk.v1.customers.create_async({"name": "B"})).name == "B"


@pytest.mark.parametrize("kind", ["error_before", "cut_before", "cut_after"])
async def test_the_sdks_own_retries_get_through_with_one_object(
    stripe_standin: RunningStandIn, kind: str
) -> None:
    stripe_standin.world.faults.add(kind)
    async with sdk_for(stripe_standin, max_network_retries=2) as sdk:
        await sdk.v1.customers.create_async({"name": "A"})
    assert len(list(stripe_standin.world.every("customer"))) == 1


async def test_too_many_requests_are_only_retried_when_told_to(
    stripe_standin: RunningStandIn,
) -> None:
    async with sdk_for(stripe_standin, max_network_retries=2) as sdk:
        stripe_standin.fault(kind="rate_limited", should_retry=True)
        await sdk.v1.customers.list_async()
        stripe_standin.fault(kind="rate_limited")
        with pytest.raises(stripe.RateLimitError):
            await sdk.v1.customers.list_async()


async def test_a_slow_answer_has_done_its_work_before(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    stripe_standin.world.faults.add("slow", seconds=30)
    asking = asyncio.create_task(sdk.v1.customers.create_async({"name": "A"}))
    await until(lambda: list(stripe_standin.world.every("customer")))
    assert not asking.done()
    asking.cancel()


async def test_a_fault_can_skip_requests_and_hit_some_of_many(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    stripe_standin.world.faults.add("error_before", "/v1/customers*", skip=1, count=1)
    stripe_standin.world.faults.add("error_before", "/v1/products", chance=0.0)
    await sdk.v1.customers.list_async()
    with pytest.raises(stripe.APIError):
        await sdk.v1.customers.list_async()
    await sdk.v1.products.list_async()
    assert len(stripe_standin.world.faults.waiting()) == 1
    stripe_standin.heal()
    assert stripe_standin.world.faults.waiting() == []
