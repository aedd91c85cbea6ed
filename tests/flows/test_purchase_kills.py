"""
kill -9 of a whole gateway's processes while people buy: each payment is granted once.

FAREBOX_ROUNDS says how often each is killed (default 1), FAREBOX_BUYERS how many buy at once
(default 3), FAREBOX_PURCHASE_SEED chooses the moments.
"""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from billing.standin.resources import webhook_endpoints
from tests.flows.purchase_stores import stores
from tests.served import Served, farebox, start, stop, until_running
from tests.standin import RunningStandIn, running_standin

__all__ = ["stores"]

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
BUYERS = int(os.environ.get("FAREBOX_BUYERS", "3"))
SEED = int(os.environ.get("FAREBOX_PURCHASE_SEED", "1"))
VICTIMS = ("gateway.worker", "gateway.steward", "everything")

EACH, EACH_MINOR = 100, 999
BETWEEN_KILLS = 5
"""Payments."""
LATEST_KILL_S = 0.3
"""After the last of them: as long as a payment needs to be booked and its credits to be there."""

PATIENCE_S = 10
AGAIN_S = 0.05  # after a broken connection, so that a gateway that starts is not hammered
LIMIT_S = 60
AUDITS = ("verify", "reconcile")

HAVE = """
SELECT (SELECT coalesce(sum(remaining - debt), 0) FROM pools)::bigint
     + (SELECT coalesce(sum(amount - clawed), 0) FROM grants WHERE state = 'queued')::bigint
"""
"""An account has 32 grants in use at once; the others wait until one of them is spent."""

PRICES = f"""
version: 1
upstreams: {{ api: {{ url: "http://127.0.0.1:9" }} }}
routes: [{{ path: /paid, methods: [GET], upstream: api, price: 1 }}]
packages: {{ starter: {{ name: Starter, credits: {EACH}, price: {{ usd: {EACH_MINOR} }} }} }}
"""


