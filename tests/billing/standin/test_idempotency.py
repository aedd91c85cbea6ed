import asyncio

import httpx
import pytest
import stripe

from tests.ledger.waiting import until
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_a_repeat_is_answered_as_the_first_and_makes_nothing(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    first = await sdk.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    again = await sdk.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(list(stripe_standin.world.every("customer"))) == 1


async def test_a_key_belongs_to_its_parameters_and_its_endpoint(sdk: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    await sdk.v1.customers.create_async({"name": "A"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await sdk.v1.customers.create_async({"name": "B"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await sdk.v1.products.create_async({"name": "A"}, options)


async def test_a_parameter_that_is_wrong_does_not_use_the_key_up(sdk: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.customers.create_async({"nom": "A"}, options)  # type: ignore[typeddict-unknown-key]
    assert (await sdk.v1.customers.create_async({"name": "A"}, options)).name == "A"


async def test_a_key_in_flight_is_refused(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    stripe_standin.world.faults.add("slow", "/v1/customers", seconds=0.3)
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    slow = asyncio.create_task(sdk.v1.customers.create_async({"name": "A"}, options))
    await until(lambda: list(stripe_standin.world.every("customer")))
    with pytest.raises(stripe.StripeError) as refused:
        await sdk.v1.customers.create_async({"name": "A"}, options)
    assert refused.value.http_status == 409
    assert (await slow).name == "A"


async def test_a_failure_after_the_work_is_replayed_too(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    stripe_standin.world.faults.add("error_after", "/v1/customers")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await sdk.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
        assert failed.value.http_status == 500
    assert [one["name"] for one in stripe_standin.world.every("customer")] == ["A"]


async def test_after_a_day_a_key_is_new(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    first = await sdk.v1.customers.create_async({"name": "A"}, options)
    stripe_standin.advance(24 * 3600 + 1)
    assert (await sdk.v1.customers.create_async({"name": "A"}, options)).id != first.id


async def test_keys_have_a_longest_length(stripe_standin: RunningStandIn) -> None:
    headers = {
        "Authorization": f"Bearer {stripe_standin.key}",
        "Stripe-Version": stripe.api_version,
        "Idempotency-Key": "x" * 256,
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{stripe_standin.url}/v1/customers", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "idempotency_error"
