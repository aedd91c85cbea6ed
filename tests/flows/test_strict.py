"""
What a strict route buys: no call is forwarded that a loss of Redis and its gateway could hide.

The house still loses the price of a call whose gateway died with what it knew, as it does without
any loss of Redis. But Postgres shows the call, its account and what it could have cost.

FAREBOX_STRICT_ROUNDS says how many double faults there are (default 2).
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway.stores import EmbeddedRedis
from ledger import charges
from ledger.books import ChargeState
from ledger.errors import LedgerUnavailable, NotFound
from ledger.ledger import Ledger, LedgerOptions
from ledger.reasons import Reason
from tests.counting_backend import counting_backend
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.load import charges_of
from tests.flows.test_ledger_deaths import die
from tests.flows.test_ledger_double_faults import emptied
from tests.ledger.waiting import until
from tests.proof import Proof, tell
from tests.served import Served, command, funded, start, stop, until_running

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_STRICT_ROUNDS", "1"))
CALLS = 6
PRICE = 10
LIFETIME_MS = 4_000
PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes: [{ path: /hang, methods: [GET], upstream: api, price: 10, strict: true, lifetime: 10s }]
"""


@pytest.fixture
def redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own: it is emptied."""
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield server
    server.stop()


async def forwarded(gateway: Ledger, shop: Shop, *, strict: bool) -> bytes:
    """One call up to the moment at which the upstream has it, and no further."""
    held = await gateway.holds.open(shop.order(PRICE, LIFETIME_MS))
    if strict:
        await gateway.posted_holds.wait(held.id, held.epoch)
    shop.served[held.id] = PRICE
    return held.id


async def state_of(ledger: Ledger, charge_id: bytes) -> ChargeState | None:
    async with ledger.database.connection() as connection:
        try:
            return (await charges.get(connection, charge_id)).state
        except NotFound:
            return None


@pytest.mark.parametrize("strict", [True, False])
async def test_redis_and_gateway_lost_right_after_the_upstream_was_called(
    database_url: str, redis: EmbeddedRedis, strict: bool
) -> None:
    """Strict: Postgres knows every call. Else, with posting behind, it knows of none."""
    options = LedgerOptions(database_url, redis.url, postgres_connections=4)
    granted, hidden = 1_000, 0
    setup = await Ledger.open(options)
    shop = await new_shop(setup, granted)
    await setup.post_all()
    await setup.aclose()
    for _ in range(ROUNDS):
        shop.served.clear()
        gateway = await Ledger.open(options, role="worker")
        if strict:
            async with running(options, workers=1):
                calls = (forwarded(gateway, shop, strict=True) for _ in range(CALLS))
                await asyncio.gather(*calls)
        else:  # nobody posts: what the window lets through
            for _ in range(CALLS):
                await forwarded(gateway, shop, strict=False)
        await die(gateway)
        await emptied(redis)

        looking = await Ledger.open(options)  # nobody sweeps yet
        known = {call for call in shop.served if await state_of(looking, call) == ChargeState.OPEN}
        hidden += len(shop.served.keys() - known)
        await looking.shard.ready(30)
        # In the new epoch, what is known cannot be spent a second time meanwhile.
        assert await looking.holds.check(shop.order(1)) == granted - PRICE * len(known)
        await looking.aclose()

        async with running(options, workers=1) as ledgers:
            await quiet(ledgers)
            ended = {call: await state_of(ledgers[0], call) for call in shop.served}
            assert {ended[call] for call in known} <= {ChargeState.EXPIRED}
            balance = await shop.balance(ledgers[0])
            assert (balance.available, balance.held) == (granted, 0)
            await assert_sound(ledgers[0])
    assert hidden == (0 if strict else ROUNDS * CALLS)
    if strict:
        tell(
            Proof(
                "T5",
                "strict route: Redis emptied and its gateway killed after the upstream was called",
                faults=2 * ROUNDS,
                operations=ROUNDS * CALLS,
                lost_by_house=CALLS * PRICE,
                allowed="what the dead gateway had under way; Postgres shows each as expired",
            )
        )


async def test_a_served_strict_call_survives_redis_with_its_gateway_alive(
    database_url: str, redis: EmbeddedRedis
) -> None:
    options = LedgerOptions(database_url, redis.url, postgres_connections=4)
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        async with ledgers[0].holds.hold(shop.order(PRICE)) as held:
            await ledgers[0].posted_holds.wait(held.id, held.epoch)
            await emptied(redis)
            held.capture(PRICE, Reason.DELIVERED, status=200)
        await quiet(ledgers)
        assert (await shop.balance(ledgers[0])).used == PRICE
        await assert_sound(ledgers[0])


async def test_a_redis_emptied_while_strict_calls_wait_forwards_none_that_postgres_lacks(
    database_url: str, redis: EmbeddedRedis
) -> None:
    """Faults before the upstream: each call is either in Postgres or refused, and all comes back."""
    options = LedgerOptions(database_url, redis.url, postgres_connections=4)
    refused = 0
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], 1_000)
        await quiet(ledgers)

        async def call() -> None:
            nonlocal refused
            try:
                async with ledgers[0].holds.hold(shop.order(PRICE)) as held:
                    await ledgers[0].posted_holds.wait(held.id, held.epoch)
                    assert await state_of(ledgers[0], held.id) == ChargeState.OPEN
                    shop.served[held.id] = PRICE
                    held.capture(PRICE, Reason.DELIVERED, status=200)
            except LedgerUnavailable:
                refused += 1

        for _ in range(ROUNDS):
            calls = [asyncio.create_task(call()) for _ in range(CALLS)]
            await until(lambda: ledgers[0].posted_holds._waiting)
            await emptied(redis)
            await asyncio.gather(*calls)
        await quiet(ledgers)
        assert await shop.collected(ledgers[0]) == shop.served
        assert len(shop.served) + refused == ROUNDS * CALLS
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.held) == (1_000 - shop.served_units, 0)
        await assert_sound(ledgers[0])


@pytest.mark.slow
async def test_real_processes_killed_and_redis_gone_while_the_upstream_works(folder: Path) -> None:
    """kill -9 of the gateway and its Redis, whose files are gone too: each call is in Postgres."""
    async with counting_backend() as backend:
        prices = PRICES.replace("{api}", backend.url)
        process = start(folder, prices, "--workers", "1")
        try:
            served = await asyncio.to_thread(until_running, process, folder)
            headers = await funded(served, 1_000)
            async with httpx.AsyncClient(headers=headers, timeout=60) as client:
                calls = [
                    asyncio.create_task(client.get(f"{served.url}/hang")) for _ in range(CALLS)
                ]
                await until(lambda: len(backend.served) == CALLS)
                await kill_all(served)
                await asyncio.gather(*calls, return_exceptions=True)
            shutil.rmtree(folder / "data" / "redis")

            process = start(folder, prices, "--workers", "1")
            served = await asyncio.to_thread(until_running, process, folder)
            known = await charges_of(served)
            assert known.keys() == backend.served.keys()
            await until(partial(all_expired, served))
            shown = await command(served, "account", "show", "acme")
            (balance,) = shown["balances"]
            assert (balance["used"], balance["held"], balance["available"]) == (0, 0, 1_000)
            for audit in ("verify", "reconcile"):
                await command(served, audit)
        finally:
            await asyncio.to_thread(stop, process, folder)


async def kill_all(served: Served) -> None:
    """SIGKILL to every process of a gateway, its stores too."""
    stores = [served.store_pid("valkey"), served.store_pid("postgres")]
    for pid in (served.process.pid, *served.children().values(), *stores):
        with suppress(ProcessLookupError):  # the end of one may be the end of another
            os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(served.process.wait)


async def all_expired(served: Served) -> bool:
    return set((await charges_of(served)).values()) == {ChargeState.EXPIRED}
