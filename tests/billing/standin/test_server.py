"""Who is let in, what is refused, and what is kept."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import stripe
from stripe._v1_services import _subservices

from billing.standin import StandIn, World
from billing.standin.endpoints import endpoints
from billing.standin.unsupported import ONLY_AT_STRIPE, PARTLY
from tests.standin import RunningStandIn, running_standin, sdk_for

pytestmark = pytest.mark.anyio


def test_a_live_key_is_refused() -> None:
    for key in ("sk_live_1", "rk_live_1", "pk_test_1", ""):
        with pytest.raises(ValueError, match="test keys"):
            StandIn(World(key=key))


def test_only_this_machine_can_be_listened_on() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(ValueError, match="only listens on this machine"):
            StandIn(host=host)


async def test_another_key_is_refused(stripe_standin: RunningStandIn) -> None:
    async with sdk_for(stripe_standin, api_key="sk_test_somebody_else") as sdk:
        with pytest.raises(stripe.AuthenticationError, match=r"sk_test_\*+else"):
            await sdk.v1.customers.list_async()


async def test_a_key_may_also_come_as_basic_credentials(stripe_standin: RunningStandIn) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Stripe-Version": stripe.api_version}
        url = f"{stripe_standin.url}/v1/customers"
        taken = await client.get(url, auth=(stripe_standin.key, ""), headers=headers)
        refused = await client.get(url, headers=headers)
    assert (taken.status_code, refused.status_code) == (200, 401)


async def test_another_version_is_refused(stripe_standin: RunningStandIn) -> None:
    async with sdk_for(stripe_standin, stripe_version="2024-06-20") as sdk:
        with pytest.raises(stripe.InvalidRequestError, match="2024-06-20"):
            await sdk.v1.customers.list_async()


async def test_an_error_names_its_request(sdk: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.customers.retrieve_async("cus_nobody")
    assert refused.value.code == "resource_missing"
    assert str(refused.value.request_id).startswith("req_")
    assert refused.value.user_message == "No such customer: 'cus_nobody'"


async def test_a_known_but_unplayed_endpoint_says_so(sdk: stripe.StripeClient) -> None:
    with pytest.raises(stripe.APIError, match="does not support GET /v1/payment_links") as refused:
        await sdk.v1.payment_links.list_async()
    assert refused.value.http_status == 501


async def test_an_unknown_path_is_not_found(stripe_standin: RunningStandIn) -> None:
    headers = {"Stripe-Version": stripe.api_version}
    async with httpx.AsyncClient(trust_env=False, auth=(stripe_standin.key, "")) as client:
        answer = await client.post(f"{stripe_standin.url}/v1/wishes", headers=headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Unrecognized request URL (POST: /v1/w")


def test_everything_the_sdk_offers_is_played_or_listed_as_not(
    stripe_standin: RunningStandIn,
) -> None:
    spelled_otherwise = {"apple_pay_domains": "apple_pay", "invoice_items": "invoiceitems"}
    offered = {spelled_otherwise.get(name, name) for name in _subservices} | {"account"}
    assert {one.path.split("/")[2] for one in endpoints()} == PARTLY
    assert offered == PARTLY | ONLY_AT_STRIPE
    assert not PARTLY & ONLY_AT_STRIPE


async def test_the_controls_need_the_key(stripe_standin: RunningStandIn) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=stripe_standin.url) as client:
        refused = await client.post("/_control/advance", json={"seconds": 5})
        headers = {"Authorization": f"Bearer {stripe_standin.key}"}
        before = stripe_standin.world.now_s()
        taken = await client.post("/_control/advance", json={"seconds": 50}, headers=headers)
        wrong = await client.post("/_control/advance", json={"minutes": 5}, headers=headers)
        unknown = await client.post("/_control/fly", json={}, headers=headers)
    assert refused.status_code == 401
    assert taken.json()["now"] >= before + 50
    assert (wrong.status_code, unknown.status_code) == (400, 400)


async def test_a_body_has_a_largest_size(stripe_standin: RunningStandIn) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{stripe_standin.url}/v1/customers"
        answer = await client.post(url, content=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 413


async def test_the_world_outlives_the_process(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    async with running_standin(state=state) as standin, sdk_for(standin) as sdk:
        options: stripe.RequestOptions = {"idempotency_key": "k"}
        customer = await sdk.v1.customers.create_async({"name": "A"}, options)
        standin.advance(1_000)
        at = standin.world.now_s()
    async with running_standin(state=state) as standin, sdk_for(standin) as sdk:
        assert (await sdk.v1.customers.create_async({"name": "A"}, options)).id == customer.id
        assert standin.world.now_s() >= at
        assert [event["type"] for event in standin.events()] == ["customer.created"]


def test_run_by_itself_it_says_where_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "billing.standin", "--state", str(tmp_path / "s.json")]
    command += ["--webhook", "http://127.0.0.1:9/webhook"]
    secrets = []
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            told = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert told["url"].startswith("http://127.0.0.1:")
        secrets.append(told["webhook_secrets"]["http://127.0.0.1:9/webhook"])
    assert secrets[0] == secrets[1]


async def test_after_a_restart_it_is_under_the_same_address(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    customer = await sdk.v1.customers.create_async({"name": "A"})
    await stripe_standin.restart()
    async with sdk_for(stripe_standin) as again:
        assert (await again.v1.customers.retrieve_async(customer.id)).name == "A"
