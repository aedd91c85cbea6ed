"""What Stripe delivers: committed before it is answered, once, as it came."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from billing.events.webhook import BadPayload, BadSignature, accept
from billing.shop import Shop
from ledger.errors import LedgerUnavailable
from tests.billing.inbox_rig import (
    NOW_S,
    SECRET,
    body,
    emptied,
    inbox_shop,
    open_alerts,
    rows,
    signed,
    snapshot,
    thin,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(template_copy: str) -> AsyncIterator[Shop]:
    async with inbox_shop(await emptied(template_copy)) as shop:
        yield shop


async def deliver(shop: Shop, event: dict[str, Any]) -> bool:
    raw = body(event)
    return (await accept(shop, raw, signed(raw))).new


async def test_a_delivery_is_in_the_inbox_when_it_is_answered(shop: Shop) -> None:
    assert await deliver(shop, snapshot())

    [row] = await rows(shop)
    assert (row["status"], row["origin"], row["attempts"]) == ("received", "webhook", 0)
    assert (row["object_type"], row["object_id"]) == ("checkout.session", "cs_test_1")
    assert shop.webhook_counts.snapshot()["webhook_accepted"] == 1


async def test_the_body_is_kept_byte_for_byte(shop: Shop) -> None:
    raw = body(snapshot(note="\u00fc  ")) + b"\n \n"
    await accept(shop, raw, signed(raw))

    [row] = await rows(shop)
    assert row["raw"] == raw


async def test_a_thin_event_is_taken_in_too(shop: Shop) -> None:
    await deliver(shop, thin())

    [row] = await rows(shop)
    assert (row["thin"], row["status"], row["object_id"]) == (True, "received", "cs_test_1")


async def test_a_hundred_parallel_deliveries_make_one_row(shop: Shop) -> None:
    raw = body(snapshot())

    answers = await asyncio.gather(*(accept(shop, raw, signed(raw)) for _ in range(100)))

    assert [answer.new for answer in answers].count(True) == 1
    assert len(await rows(shop)) == 1
    assert shop.webhook_counts.duplicate == 99


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (snapshot(livemode=True), "of live mode"),
        (snapshot(type="payout.paid"), "of a type that is of no use here"),
        (thin(type="v1.payout.paid"), "of a type that is of no use here"),
    ],
    ids=["other mode", "unlisted", "unlisted thin"],
)
async def test_what_is_no_business_of_ours_is_stored_as_ignored(
    shop: Shop, event: dict[str, Any], why: str
) -> None:
    assert await deliver(shop, event)

    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("ignored", why)
    assert row["processed_at"] is not None


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (snapshot(account="acct_other"), "ignored"),
        (thin(context="acct_other"), "ignored"),
        (snapshot(account="acct_ours"), "received"),
    ],
    ids=["other account", "other account, thin", "our own by name"],
)
async def test_only_events_of_our_own_stripe_account_are_done(
    shop: Shop, event: dict[str, Any], status: str
) -> None:
    shop.stripe._account_id = "acct_ours"
    await deliver(shop, event)

    [row] = await rows(shop)
    assert row["status"] == status


async def test_an_event_that_names_no_object_waits_for_a_person(shop: Shop) -> None:
    await deliver(shop, snapshot(about={"object": "charge"}))

    [row] = await rows(shop)
    assert row["status"] == "quarantined"
    assert await open_alerts(shop) == [("quarantined", "evt_1")]


@pytest.mark.parametrize(
    "header",
    [
        None,
        signed(body(snapshot()), "whsec_wrong"),
        signed(json.dumps(snapshot()).encode()),
        signed(body(snapshot()), at_s=NOW_S - 301),
        signed(body(snapshot()), at_s=NOW_S + 301),
        signed(body(snapshot())).replace("v1=", "v0="),
    ],
    ids=["none", "wrong secret", "written anew", "too old", "too new", "v0 only"],
)
async def test_what_cannot_be_believed_leaves_nothing_but_a_count(
    shop: Shop, header: str | None
) -> None:
    with pytest.raises(BadSignature):
        await accept(shop, body(snapshot()), header)

    assert await rows(shop) == []
    assert await open_alerts(shop) == []
    assert shop.webhook_counts.bad_signature == 1


@pytest.mark.parametrize("raw", [b"", b"\xff", b"not json", b"[]", b"{}", b"[" * 100_000])
async def test_a_signed_body_that_is_no_event_is_refused(shop: Shop, raw: bytes) -> None:
    import hashlib
    import hmac

    mac = hmac.new(SECRET.encode(), f"{NOW_S}.".encode() + raw, hashlib.sha256).hexdigest()
    with pytest.raises(BadPayload):
        await accept(shop, raw, f"t={NOW_S},v1={mac}")

    assert await rows(shop) == []
    assert shop.webhook_counts.bad_payload == 1


async def test_five_failures_in_a_row_are_an_alert_once_a_minute(shop: Shop) -> None:
    async def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(BadSignature):
                await accept(shop, b"{}", None)

    async def told() -> int:
        async with shop.ledger.database.connection() as connection:
            return await connection.fetchval("SELECT sum(times) FROM billing.alerts") or 0

    await fail(4)
    await deliver(shop, snapshot())
    await fail(4)
    assert await told() == 0, "a good delivery in between: the secret is right"

    await fail(10)
    assert await told() == 1
    await shop.clock.sleep(61)
    await fail(2)
    assert await told() == 2


async def test_another_api_version_is_told_once(shop: Shop) -> None:
    await deliver(shop, snapshot("evt_1", api_version="2020-08-27"))
    await deliver(shop, snapshot("evt_2", api_version="2020-08-27"))

    assert await open_alerts(shop) == [("api-version", "2020-08-27")]
    assert [row["status"] for row in await rows(shop)] == ["received", "received"]


async def test_with_postgres_away_nothing_is_acknowledged(shop: Shop, template_copy: str) -> None:
    await shop.ledger.database.close()
    raw = body(snapshot())

    with pytest.raises(LedgerUnavailable):
        await accept(shop, raw, signed(raw))

    assert shop.webhook_counts.unavailable == 1
    async with inbox_shop(template_copy) as later:
        assert await rows(later) == []
        assert (await accept(later, raw, signed(raw))).new
