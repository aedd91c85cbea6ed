"""kill -9 of any process under load: nobody pays for what was not served, and the books agree."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.oracle import Oracle, oracle
from tests.served import Served, command, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1, lifetime: 10s }]
"""
CLIENTS = 8
BEFORE = 40  # answers before the kill, so that it falls into the middle of the work
SETTLED_LIMIT_S = 100  # a hold of 10 s, and a sweep each 30 s
AFTER = 40  # answers after it, so that the gateway has recovered


@dataclass
class Load:
    """Clients that call and call; what they were told."""

    url: str
    key: dict[str, str]
    paid: set[str] = field(default_factory=set)
    """Ids of calls that were answered with 200 to the end."""
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self) -> None:
        while True:
            try:
                async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
                    while True:
                        await self._call(client)
            except httpx.HTTPError:
                continue  # the worker that served this connection is gone

    async def _call(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/paid", headers=self.key)
        if answer.status_code == 200:
            async with self.answered:
                self.paid.add(answer.headers["farebox-request-id"])
                self.answered.notify_all()
        else:
            assert answer.status_code in (502, 503), answer.text
            assert answer.json()["charged"] == 0

    async def until_paid(self, more: int) -> None:
        goal = len(self.paid) + more
        async with asyncio.timeout(60), self.answered:
            await self.answered.wait_for(lambda: len(self.paid) >= goal)


@pytest.fixture
async def backend() -> AsyncIterator[Oracle]:
    async with oracle() as counted:
        yield counted


def victim(served: Served, name: str) -> int:
    if name.startswith("gateway."):
        return served.children()[name]
    return served.store_pid(name)


@pytest.mark.parametrize("name", ["gateway.worker", "gateway.steward", "valkey", "postgres"])
async def test_after_kill_9_under_load_the_books_agree_and_nobody_overpaid(
    folder: Path, backend: Oracle, name: str
) -> None:
    variables = {"BACKEND": backend.url}
    async with serving(folder, PRICES, variables=variables) as served:
        key = await funded(served, 100_000)
        load = Load(served.url, key)
        tasks = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
        await load.until_paid(BEFORE)
        os.kill(victim(served, name), signal.SIGKILL)
        await load.until_paid(AFTER)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        # Served and not captured: only what was in flight in a process that died.
        most_lost = CLIENTS if name == "gateway.worker" else 0
        captured = await settled(served, key, load.paid, most_lost)
        assert {one for one in captured if not backend.served[one]} == set()
        for audit in ("verify", "reconcile"):
            done = await asyncio.to_thread(farebox, audit, folder=folder)
            assert done.returncode == 0, done.stdout + done.stderr
        shown = await command(served, "account", "show", "acme")
        (balance,) = shown["balances"]
        assert (balance["used"], balance["held"]) == (len(captured), 0)


async def settled(served: Served, key: dict[str, str], paid: set[str], most_lost: int) -> set[str]:
    """Wait until all is posted and no charge is open; return the ids of those captured."""
    limit = time.monotonic() + SETTLED_LIMIT_S
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        while True:
            charges = await every_charge(client, key, served)
            captured = {one for one, state in charges.items() if state == "captured"}
            waiting = [one for one, state in charges.items() if state == "open"]
            if not waiting and len(paid - captured) <= most_lost:
                return captured
            lost = len(paid - captured)
            assert time.monotonic() < limit, f"{len(waiting)} open, {lost} lost: {served.log}"
            await asyncio.sleep(0.5)


async def every_charge(
    client: httpx.AsyncClient, key: dict[str, str], served: Served
) -> dict[str, str]:
    """All charges, page by page: id -> state. A Postgres that is still starting is waited for."""
    found: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        answer = await client.get("/farebox/v1/charges", params=query, headers=key)
        if answer.status_code >= 500:  # also what a half-started Postgres refuses
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text + served.log
        page = answer.json()
        found |= {charge["id"]: charge["state"] for charge in page["items"]}
        cursor = page["next"]
    return found