@dataclass
class Market:
    """Buyers, the gateway they buy from, and Stripe."""

    standin: RunningStandIn
    served: Served
    chance: random.Random
    paid: list[str] = field(default_factory=list)
    broken: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def buyer(self, key: dict[str, str]) -> None:
        """Buy again and again; half of the time come back to the success page, or ask for money."""
        while True:
            try:
                async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
                    while True:
                        await self._buy(http, key)
            except httpx.HTTPError:
                self.broken += 1  # the process that served this connection is gone
                await asyncio.sleep(AGAIN_S)

    async def _buy(self, http: httpx.AsyncClient, key: dict[str, str]) -> None:
        address = f"{self.served.url}/farebox/v1/checkout"
        begun = await http.post(address, json={"package": "starter"}, headers=key)
        if begun.status_code != 201:
            assert begun.status_code == 503, begun.text
            await asyncio.sleep(AGAIN_S)
            return
        session = begun.json()["session_id"]
        self.standin.pay(session)
        shown = self.standin.world.objects[session]
        if self.chance.random() < 0.3:
            self.standin.refund(shown["payment_intent"], self.chance.choice([None, 333]))
        async with self.news:
            self.paid.append(session)
            self.news.notify_all()
        if self.chance.random() < 0.5:
            back = shown["success_url"].replace("{CHECKOUT_SESSION_ID}", session)
            path = back.partition("/farebox/")[2]
            page = await http.get(f"{self.served.url}/farebox/{path}")
            assert page.status_code in (200, 503), page.text

    async def until_paid(self, more: int) -> None:
        """Wait for so many more payments."""
        goal = len(self.paid) + more
        async with asyncio.timeout(LIMIT_S), self.news:
            await self.news.wait_for(lambda: len(self.paid) >= goal)

    async def kill(self, name: str) -> None:
        """SIGKILL to one process, which is started again by the others; or to all, as by nobody."""
        served = self.served
        children = served.children()
        if name != "everything":
            os.kill(children[name], signal.SIGKILL)
            return
        for pid in (served.process.pid, *children.values()):
            with suppress(ProcessLookupError):  # the end of one may be the end of another
                os.kill(pid, signal.SIGKILL)
        served.process.wait()
        self.served = await started(served.folder, dict(served.variables))
        deliver_to(self.standin, self.served)

    def due(self) -> dict[str, int]:
        """By session, the credits that Stripe's objects say are left of it."""
        world = self.standin.world
        refunded = Counter[str]()
        for refund in world.every("refund"):
            refunded[refund["payment_intent"]] += refund["amount"]
        back = {one: refunded[world.objects[one]["payment_intent"]] for one in self.paid}
        return {one: EACH - EACH * back[one] // EACH_MINOR for one in self.paid}


async def started(folder: Path, variables: dict[str, str]) -> Served:
    process = start(folder, PRICES, "--workers", "2", variables=variables)
    return await asyncio.to_thread(until_running, process, folder, variables)


def deliver_to(standin: RunningStandIn, served: Served) -> None:
    """Have Stripe deliver to where the gateway is now."""
    [endpoint] = standin.world.every("webhook_endpoint")
    webhook_endpoints.update(
        standin.world,
        {"url": f"{served.url}/farebox/stripe/webhook"},
        {"webhook_endpoint": endpoint["id"]},
    )


async def asked(served: Served, path: str, **given: Any) -> Any:
    """Do something through the admin API."""
    address = f"{served.running.admin_url}/admin/v1{path}"
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answer = await http.post(address, json=given, headers=served.admin_headers)
    assert answer.is_success, answer.text
    return answer.json()


async def keys(served: Served) -> list[dict[str, str]]:
    """Keys of two accounts that may buy."""
    found = []
    for name in ("acme", "beta"):
        await asked(served, "/accounts", external_id=name)
        key = (await asked(served, f"/accounts/{name}/keys", scopes=["manage"]))["key"]
        found.append({"X-Api-Key": key})
    return found


async def until_settled(market: Market, connection: asyncpg.Connection) -> None:
    """Wait until nothing is left to do in the inbox and everything paid is as it should be."""
    limit = time.monotonic() + LIMIT_S
    wanted = sum(market.due().values())
    while True:
        left = await connection.fetchval(
            "SELECT count(*) FROM billing.inbox WHERE status IN ('received', 'failed')"
        )
        have = await connection.fetchval(HAVE)
        if (left, have) == (0, wanted):
            return
        assert time.monotonic() < limit, f"{left} to do, {have} of {wanted}: {market.served.log}"
        await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_whatever_is_killed_while_people_buy_each_payment_is_granted_once(
    folder: Path, stores: dict[str, str]
) -> None:
    async with running_standin(seed=SEED) as standin:
        variables = stores | {
            "STRIPE_SECRET_KEY": standin.key,
            "STRIPE_API_BASE": standin.url,
            "STRIPE_WEBHOOK_SECRET": standin.register_webhook("http://127.0.0.1:9/"),
        }
        standin.deliver_badly(SEED, drop=0.1, duplicate=0.2, twin=0.2, reorder=0.2)
        market = Market(standin, await started(folder, variables), random.Random(SEED))
        try:
            deliver_to(standin, market.served)
            accounts = await keys(market.served)
            buying = [
                asyncio.create_task(market.buyer(accounts[n % len(accounts)]))
                for n in range(BUYERS)
            ]
            for name in VICTIMS * ROUNDS:
                await market.until_paid(BETWEEN_KILLS)
                # Not for luck: any moment will do, and this chooses one.
                await asyncio.sleep(market.chance.uniform(0, LATEST_KILL_S))
                await market.kill(name)
            await market.until_paid(BETWEEN_KILLS)
            for task in buying:
                task.cancel()
            ended = await asyncio.gather(*buying, return_exceptions=True)
            assert {type(how) for how in ended} == {asyncio.CancelledError}, ended

            await clean_in_the_end(market)
        finally:
            await asyncio.to_thread(stop, market.served.process, folder)


async def clean_in_the_end(market: Market) -> None:
    """Without any delivery that is still to come: what was missed is found, each grant is one."""
    market.standin.heal()
    market.standin.world.post.waiting.clear()
    passes = await asked(market.served, "/stripe/reconcile", passes=["events"])
    assert all(one["complete"] for one in passes["passes"])
    connection = await asyncpg.connect(market.served.variables["FAREBOX_POSTGRES_URL"])
    try:
        # What a killed steward had claimed would come back by itself a little later.
        await connection.execute("UPDATE billing.inbox SET next_try_at = now()")
        await until_settled(market, connection)
        granted = await connection.fetch(
            "SELECT source_id FROM controls WHERE kind = 'g' AND source = 'checkout'"
        )
        left = await connection.fetch(
            "SELECT object_id, credits - clawed AS left FROM billing.payment_grants"
        )
        odd = await connection.fetch(
            "SELECT event_id, outcome FROM billing.inbox WHERE status NOT IN ('done', 'ignored')"
        )
    finally:
        await connection.close()
    print(f"{len(market.paid)} payments, {market.broken} broken connections")
    assert Counter(row["source_id"] for row in granted) == Counter(market.paid)
    assert {row["object_id"]: row["left"] for row in left} == market.due()
    assert odd == []
    audits = await asyncio.gather(*(asyncio.to_thread(audit, market, n) for n in AUDITS))
    assert [done.returncode for done in audits] == [0] * len(AUDITS), audits


def audit(market: Market, name: str) -> subprocess.CompletedProcess[str]:
    served = market.served
    return farebox(name, folder=served.folder, variables=served.variables)
