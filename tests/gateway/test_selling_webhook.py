"""gateway/consumer/webhook.py: what Stripe delivers comes in, and nothing else does."""

import json
from collections.abc import AsyncIterator

import pytest
import stripe

from gateway.metrics import exposition
from gateway.reading import MAX_BODY_BYTES
from ledger.ports import SystemClock
from tests.charging import Stores
from tests.gateway.serving import raw_client
from tests.selling import Market, selling

pytestmark = pytest.mark.anyio

PATH = "/stripe/webhook"
JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    async with selling(shared_stores) as running:
        yield running


def signed(market: Market, body: bytes, *, secret: str | None = None) -> dict[str, str]:
    """Headers as Stripe's own library makes them."""
    (known,) = market.control.gateway.billing.need().webhook_secrets
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret or known, timestamp=SystemClock().now_ms() // 1000
    )
    return {**JSON, "stripe-signature": header}


def event(event_id: str, object_id: str = "cs_test_nobodys") -> bytes:
    document = {
        "id": event_id, "object": "event", "type": "checkout.session.completed", "created": 1,
        "livemode": False, "api_version": stripe.api_version, "pending_webhooks": 1,
        "data": {"object": {"id": object_id, "object": "checkout.session"}},
    }  # fmt: skip
    return json.dumps(document).encode()


async def waiting(market: Market, event_id: str) -> list[dict[str, str]]:
    listed = await market.admin.get("/inbox", params={"status": "any", "limit": 200})
    return [one for one in listed.json()["items"] if one["event_id"] == event_id]


async def test_a_signed_event_is_stored_before_it_is_answered(market: Market) -> None:
    body = event("evt_stored")

    answer = await market.consumer.post(PATH, content=body, headers=signed(market, body))

    assert (answer.status_code, answer.json()) == (200, {"received": True})
    [item] = await waiting(market, "evt_stored")
    shown = (await market.admin.get(f"/inbox/{item['id']}")).json()
    assert shown["body"].encode() == body


async def test_an_event_delivered_again_is_stored_once(market: Market) -> None:
    body = event("evt_twice")

    for _ in range(3):
        answer = await market.consumer.post(PATH, content=body, headers=signed(market, body))
        assert answer.status_code == 200

    assert len(await waiting(market, "evt_twice")) == 1


async def test_what_stripe_did_not_sign_is_refused_and_not_stored(market: Market) -> None:
    body = event("evt_forged")
    stranger = signed(market, body, secret="whsec_of_somebody_else")

    for headers in (JSON, stranger, {**JSON, "stripe-signature": "t=1,v1=00"}):
        refused = await market.consumer.post(PATH, content=body, headers=headers)
        assert refused.status_code == 400
        assert refused.json()["type"].endswith("/webhook-signature")
        assert "whsec" not in refused.text
    assert await waiting(market, "evt_forged") == []


async def test_a_signed_body_that_is_no_event_is_refused(market: Market) -> None:
    for body in (b"[]", b"{}", b"not json"):
        refused = await market.consumer.post(PATH, content=body, headers=signed(market, body))
        assert refused.status_code == 400
        assert refused.json()["type"].endswith("/webhook-payload")


async def test_a_body_that_is_too_large_is_refused_unread(market: Market) -> None:
    head = (
        f"POST /farebox{PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    )
    async with raw_client(market.control.gateway.url) as client:
        await client.send(head.encode())
        answer = await client.head()

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(market: Market) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    refused = await market.consumer.post(PATH, content=endless(), headers=JSON)

    assert refused.status_code == 413


async def test_without_postgres_stripe_is_asked_to_come_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("connect call failed")

    body = event("evt_not_stored")
    monkeypatch.setattr("billing.events.inbox.put", away)

    refused = await market.consumer.post(PATH, content=body, headers=signed(market, body))

    assert refused.status_code == 503


async def test_deliveries_are_counted_by_what_they_were_answered(market: Market, tmp_path) -> None:
    from gateway.metrics import MetricsFile

    app = market.control.gateway.app
    await market.consumer.post(PATH, content=b"{}", headers=JSON)
    MetricsFile(
        tmp_path, app._metrics, gauges=dict, deliveries=app._control.deliveries, clock=SystemClock()
    ).flush()

    text = exposition(tmp_path, now_ms=SystemClock().now_ms())
    assert 'farebox_webhook_deliveries_total{answer="bad_signature"}' in text
    assert 'farebox_webhook_deliveries_total{answer="accepted"}' in text
