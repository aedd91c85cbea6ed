"""
Gateways, stewards and Postgres die; every hold ends once, and what was posted stays.

FAREBOX_ROUNDS sets how often (default 3).
"""

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.stores import EmbeddedPostgres
from ledger.holds import Held
from ledger.ledger import Ledger, LedgerOptions
from ledger.migrations import migrate
from ledger.reasons import Reason
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "3"))
PLENTY = 1_000_000


@pytest.fixture
def options(database_url: str, redis_url: str, namespace: str) -> LedgerOptions:
    return LedgerOptions(
        postgres_url=database_url,
        redis_url=redis_url,
        namespace=namespace,
        postgres_connections=4,
    )


async def die(ledger: Ledger, requests: Sequence["asyncio.Task[None]"] = ()) -> None:
    """End without a word to anyone, as kill -9 does: nothing more is sent."""
    ledger.shard.stop()
    await ledger.settler.aclose()
    await end(requests)
    await ledger.aclose()


async def end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_holds_of_a_dead_gateway_come_back(options: LedgerOptions) -> None:
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        dying = await Ledger.open(options, role="worker")
        for units in (10, 20, 30):
            await dying.holds.open(shop.order(units, lifetime_ms=200))
        await die(dying)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.held, balance.used) == (100, 0, 0)
        await assert_sound(ledgers[0])


async def test_gateways_that_die_in_the_middle_of_traffic(options: LedgerOptions) -> None:
    """What they had served and not told is lost to the house; nobody pays for anything else."""
    chance = random.Random(3)
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        untold: set[bytes] = set()
        for _ in range(ROUNDS):
            dying = await Ledger.open(options, role="worker")
            theirs, others = (
                [asyncio.create_task(shop.keep_buying(ledger, chance)) for _ in range(4)]
                for ledger in (dying, ledgers[0])
            )
            await asyncio.sleep(0.2 + chance.random() * 0.3)
            await die(dying, theirs)
            await end(others)
            untold |= dying.settler._asked.keys() | dying.settler._waiting.keys()
        await quiet(ledgers)
        collected = await shop.collected(ledgers[0])
        for hold, units in collected.items():
            assert units == shop.served[hold]
        missing = {hold for hold, units in shop.served.items() if units} - collected.keys()
        assert missing <= untold
        await assert_sound(ledgers[0])


async def test_a_steward_that_dies_is_followed_by_another(options: LedgerOptions) -> None:
    chance = random.Random(4)
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        buyers = [asyncio.create_task(shop.keep_buying(ledgers[n % 2], chance)) for n in range(4)]
        for _ in range(ROUNDS):
            second = await Ledger.open(options, role="steward")
            working = asyncio.create_task(second.poster.run())  # not elected, at work all the same
            await asyncio.sleep(0.2)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await die(second)
        await end(buyers)
        await quiet(ledgers)
        state = await ledgers[0].state()
        assert state is not None
        assert state.epoch == 1
        assert (await shop.balance(ledgers[0])).used == shop.served_units
        await assert_sound(ledgers[0])


async def test_work_that_outlives_its_hold_is_booked_late(options: LedgerOptions) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        held = await overdue_hold(shop, ledgers, 40)
        held.capture(30, Reason.DELIVERED, status=200)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.used, balance.debt) == (70, 30, 0)
        assert await shop.collected(ledgers[0]) == {held.id: 30}
        await assert_sound(ledgers[0])


async def test_late_work_takes_what_is_left_and_the_rest_is_written_off(
    options: LedgerOptions,
) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        held = await overdue_hold(shop, ledgers, 40)
        assert await shop.buy(ledgers[0], 90, 90)
        held.capture(30, Reason.DELIVERED, status=200)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.used, balance.debt) == (0, 100, 0)
        assert (await shop.collected(ledgers[0]))[held.id] == 30
        async with ledgers[0].database.connection() as connection:
            assert await connection.fetchval("SELECT sum(written_off) FROM pools") == 20
        await assert_sound(ledgers[0])


async def overdue_hold(shop: Shop, ledgers: list[Ledger], units: int) -> Held:
    """A hold that expired while its gateway was still at work (its renewals did not arrive)."""
    held = await ledgers[1].holds.open(shop.order(units, lifetime_ms=100))
    ledgers[1].holds._open.clear()
    await until(ledgers[0].sweeper.expire_holds)
    return held


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop()


async def test_a_postgres_that_dies_costs_nobody_anything(
    postgres: EmbeddedPostgres, redis_url: str, namespace: str
) -> None:
    """Requests go on while it is away; afterwards everything is posted, once."""
    await migrate(postgres.url())
    options = LedgerOptions(
        postgres_url=postgres.url(),
        redis_url=redis_url,
        namespace=namespace,
        postgres_connections=4,
    )
    chance = random.Random(5)
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        for ledger in ledgers:
            await ledger.shard.ready()
        buyers = [asyncio.create_task(shop.keep_buying(ledgers[n % 2], chance)) for n in range(4)]
        for _ in range(min(ROUNDS, 5)):
            await asyncio.sleep(chance.random() * 0.3)
            await asyncio.to_thread(postgres.kill)
            enough = len(shop.served) + 20
            await until(lambda enough=enough: len(shop.served) >= enough)
            await asyncio.to_thread(postgres.start)
        for buyer in buyers:
            assert not buyer.done(), buyer
        await end(buyers)
        await quiet(ledgers)
        served = {hold: units for hold, units in shop.served.items() if units}
        collected = await shop.collected(ledgers[0])
        assert {hold: units for hold, units in collected.items() if units} == served
        state = await ledgers[0].state()
        assert state is not None
        assert state.epoch == 1
        await assert_sound(ledgers[0])
