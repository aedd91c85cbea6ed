"""`farebox serve` from outside: calls are charged, changes arrive, the end is in order."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.data_folder import DataFolder
from gateway.demo.show import backend
from tests.served import farebox, funded, serving, start, stop, until_running

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}", timeout: 30s } }
routes:
  - { path: "/v1/products/{asin}", methods: [GET], upstream: api, price: 2, name: asin_query }
  - { path: /v1/slow, methods: [GET], upstream: api, price: 3 }
"""


@pytest.fixture
async def backend_url() -> AsyncIterator[str]:
    async with backend() as url:
        yield url


async def until(look: Callable[[], Awaitable[Any]], limit_s: float = 30) -> Any:
    """Look again and again until it is true."""
    async with asyncio.timeout(limit_s):
        while not (found := await look()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        return found


async def test_a_call_is_charged_and_explains_itself_and_a_restart_keeps_all(
    folder: Path, backend_url: str
) -> None:
    variables = {"BACKEND": backend_url}
    async with (
        serving(folder, PRICES, variables=variables) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        key = await funded(served, 100)
        answer = await client.get("/v1/products/B1", headers=key)
        assert answer.status_code == 200
        assert answer.json()["asin"] == "B1"
        assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("2", "98")

        async def posted() -> Any:
            charges = (await client.get("/farebox/v1/charges", headers=key)).json()["items"]
            return charges if charges and charges[0]["state"] == "captured" else None

        (charge,) = await until(posted)
        assert charge["id"] == answer.headers["farebox-request-id"]
        assert (charge["captured"], charge["route"]) == (2, "asin_query")
    assert served.process.returncode == 0

    async with (
        serving(folder, PRICES, variables=variables) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.get("/v1/products/B1", headers=key)
        assert answer.headers["farebox-balance"] == "96"
        # The steward signs history as soon as it is elected, and each hour from then on.
        heads = served.folder / "data" / "heads.jsonl"

        async def exported() -> bool:
            return heads.exists()

        await until(exported)
        done = await asyncio.to_thread(farebox, "verify", "--since", str(heads), folder=folder)
        assert done.returncode == 0, done.stdout


async def test_a_changed_price_file_is_taken_and_a_bad_one_refused(
    folder: Path, backend_url: str
) -> None:
    async with (
        serving(folder, PRICES, variables={"BACKEND": backend_url}) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        key = await funded(served, 1_000)

        async def cost() -> str:
            answer = await client.get("/v1/products/B1", headers=key)
            assert answer.status_code == 200, answer.text + served.log
            return answer.headers["farebox-cost"]

        assert await cost() == "2"
        (folder / "farebox.yaml").write_text(PRICES.replace("price: 2", "price: 7"))

        async def dearer() -> bool:
            return await cost() == "7"

        await until(dearer)
        (folder / "farebox.yaml").write_text(PRICES.replace("price: 2", "price: -2"))
        async with httpx.AsyncClient(
            base_url=served.running.admin_url, headers=served.admin_headers
        ) as admin:

            async def refused() -> Any:
                return (await admin.get("/admin/v1/prices/refusal")).json()["problems"]

            assert (await until(refused))[0]["line"] == 5
        assert await cost() == "7"


async def test_sigterm_lets_requests_in_flight_finish_and_charges_them(
    folder: Path, backend_url: str
) -> None:
    async with serving(folder, PRICES, variables={"BACKEND": backend_url}) as served:
        key = await funded(served, 100)
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
            slow = asyncio.create_task(client.get("/v1/slow?seconds=2", headers=key))
            async with httpx.AsyncClient() as other:

                async def reached() -> bool:
                    charges = await other.get(f"{served.url}/farebox/v1/charges", headers=key)
                    return bool(charges.json()["items"])

                await until(reached)
            served.process.send_signal(signal.SIGTERM)
            answer = await slow
        assert answer.status_code == 200
        assert await asyncio.to_thread(served.process.wait, 60) == 0
    shown = await asyncio.to_thread(farebox, "account", "show", "acme", "--json", folder=folder)
    assert '"available": 97' in shown.stdout, shown.stdout + shown.stderr


async def test_after_kill_9_of_the_parent_nobody_is_left_and_a_new_one_starts(
    folder: Path, backend_url: str
) -> None:
    variables = {"BACKEND": backend_url}
    process = start(folder, PRICES, variables=variables)
    served = await asyncio.to_thread(until_running, process, folder)
    key = await funded(served, 100)
    orphans = [
        *served.children().values(),
        served.store_pid("postgres"),
        served.store_pid("valkey"),
    ]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = start(folder, PRICES, variables=variables)
    try:
        served = await asyncio.to_thread(until_running, again, folder)
        assert [pid for pid in orphans if alive(pid)] == []
        async with httpx.AsyncClient(base_url=served.url) as client:
            answer = await client.get("/v1/products/B1", headers=key)
        assert answer.headers["farebox-balance"] == "98"
    finally:
        await asyncio.to_thread(stop, again, folder)


def alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be collected by init does not."""
    shown = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True, check=False
    )
    return bool(shown.stdout.strip()) and not shown.stdout.startswith("Z")


async def test_a_second_serve_on_the_same_folder_says_who_has_it(
    folder: Path, backend_url: str
) -> None:
    variables = {"BACKEND": backend_url}
    async with serving(folder, PRICES, variables=variables) as served:
        second = await asyncio.to_thread(
            farebox, "serve", "--port", "0", folder=folder, variables=variables
        )
        assert second.returncode == 2
        assert f"process {served.process.pid}) already uses" in second.stderr


def test_a_bad_price_file_ends_with_status_2_and_its_lines(folder: Path) -> None:
    (folder / "farebox.yaml").write_text(PRICES.replace("price: 2", "price: -2"))
    done = farebox("serve", folder=folder, variables={"BACKEND": "http://127.0.0.1:9"})
    assert done.returncode == 2
    assert "farebox.yaml:5:" in done.stderr
    assert not (folder / "data").exists()


def test_an_outside_database_must_be_migrated_first(
    folder: Path, empty_database_url: str, redis_url: str
) -> None:
    (folder / "farebox.yaml").write_text(PRICES)
    outside = {
        "BACKEND": "http://127.0.0.1:9",
        "FAREBOX_POSTGRES_URL": empty_database_url,
        "FAREBOX_REDIS_URL": redis_url,
    }
    refused = farebox("serve", "--port", "0", "--admin-port", "0", folder=folder, variables=outside)
    assert refused.returncode == 2
    assert "run farebox migrate" in refused.stderr
    migrated = farebox("migrate", folder=folder, variables=outside)
    assert (migrated.returncode, migrated.stdout.split()[:3]) == (0, ["up:", "ledger", "1"])
    again = farebox("migrate", folder=folder, variables=outside)
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")


async def test_the_data_folder_shows_secrets_to_nobody_else(folder: Path, backend_url: str) -> None:
    async with serving(folder, PRICES, variables={"BACKEND": backend_url}):
        data = DataFolder(folder / "data").path
        assert data.stat().st_mode & 0o777 == 0o700
        for name in ("run.json", "admin-token", "serve.lock", "head-key"):
            assert (data / name).stat().st_mode & 0o777 == 0o600
