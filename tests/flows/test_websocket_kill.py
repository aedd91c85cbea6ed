"""A worker killed amid a WebSocket: what was captured stays, what was held comes back, once."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.served import command, funded, serving
from tests.websockets import TEXT, connected, ws_backend

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PRICES = """
version: 1
upstreams: { api: { url: "BACKEND" } }
routes:
  - path: /chat
    upstream: api
    websocket: true
    lifetime: 10s
    price: { hold: 10, per: [{ messages: true, cost: 1 }] }
"""
LIMIT_S = 120


async def test_a_chain_that_is_killed_has_charged_its_finished_links_only(folder: Path) -> None:
    async with ws_backend() as backend:
        prices = PRICES.replace("BACKEND", backend.url)
        async with serving(folder, prices, "--workers", "1") as served:
            headers = await funded(served, 100)
            async with connected(served.url, "/chat", headers) as client:
                for number in range(25):
                    await client.send(TEXT, b"%d" % number)
                    assert await client.message() == b"%d" % number
                os.kill(served.children()["gateway.worker"], signal.SIGKILL)
                assert await client.closing() == (None, "")
            # Two links of ten are captured; of the third five messages were served and are the
            # house's loss, and what was held for them comes back.
            async with asyncio.timeout(LIMIT_S):
                while True:
                    shown = await command(served, "account", "show", "acme")
                    [balance] = shown["balances"]
                    if balance["held"] == 0:
                        break
            assert (balance["available"], balance["used"]) == (80, 20)
            assert (await command(served, "verify"))["findings"] == []
