"""A worker killed while it serves a request with a key: the repeat waits, is served, and pays once."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from ledger.books import ChargeState
from tests.counting_backend import counting_backend
from tests.flows.load import charges_of
from tests.gateway.serving import until
from tests.served import command, funded, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PRICES = """
version: 1
upstreams: { api: { url: "BACKEND" } }
routes: [{ path: /hang, upstream: api, price: 10, lifetime: 10s, idempotency: replay }]
"""
KEYED = {"idempotency-key": '"the-one"'}
LIMIT_S = 120


async def test_a_repeat_after_a_kill_between_hold_and_settle_is_charged_once(folder: Path) -> None:
    async with counting_backend() as backend:
        prices = PRICES.replace("BACKEND", backend.url)
        async with (
            serving(folder, prices, "--workers", "1") as served,
            httpx.AsyncClient(timeout=30) as http,
        ):
            headers = {**(await funded(served, 100)), **KEYED}

            async def ask() -> httpx.Response | None:
                try:
                    return await http.post(f"{served.url}/hang", headers=headers, content=b"x")
                except httpx.TransportError:
                    return None  # it was killed, or nobody listens yet

            first = asyncio.create_task(ask())
            await until(lambda: backend.served.total() == 1)
            os.kill(served.children()["gateway.worker"], signal.SIGKILL)
            assert await first is None
            backend.gate.set()

            seen = set()
            async with asyncio.timeout(LIMIT_S):
                while (answer := await ask()) is None or answer.status_code != 200:
                    if answer is not None:
                        seen.add(answer.json()["type"].rpartition("/")[2])
                    await asyncio.sleep(0.1)
            # The dead worker's hold has the key until it expires.
            assert "still-running" in seen
            assert seen <= {"still-running", "ledger-unavailable"}
            assert "farebox-replayed" not in answer.headers
            again = await ask()
            assert again is not None
            assert (again.content, again.headers["farebox-replayed"]) == (b"late", "true")

            # Each is posted when it is: the dead worker's may be ended before the other is there.
            async with asyncio.timeout(LIMIT_S):
                while True:
                    states = sorted((await charges_of(served)).values())
                    if len(states) > 1 and ChargeState.OPEN not in states:
                        break
                    await asyncio.sleep(0.1)
            assert states == [ChargeState.CAPTURED, ChargeState.EXPIRED]
            [balance] = (await command(served, "account", "show", "acme"))["balances"]
            assert (balance["used"], balance["held"]) == (10, 0)
            assert (await command(served, "verify"))["findings"] == []
