"""Events that arrive: signed for real, again and again until taken, and badly on demand."""

import asyncio
import json

import pytest
import stripe

from billing.standin.resources import coupons, customers, promotion_codes
from tests.billing.standin.receiver import receiver
from tests.ledger.waiting import until
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_an_event_arrives_as_the_sdk_expects_it(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        secret = stripe_standin.register_webhook(taken.url, ["customer.created"])
        customer = customers.make(stripe_standin.world, email="a@example.com")
        await stripe_standin.delivered()
    event = taken.event(secret)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer["id"])
    assert event.api_version == stripe.api_version
    assert event.livemode is False
    assert stripe_standin.events()[-1]["pending_webhooks"] == 0


async def test_only_what_an_endpoint_is_enabled_for_is_sent(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    async with receiver() as taken:
        made = await sdk.v1.webhook_endpoints.create_async(
            {"url": taken.url, "enabled_events": ["customer.deleted"]}
        )
        customer = customers.make(stripe_standin.world)
        customers.remove(stripe_standin.world, customer["id"])
        await stripe_standin.delivered()
        assert taken.event(str(made.secret)).type == "customer.deleted"
        await sdk.v1.webhook_endpoints.update_async(made.id, {"disabled": True})
        customers.remove(stripe_standin.world, customers.make(stripe_standin.world)["id"])
        await stripe_standin.delivered()
    assert len(taken.bodies) == 1


async def test_an_event_that_is_not_taken_comes_again(stripe_standin: RunningStandIn) -> None:
    async with receiver(500, 503) as taken:
        stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        assert len(taken.bodies) == 1
        assert stripe_standin.events()[-1]["pending_webhooks"] == 1
        stripe_standin.advance(300)
        await stripe_standin.delivered()
        stripe_standin.deliver_now()
        await stripe_standin.delivered()
    assert len(taken.bodies) == 3
    assert json.loads(taken.bodies[0])["id"] == json.loads(taken.bodies[2])["id"]
    assert stripe_standin.events()[-1]["pending_webhooks"] == 0


async def test_after_three_days_it_is_given_up(stripe_standin: RunningStandIn) -> None:
    async with receiver(*[500] * 20) as taken:
        stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        for _ in range(12):
            await stripe_standin.delivered()
            stripe_standin.deliver_now()
    assert len(taken.bodies) == 1 + len(stripe_standin.world.post.retry_s)
    assert stripe_standin.deliveries()["log"][-1]["state"] == "failed"


async def test_nobody_listening_counts_as_a_failed_try(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        pass
    stripe_standin.register_webhook(taken.url)
    customers.make(stripe_standin.world)
    await stripe_standin.delivered()
    assert stripe_standin.deliveries()["log"][-1]["last_status"] == 0


async def test_a_dropped_event_never_arrives_and_can_be_listed(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world, name="taken")
        stripe_standin.deliver_badly(drop=1.0)
        customers.make(stripe_standin.world, name="lost")
        await stripe_standin.delivered()
    assert len(taken.bodies) == 1
    lost = await sdk.v1.events.list_async({"delivery_success": False})
    assert [event.data.object["name"] for event in lost.data] == ["lost"]


async def test_a_deleted_endpoint_is_not_tried_again(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    async with receiver(500) as taken:
        stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        endpoint = next(stripe_standin.world.every("webhook_endpoint"))
        await sdk.v1.webhook_endpoints.delete_async(endpoint["id"])
        stripe_standin.deliver_now()
        await stripe_standin.delivered()
    assert len(taken.bodies) == 1
    assert stripe_standin.deliveries()["waiting"] == []


async def test_a_duplicate_is_the_same_event_again(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        stripe_standin.deliver_badly(duplicate=1.0)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        stripe_standin.deliver_now()
        await stripe_standin.delivered()
    assert len({json.loads(body)["id"] for body in taken.bodies}) == 1
    assert len(taken.bodies) == 2


async def test_a_twin_is_sent_at_the_same_moment(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        taken.gate = asyncio.Event()
        stripe_standin.register_webhook(taken.url)
        stripe_standin.deliver_badly(twin=1.0)
        customers.make(stripe_standin.world)
        await until(lambda: taken.during == 2)
        taken.gate.set()
        await stripe_standin.delivered()
    assert len(taken.bodies) == 2


async def test_a_delayed_event_waits_for_its_time(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        stripe_standin.plan(seed=3, chances={"delay": 1.0}, delay_s=3_600)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        assert taken.bodies == []
        stripe_standin.advance(3_600)
        await stripe_standin.delivered()
    assert len(taken.bodies) == 1


async def test_only_the_types_of_a_plan_have_mishaps(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        stripe_standin.plan(chances={"drop": 1.0}, only=["customer.deleted"])
        customer = customers.make(stripe_standin.world)
        customers.remove(stripe_standin.world, customer["id"])
        await stripe_standin.delivered()
    assert taken.types == ["customer.created"]


@pytest.mark.parametrize("how", ["wrong_secret", "stale"])
async def test_a_spoiled_signature_does_not_verify(
    stripe_standin: RunningStandIn, how: str
) -> None:
    async with receiver() as taken:
        secret = stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        stripe_standin.forge(event=stripe_standin.events()[-1]["id"], how=how)
        await stripe_standin.delivered()
    taken.event(secret, 0)
    with pytest.raises(stripe.SignatureVerificationError):
        taken.event(secret, 1)


async def test_other_spoiled_events_are_signed_and_wrong_in_one_way(
    stripe_standin: RunningStandIn,
) -> None:
    async with receiver() as taken:
        secret = stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        for how in ("wrong_mode", "unknown_type", "unknown_customer", "oversized", "future"):
            stripe_standin.forge(event=stripe_standin.events()[-1]["id"], how=how)
            await stripe_standin.delivered()
    good, mode, kind, customer, size, _ = [taken.event(secret, number) for number in range(6)]
    assert mode.livemode is True
    assert mode.id == good.id
    assert kind.type == "moon.landed"
    assert stripe_standin.world.find("customer", customer.data.object["id"]) is None
    assert len(taken.bodies[4]) > 1 << 20
    assert size.id == good.id


async def test_during_a_roll_both_secrets_sign(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        old = stripe_standin.register_webhook(taken.url)
        endpoint = next(stripe_standin.world.every("webhook_endpoint"))["id"]
        new = stripe_standin.roll_secret(endpoint=endpoint, old_for_s=3_600)["secret"]
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        stripe_standin.advance(3_601)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
    assert taken.event(old, 0).id == taken.event(new, 0).id
    assert taken.event(new, 1)
    with pytest.raises(stripe.SignatureVerificationError):
        taken.event(old, 1)


async def test_a_thin_event_only_names_its_object(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        made = stripe_standin.thin_endpoint(url=taken.url, enabled_events=["v1.customer.created"])
        customer = customers.make(stripe_standin.world, email="a@example.com")
        await stripe_standin.delivered()
    client = stripe.StripeClient(stripe_standin.key, http_client=stripe.HTTPXClient())
    note = client.parse_event_notification(taken.bodies[0], taken.signatures[0], made["secret"])
    assert note.type == "v1.customer.created"
    assert note.related_object.id == customer["id"]
    assert note.related_object.url == f"/v1/customers/{customer['id']}"
    assert b"a@example.com" not in taken.bodies[0]


async def test_redelivery_sends_an_event_once_more(stripe_standin: RunningStandIn) -> None:
    async with receiver() as taken:
        stripe_standin.register_webhook(taken.url)
        customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        assert stripe_standin.resend(event=stripe_standin.events()[-1]["id"]) == {"sent": 1}
        await stripe_standin.delivered()
    assert len(taken.bodies) == 2


async def test_an_endpoint_of_an_older_version_gets_an_older_shape(
    stripe_standin: RunningStandIn,
) -> None:
    world = stripe_standin.world
    coupons.create(world, {"id": "half", "percent_off": 50.0}, {})
    async with receiver() as taken:
        secret = stripe_standin.register_webhook(
            taken.url, ["promotion_code.created"], api_version="2024-06-20"
        )
        promotion_codes.create(world, {"promotion": {"type": "coupon", "coupon": "half"}}, {})
        await stripe_standin.delivered()
    event = taken.event(secret)
    assert event.api_version == "2024-06-20"
    assert event.data.object["coupon"]["percent_off"] == 50
