"""
Clients that vanish at random points before a whole `serve`: nothing stays held, and what is
captured is what the backend counts.

FAREBOX_VANISHING says how many (default 200).
"""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from ledger.books import ChargeState
from tests.counting_backend import CountingBackend, counting_backend
from tests.flows.load import captured_in, charges_of
from tests.gateway.serving import raw_client
from tests.served import Served, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}", timeout: 5s } }
routes:
  - { path: /ok, methods: [GET, POST], upstream: api, price: 1 }
  - { path: /slow, methods: [GET, POST], upstream: api, price: 2 }
  - path: /sse
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
    linger: 2s
"""
VANISHING = int(os.environ.get("FAREBOX_VANISHING", "200"))
AT_ONCE = 50
CREDITS = 10_000_000
NOTHING_HELD_AFTER_S = 5


async def test_clients_that_vanish_leave_no_hold_and_pay_for_what_the_backend_got(
    folder: Path,
) -> None:
    async with counting_backend() as backend:
        variables = {"BACKEND": backend.url}
        async with serving(folder, PRICES, "--workers", "2", variables=variables) as served:
            key = (await funded(served, CREDITS))["X-Api-Key"]
            await vanish_all(served.url, key)
            settled_s = await settled(served, backend)
            for audit in ("verify", "reconcile"):
                done = await asyncio.to_thread(farebox, audit, folder=folder)
                assert done.returncode == 0, done.stdout + done.stderr
            # Once more: nothing has come after what looked like the end.
            charges = await charges_of(served)
            states = Counter(charges.values())
            assert states[ChargeState.OPEN] == states[ChargeState.EXPIRED] == 0
            assert captured_in(charges) == backend.served.keys() - {""}
            assert set(backend.served.values()) == {1}
            print(
                f"{VANISHING} clients, {len(charges)} charges: {dict(states)};"
                f" settled {settled_s:.2f} s after the last"
            )


async def settled(served: Served, backend: CountingBackend) -> float:
    """Wait until nothing is open and all that was served is captured; how long that took."""
    last = time.monotonic()
    while True:
        charges = await charges_of(served)
        waiting = [one for one, state in charges.items() if state is ChargeState.OPEN]
        wrong = captured_in(charges) ^ (backend.served.keys() - {""})
        passed_s = time.monotonic() - last
        if not waiting and not wrong:
            return passed_s
        assert passed_s < NOTHING_HELD_AFTER_S, (waiting, wrong)
        await asyncio.sleep(0.05)


async def vanish_all(url: str, key: str) -> None:
    chance = random.Random(2_000)
    room = asyncio.Semaphore(AT_ONCE)

    async def vanish() -> None:
        method, path = chance.choice(["GET", "POST"]), chance.choice(["/ok", "/slow", "/sse"])
        if path == "/sse":
            method = "GET"
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n"
        body = "content-length: 6\r\n\r\nabcdef" if method == "POST" else "\r\n"
        request = (head + body).encode()
        cut = chance.randrange(1, 2 * len(request))  # half of them send all of it
        after_s = chance.choice([0, 0.001, 0.003, 0.01, 0.03, 0.1])
        async with room, raw_client(url) as client:
            await client.send(request[:cut])
            await asyncio.sleep(after_s)
            client.vanish()

    await asyncio.gather(*(vanish() for _ in range(VANISHING)))
