"""Control as people meet it: commands beside a running serve, both listeners, and neither alone."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.control import served as backend_answer
from tests.gateway.serving import serving as serving_app
from tests.served import Served, command, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { scale: 0 } }
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: "/v1/products/{asin}", methods: [GET], upstream: api, price: 2, name: product }]
packages: { starter: { name: Starter, credits: 100, price: { usd: 1000 } } }
"""


def backend_app():
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/{path:path}", backend_answer, methods=["GET"])])


async def one_charge(http: httpx.AsyncClient, url: str, key: dict[str, str]) -> dict:
    """The only charge of a key's account, once it is posted."""
    async with asyncio.timeout(10):
        while True:
            rows = (await http.get(f"{url}/farebox/v1/charges", headers=key)).json()["items"]
            if rows and rows[0]["state"] != "open":
                return rows[0]
            await asyncio.sleep(0.05)


async def ready(http: httpx.AsyncClient, url: str) -> dict:
    """What `readyz` says once the worker has its connection to the ledger."""
    async with asyncio.timeout(10):
        while True:
            answer = await http.get(f"{url}/farebox/readyz")
            if answer.status_code == 200:
                return answer.json()
            await asyncio.sleep(0.05)


async def test_commands_and_both_listeners_work_beside_a_serve(tmp_path: Path) -> None:
    async with (
        serving_app(backend_app()) as backend,
        serving(tmp_path, PRICES, variables={"BACKEND": backend}) as served,
        httpx.AsyncClient(timeout=30) as http,
    ):
        key = await funded(served, 10)
        await provisioned_by_http(served, http)
        await charged_and_refunded(served, http, key)
        await revoked(served, http, key)
        assert await command(served, "verify") == {"clean": True, "findings": []}


async def provisioned_by_http(served: Served, http: httpx.AsyncClient) -> None:
    """A host application provisions a user over the admin listener; the command line sees it."""
    admin = f"{served.running.admin_url}/admin/v1"
    put = await http.put(
        f"{admin}/accounts/user-7", json={"name": "Seven"}, headers=served.admin_headers
    )
    link = await http.post(f"{admin}/accounts/user-7/sign-in", headers=served.admin_headers)
    page = await http.get(link.json()["url"], follow_redirects=True)

    assert (await command(served, "account", "show", "user-7"))["id"] == put.json()["id"]
    assert (page.status_code, "Seven" in page.text) == (200, True)
    assert (await http.get(f"{admin}/accounts")).status_code == 401
    gateways = await http.get(f"{admin}/gateways", headers=served.admin_headers)
    assert len(gateways.json()["items"]) == 1
    assert (await ready(http, served.url))["warnings"] == []


async def charged_and_refunded(
    served: Served, http: httpx.AsyncClient, key: dict[str, str]
) -> None:
    """A call is charged and explained; the command gives it back."""
    answer = await http.get(f"{served.url}/v1/products/B1", headers=key)
    assert (answer.status_code, answer.headers["farebox-balance"]) == (200, "8")
    charge = await one_charge(http, served.url, key)

    refund = await command(served, "refund", charge["id"], "--reason", "slow")

    assert (charge["id"], charge["captured"]) == (answer.headers["farebox-request-id"], 2)
    assert (refund["amount"], refund["applied"]) == (2, True)
    again = await http.get(f"{served.url}/v1/products/B1", headers=key)
    assert again.headers["farebox-balance"] == "8"


async def revoked(served: Served, http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """A frozen account is refused, a thawed one not; a revoked key is refused on the next call."""
    url = f"{served.url}/v1/products/B1"
    account = f"{served.running.admin_url}/admin/v1/accounts/acme"
    for change, status in (("freeze", 403), ("thaw", 200)):
        why = {"reason": "a dispute"}
        await http.post(f"{account}/{change}", json=why, headers=served.admin_headers)
        assert (await http.get(url, headers=key)).status_code == status
    rows = await http.get(f"{account}/keys", headers=served.admin_headers)
    [row] = rows.json()["items"]
    await command(served, "key", "revoke", row["id"])
    assert (await http.get(url, headers=key)).status_code == 401


async def test_commands_start_the_stores_when_nothing_runs(tmp_path: Path) -> None:
    def run(*words: str) -> dict:
        done = farebox(*words, "--json", folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return json.loads(done.stdout)

    made = await asyncio.to_thread(run, "account", "create", "acme")
    shown = await asyncio.to_thread(run, "account", "show", "acme")
    checked = await asyncio.to_thread(run, "verify")

    assert (shown["id"], checked["clean"]) == (made["id"], True)
    assert not (tmp_path / "data" / "run.json").exists()
