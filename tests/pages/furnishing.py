"""An account that has a bit of everything, so that no page is looked at empty."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncpg
import httpx

from billing.stripe_door import API_VERSION
from gateway.demo.till import KEY
from ledger import findings
from tests.pages.demo import Account, Demo, until

MONTHLY = {
    "id": "monthly",
    "name": "Monthly",
    "description": "New credits each month; what is left expires with it.",
    "credit_type": "credits",
    "credits": 300,
    "price": {"usd": 900},
    "interval": "month",
}

TOP_UP = {
    "package": "starter",
    "threshold": 1,
    "most_minor_month": 5_000,
    "most_count_day": 2,
    "consent": True,
}
DISPUTED = "4000000000000259"
DEAD = 0, 1, 1_000_000_000
"""A place in the journal that no run of these tests reaches."""


@dataclass(frozen=True, slots=True)
class Furnished:
    """The account, and an example of whatever a page's address may name."""

    account: Account
    examples: Mapping[str, str]


def furnish(demo: Demo) -> Furnished:
    """Use, buy, subscribe, adjust and refund: each through the API that everybody has."""
    ann = demo.account("ann", granted=500)
    demo.ask_admin("POST", "/packages", MONTHLY)
    order = demo.buy(ann.key)
    demo.buy(ann.key, "monthly")
    call = "/v1/chat", {"method": "POST", "json": {"prompt": "how much is this"}}
    for _ in range(3):
        demo.call(ann.key)
        demo.call(ann.key, call[0], **call[1])
    charge = demo.charged(ann.key, "/v1/search", method="POST", json={"limit": 250})
    demo.call(ann.key, "/v1/failing")
    refunded = demo.charged(ann.key, "/v1/download?bytes=1000")
    demo.ask_admin("POST", f"/charges/{refunded}/refunds", {"reason": "a gift", "reference": "r1"})
    adjusted = {"credit_type": "credits", "amount": -5, "reason": "a mistake", "reference": "a1"}
    demo.ask_admin("POST", "/accounts/ann/adjustments", adjusted)
    second = demo.key("ann", "reports", "call")
    revoked = demo.key("ann", "old")
    demo.ask_admin("DELETE", f"/keys/{revoked['id']}")
    kept = demo.call(ann.key, "/farebox/v1/top-up", "PUT", json=TOP_UP)
    assert kept.is_success, kept.text
    subscriptions = demo.call(ann.key, "/farebox/v1/subscriptions").json()["items"]
    session = demo.call(ann.key, "/farebox/v1/checkout", "POST", json={"package": "starter"}).json()
    demo.ask_admin("POST", "/admins", {"name": "bert"})
    demo.charged(ann.key)
    demo.buy(demo.account("carl", granted=1).key, card=DISPUTED)
    orphaned(demo)
    with ThreadPoolExecutor(1) as other:  # in this thread runs the browser's loop
        other.submit(lambda: asyncio.run(damage(demo.postgres))).result()
    job = demo.ask_admin("POST", "/jobs/verify", {})
    events = demo.ask_admin("GET", "/inbox")["items"]
    versions = demo.ask_admin("GET", "/prices")["items"]
    alerts = demo.ask_admin("GET", "/alerts")["items"]
    notices = demo.ask_admin("GET", "/notices")["items"]
    return Furnished(
        ann,
        {
            "account": ann.id,
            "charge": charge,
            "key": second["id"],
            "order": order,
            "package": "starter",
            "session": session["session_id"],
            "subscription": subscriptions[0]["id"],
            "event": str(events[0]["id"]),
            "version": str(versions[0]["version"]),
            "admin": "bert",
            "alert": str(alerts[0]["id"]),
            "notice": str(notices[0]["id"]),
            "job": str(job["id"]),
            "finding": "1",
            "fact": f"{DEAD[0]}-{DEAD[1]}-{DEAD[2]}",
        },
    )


def orphaned(demo: Demo) -> None:
    """Somebody pays for an order that there is not: its event waits for a person."""
    key = {"Authorization": f"Bearer {KEY}", "Stripe-Version": API_VERSION}
    asked = {
        "mode": "payment",
        "success_url": f"{demo.public}/farebox/",
        "client_reference_id": "ord_" + "1" * 24,
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][product_data][name]": "Something else",
        "line_items[0][quantity]": "1",
    }
    made = httpx.post(f"{demo.stripe}/v1/checkout/sessions", data=asked, headers=key)
    assert made.is_success, made.text
    paid = {"session": made.json()["id"]}
    httpx.post(f"{demo.stripe}/_control/pay", json=paid, headers=key).raise_for_status()
    until(lambda: demo.ask_admin("GET", "/alerts")["items"], "the payment raises an alert")


async def damage(postgres: str) -> None:
    """Write down a fact that broke a rule, and what a check would find of it."""
    connection = await asyncpg.connect(postgres)
    try:
        statement = (
            "INSERT INTO dead_facts (shard, epoch, q, fact, why) VALUES ($1, $2, $3, $4, $5)"
        )
        await connection.execute(statement, *DEAD, b"odd", "more was captured than held")
        found = findings.Finding("dead-facts", None, "a fact broke a rule")
        await findings.record(connection, [found])
    finally:
        await connection.close()
