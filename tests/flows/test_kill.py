"""
kill -9 of every process in turn under load: nobody pays for what was not served, and the books agree.

FAREBOX_ROUNDS says how often each is killed (default 1), FAREBOX_CLIENTS how many call
meanwhile (default 8), FAREBOX_ANSWERS how many answers lie between two kills (default 40).
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.books import ChargeState
from ledger.outage import OUTAGE
from tests.flows.load import Current, Load, captured_in, charges_of, watch
from tests.oracle import Oracle, oracle
from tests.served import Served, command, farebox, funded, start, stop, until_running

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /paid, methods: [GET], upstream: api, price: 1, lifetime: 10s }]
"""
VICTIMS = ("gateway.worker", "valkey", "postgres", "gateway.steward", "everything")
SERVING = ("gateway.worker", "everything")
"""Whose death may lose what was in flight: they know what was served and not yet settled."""

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
CLIENTS = int(os.environ.get("FAREBOX_CLIENTS", "8"))
ANSWERS = int(os.environ.get("FAREBOX_ANSWERS", "40"))
CREDITS = 1_000_000
SETTLED_LIMIT_S = 60  # a hold of 10 s, and a sweep each 10 s
UNSETTLED_S = 0.5
"""An answer may arrive this long before its settlement reaches Redis, or be noted so late here."""


@pytest.fixture
async def backend() -> AsyncIterator[Oracle]:
    async with oracle() as counted:
        yield counted


async def test_after_kill_9_under_load_the_books_agree_and_nobody_overpaid(
    folder: Path, backend: Oracle
) -> None:
    variables = {"BACKEND": backend.url}
    where = Current(await started(folder, variables))
    try:
        load = Load(where.served.url, await funded(where.served, CREDITS))
        kills: list[float] = []
        async with load.by(CLIENTS):
            watching = asyncio.create_task(watch(where, backend))
            for name in VICTIMS * ROUNDS:
                await load.until_answered(ANSWERS)
                if name in SERVING:
                    kills.append(time.monotonic())
                await kill(where, name, load)
            await load.until_answered(ANSWERS)
            assert not watching.done(), watching
            watching.cancel()

        charges = await settled(where.served, backend, load, kills)
        captured = captured_in(charges)
        lost = backend.served.keys() - captured
        print(
            f"{len(VICTIMS) * ROUNDS} kills, {len(backend.served)} served, {len(captured)} captured,"
            f" {load.refused} refused, {load.broken} broken; served and not captured: {sorted(lost)}"
        )
        assert captured <= backend.served.keys()
        assert set(backend.served.values()) == {1}
        assert len(lost) <= CLIENTS * len(kills)
        assert {charges[one] for one in lost} <= {ChargeState.EXPIRED}
        for audit in ("verify", "reconcile"):
            done = await asyncio.to_thread(farebox, audit, folder=folder)
            assert done.returncode == 0, done.stdout + done.stderr
        shown = await command(where.served, "account", "show", "acme")
        (balance,) = shown["balances"]
        assert (balance["used"], balance["held"]) == (len(captured), 0)
    finally:
        await asyncio.to_thread(stop, where.served.process, folder)


async def started(folder: Path, variables: dict[str, str]) -> Served:
    process = start(folder, PRICES, "--workers", "2", variables=variables)
    return await asyncio.to_thread(until_running, process, folder, variables)


async def kill(where: Current, name: str, load: Load) -> None:
    """SIGKILL to one process, or to every one, stores too; then all is started again."""
    served = where.served
    if name.startswith("gateway."):
        os.kill(served.children()[name], signal.SIGKILL)
    elif name != "everything":
        os.kill(served.store_pid(name), signal.SIGKILL)
    else:
        await until_postgres_answers(served)  # else its process id is that of the last one
        stores = [served.store_pid("valkey"), served.store_pid("postgres")]
        for pid in (served.process.pid, *served.children().values(), *stores):
            with suppress(ProcessLookupError):  # the end of one may be the end of another
                os.kill(pid, signal.SIGKILL)
        served.process.wait()
        where.served = await started(served.folder, dict(served.variables))
        load.url = where.served.url


async def until_postgres_answers(served: Served) -> None:
    async with asyncio.timeout(SETTLED_LIMIT_S):
        while True:
            try:
                await charges_of(served)
            except OUTAGE:
                await asyncio.sleep(0.05)
            else:
                return


async def settled(
    served: Served, backend: Oracle, load: Load, kills: list[float]
) -> dict[str, ChargeState]:
    """Wait until every charge has ended, and all but what a kill caught in flight is captured."""
    limit = time.monotonic() + SETTLED_LIMIT_S
    while True:
        charges = await charges_of(served)
        waiting = [one for one, state in charges.items() if state is ChargeState.OPEN]
        waiting += backend.served.keys() - charges.keys()
        lost = [
            one
            for one in backend.served.keys() - captured_in(charges)
            if one in load.answered
            and not any(abs(load.answered[one] - kill) < UNSETTLED_S for kill in kills)
        ]
        if not waiting and not lost:
            return charges
        assert time.monotonic() < limit, f"{waiting} waiting, {lost} lost: {served.log}"
        await asyncio.sleep(0.3)
