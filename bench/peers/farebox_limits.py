"""Farebox with every sort of limit on: what counting costs beside `farebox` in the same run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from bench.peers.farebox import PLENTY, gateway, peer, price_file, size_bytes
from bench.peers.peer import Peer, Stage
from tests.served import Served

RATE = "requests: 1000000, per: second"
ROUTE = (
    f"  - {{ path: /hello, upstream: api, price: 1, limits: {{ per_key: {{ {RATE} }} }} }}\n"
    "limits:\n"
    f"  per_key: [{{ {RATE}, in_flight: 10000 }}]\n"
    "  per_account:\n"
    f"    - {{ {RATE}, in_flight: 10000, quota: {{ requests: 1000000000, per: month }},"
    " free: { requests: 1, per: month } }\n"
    "  everyone: { in_flight: 100000 }\n"
)


@asynccontextmanager
async def farebox_limits(stage: Stage) -> AsyncIterator[Peer]:
    prices = price_file(stage.upstream.url, ROUTE)
    async with gateway(stage.folder / "limits", prices) as (served, headers):
        await capped(served)
        yield peer(served, headers, size_before=await size_bytes(served))


async def capped(served: Served) -> None:
    """Give the one key a cap by day and one by month, too high to be reached."""
    async with httpx.AsyncClient(
        base_url=served.running.admin_url, headers=served.admin_headers, timeout=30
    ) as admin:
        [key] = (await admin.get("/admin/v1/accounts/acme/keys")).json()["items"]
        caps = [{"per": per, "amount": PLENTY} for per in ("day", "month")]
        answer = await admin.put(f"/admin/v1/keys/{key['id']}/caps", json={"caps": caps})
        answer.raise_for_status()
