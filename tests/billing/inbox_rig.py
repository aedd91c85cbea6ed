"""A shop with a real Postgres and nothing else behind it: enough to take in and judge events."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import stripe

from billing.shop import Shop
from billing.stripe_door import API_VERSION, StripeDoor
from config import PriceList
from ledger.database import Database
from ledger.ledger import Ledger
from tests.ledger.quick_clock import QuickClock

SECRET = "whsec_first"
OTHER_SECRET = "whsec_second"

WRITTEN = ("inbox", "alerts", "notice_deliveries", "notices", "stripe_errors", "cursors")
"""Tables, in an order in which they can be emptied."""

NOW_S = QuickClock().now_ms() // 1_000


def no_prices() -> PriceList:
    raise AssertionError("an inbox needs no prices")


@asynccontextmanager
async def inbox_shop(
    database_url: str, *, api_base: str = "http://127.0.0.1:9", key: str = "sk_test_rig"
) -> AsyncIterator[Shop]:
    """By default there is no Stripe to ask: nobody listens there."""
    database = await Database.connect(database_url, most=10)
    door = StripeDoor.open(key, api_base)
    try:
        yield Shop(
            ledger=cast(Ledger, SimpleNamespace(database=database)),
            stripe=door,
            prices=no_prices,
            clock=QuickClock(),
            random_bytes=os.urandom,
            pages_url="http://127.0.0.1/farebox",
            link_secret=b"link",
            installation="here",
            webhook_secrets=(SECRET,),
        )
    finally:
        await door.aclose()
        await database.close()


async def emptied(url: str) -> str:
    """The database without what these tests write, which takes less time than emptying all."""
    connection = await asyncpg.connect(url)
    await connection.execute("; ".join(f"DELETE FROM billing.{table}" for table in WRITTEN))
    await connection.close()
    return url


def snapshot(event_id: str = "evt_1", **fields: Any) -> dict[str, Any]:
    """A snapshot event; `about` is the object it is about."""
    about = fields.pop("about", {"object": "checkout.session", "id": "cs_test_1"})
    return {
        "id": event_id,
        "object": "event",
        "type": "checkout.session.completed",
        "api_version": API_VERSION,
        "created": NOW_S,
        "livemode": False,
        "data": {"object": about},
        **fields,
    }


def thin(event_id: str = "evt_thin", **fields: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "object": "v2.core.event",
        "type": "v1.checkout.session.completed",
        "created": "2023-11-14T22:13:20.000Z",
        "livemode": False,
        "related_object": {
            "id": "cs_test_1",
            "type": "checkout.session",
            "url": "/v1/checkout/sessions/cs_test_1",
        },
        **fields,
    }


def body(event: dict[str, Any]) -> bytes:
    """As Stripe writes it: with spaces, which no second writing would keep."""
    return json.dumps(event, indent=2).encode()


def signed(raw: bytes, secret: str = SECRET, at_s: int = NOW_S) -> str:
    """The SDK's own header."""
    header: str = stripe.WebhookSignature.generate_signature_header(raw.decode(), secret, at_s)
    return header


async def rows(shop: Shop) -> list[dict[str, Any]]:
    async with shop.ledger.database.connection() as connection:
        found = await connection.fetch("SELECT * FROM billing.inbox ORDER BY id")
    return [dict(row) for row in found]


async def open_alerts(shop: Shop) -> list[tuple[str, str]]:
    async with shop.ledger.database.connection() as connection:
        found = await connection.fetch(
            "SELECT kind, subject FROM billing.alerts WHERE resolved_at IS NULL ORDER BY id"
        )
    return [(row["kind"], row["subject"]) for row in found]
