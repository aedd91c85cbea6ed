"""
One payment, told of by every event Stripe has for it, a hundred times at once, at two gateways;
and meanwhile its buyer comes back to both.

FAREBOX_DELIVERIES says how many times the main event is delivered (default 100).
"""

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import stripe

from billing.events.event_types import listed
from billing.standin.envelope import HEADERS, thin
from billing.standin.rendering import public
from tests.flows.purchase_stores import stores
from tests.served import command, serving
from tests.standin import RunningStandIn, running_standin

__all__ = ["stores"]

pytestmark = pytest.mark.anyio

DELIVERIES = int(os.environ.get("FAREBOX_DELIVERIES", "100"))
VISITS = 20
"""To the success page, which books what it finds: deliveries are worked on by one steward only."""

SECRET = "whsec_of_the_flow"
WEBHOOK = "/farebox/stripe/webhook"
LIMIT_S = 60

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1 }]
packages: { starter: { name: Starter, credits: 100, price: { usd: 1000 } } }
"""


def told_of(standin: RunningStandIn) -> list[dict[str, Any]]:
    """Every event of the purchase that an endpoint of ours would get, and its thin twin."""
    events = [public(one) for one in standin.events() if listed(one["type"], thin=False)]
    return [*events, *map(thin, events)]


async def deliver(http: httpx.AsyncClient, url: str, event: dict[str, Any]) -> int:
    raw = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(raw, SECRET)
    answer = await http.post(
        url + WEBHOOK, content=raw, headers={**HEADERS, "stripe-signature": header}
    )
    return answer.status_code


async def come_back(http: httpx.AsyncClient, url: str, session: dict[str, Any]) -> int:
    """Look at the success page, at whichever gateway."""
    back = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    answer = await http.get(f"{url}/farebox/{back.partition('/farebox/')[2]}")
    return answer.status_code


async def until_settled(connection: asyncpg.Connection, account: str, expected: int) -> None:
    """Wait until nothing is left to do and the account has what it should, at most `LIMIT_S`."""
    waiting = "SELECT count(*) FROM billing.inbox WHERE status IN ('received', 'failed')"
    number = int(account.removeprefix("acc_"))
    granted = "SELECT coalesce(sum(remaining), 0)::bigint FROM grants WHERE account_id = $1"
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        left = await connection.fetchval(waiting)
        if left == 0 and await connection.fetchval(granted, number) == expected:
            return
        await asyncio.sleep(0.1)
    rows = await connection.fetch("SELECT type, status, outcome FROM billing.inbox")
    raise AssertionError([tuple(row) for row in rows])


@pytest.mark.slow
async def test_a_payment_is_granted_once_however_often_and_wherever_it_is_told_of(
    folder: Path, stores: dict[str, str]
) -> None:
    async with running_standin() as standin:
        variables = stores | {
            "STRIPE_SECRET_KEY": standin.key,
            "STRIPE_API_BASE": standin.url,
            "STRIPE_WEBHOOK_SECRET": f"whsec_of_before,{SECRET}",
        }
        async with (
            serving(folder / "one", PRICES, variables=variables) as one,
            serving(folder / "two", PRICES, variables=variables) as two,
            # Without a limit, else they would come one after the other.
            httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60) as http,
        ):
            account = (await command(one, "account", "create", "acme"))["id"]
            key = (await command(one, "key", "create", account, "--scope", "manage"))["key"]
            bought = await http.post(
                f"{one.url}/farebox/v1/checkout",
                json={"package": "starter"},
                headers={"X-Api-Key": key},
            )
            assert bought.status_code == 201, bought.text
            standin.pay(bought.json()["session_id"])

            events = told_of(standin)
            [main] = [one for one in events if one["type"] == "checkout.session.completed"]
            urls = [one.url, two.url]
            everything = [main] * DELIVERIES + events * 4
            session = standin.world.objects[bought.json()["session_id"]]
            answers = await asyncio.gather(
                *(come_back(http, urls[n % 2], session) for n in range(VISITS)),
                *(deliver(http, urls[n % 2], event) for n, event in enumerate(everything)),
            )
            assert Counter(answers) == {200: VISITS + len(everything)}

            connection = await asyncpg.connect(stores["FAREBOX_POSTGRES_URL"])
            try:
                await until_settled(connection, account, 100)
                stored = await connection.fetch("SELECT event_id, status FROM billing.inbox")
                grants = await connection.fetchval(
                    "SELECT count(*) FROM controls WHERE source = 'checkout'"
                )
            finally:
                await connection.close()
            assert grants == 1
            assert sorted(row["event_id"] for row in stored) == sorted(e["id"] for e in events)
            assert {row["status"] for row in stored} <= {"done", "ignored"}

            balances = (await command(two, "account", "show", "acme"))["balances"]
            assert [balance["available"] for balance in balances] == [100]
