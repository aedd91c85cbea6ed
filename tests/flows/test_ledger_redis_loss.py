"""
Whatever Redis loses, what was served is collected once, as long as the gateways live.

FAREBOX_ROUNDS sets how many faults each test causes (default 3).
"""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis
from ledger.ledger import Ledger, LedgerOptions
from ledger.link import Link, RedisError
from ledger.ports import SystemClock
from ledger.reasons import Reason
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "3"))
BUYERS = 8
PLENTY = 1_000_000


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def options(database_url: str, server: EmbeddedRedis, namespace: str) -> LedgerOptions:
    return LedgerOptions(
        postgres_url=database_url,
        redis_url=server.url,
        namespace=namespace,
        postgres_connections=4,
    )


def cut_tail(folder: Path, lost_bytes: int) -> None:
    """Lose the end of the append-only file, as a power failure does."""
    [tail] = (folder / "appendonlydir").glob("*.incr.aof")
    with tail.open("r+b") as file:
        file.truncate(max(tail.stat().st_size - lost_bytes, 0))


class Faults:
    """What may happen to a Redis."""

    def __init__(self, server: EmbeddedRedis, folder: Path, chance: random.Random) -> None:
        self._server = server
        self._folder = folder
        self._chance = chance

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)

    async def cut(self) -> None:
        await asyncio.to_thread(self._server.kill)
        cut_tail(self._folder, self._chance.choice([1, 50, 700, 5_000, 60_000]))
        await asyncio.to_thread(self._server.start)

    async def restart(self) -> None:
        """In order: nothing is lost. (`stop` would also give up the socket's address.)"""
        link = await Link.connect(self._server.url, clock=SystemClock())
        with suppress(RedisError):
            await link.call("SHUTDOWN", "NOSAVE")
        await until(lambda: not self._server.running)
        await asyncio.to_thread(self._server.start)

    async def flush(self) -> None:
        link = await Link.connect(self._server.url, clock=SystemClock())
        await link.call("FLUSHALL")
        link.close()

    async def forget_scripts(self) -> None:
        link = await Link.connect(self._server.url, clock=SystemClock())
        await link.call("SCRIPT", "FLUSH")
        await link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        link.close()


async def busy(shop: Shop, ledgers: list[Ledger], fault: str, faults: Faults) -> None:
    """Buy all the time while a fault happens again and again."""
    chance = random.Random(fault)
    buyers = [
        asyncio.create_task(shop.keep_buying(ledgers[n % len(ledgers)], chance))
        for n in range(BUYERS)
    ]
    for _ in range(ROUNDS):
        await asyncio.sleep(chance.random() * 0.4)
        await getattr(faults, fault)()
        enough = len(shop.served) + 20
        await until(lambda enough=enough: len(shop.served) >= enough)
    for buyer in buyers:
        assert not buyer.done(), buyer
        buyer.cancel()
    await asyncio.gather(*buyers, return_exceptions=True)


@pytest.mark.parametrize("fault", ["kill", "cut", "restart", "flush", "forget_scripts"])
async def test_everything_served_is_collected_once(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path, fault: str
) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        await busy(shop, ledgers, fault, Faults(server, folder, random.Random(fault)))
        await quiet(ledgers)
        collected = await shop.collected(ledgers[0])
        served = {hold: units for hold, units in shop.served.items() if units}
        assert {hold: units for hold, units in collected.items() if units} == served
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.held) == (PLENTY - shop.served_units, 0)
        await assert_sound(ledgers[0])


async def test_restarts_leave_nothing_behind_in_redis(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        await busy(shop, ledgers, "restart", Faults(server, folder, random.Random(1)))
        await quiet(ledgers)
        await ledgers[0].sweeper.drop_epochs()
        await ledgers[0].sweeper.tidy()
        state = await ledgers[0].state()
        assert state is not None
        assert state.epoch > ROUNDS
        link = await Link.connect(server.url, clock=SystemClock())
        epoch, keys = state.epoch, ledgers[0].shard.keys
        names = {name.decode() for name in await link.call("KEYS", f"{options.namespace}:*")}
        assert names <= {*keys.of(epoch), keys.token(epoch, shop.account)}
        assert await link.call("HLEN", keys.holds(epoch)) == 0
        link.close()


async def test_a_hold_of_an_older_epoch_is_captured_in_the_new_one(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    """Postgres knew the hold; the epoch that began meanwhile restores it."""
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        async with ledgers[0].holds.hold(shop.order(40)) as held:
            await posted(ledgers[0])
            await Faults(server, folder, random.Random(1)).flush()
            held.capture(30, Reason.DELIVERED)
        await quiet(ledgers)
        assert await shop.collected(ledgers[0]) == {held.id: 30}
        assert (await shop.balance(ledgers[0])).available == 70
        await assert_sound(ledgers[0])


async def test_a_hold_that_nobody_remembers_is_booked_late(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    """Redis lost it before it was posted, but the gateway that served it lives."""
    ledger = await Ledger.open(options, role="worker")
    shop = await new_shop(ledger, 100)
    await ledger.post_all()
    async with ledger.holds.hold(shop.order(40)) as held:
        await Faults(server, folder, random.Random(1)).flush()
        held.capture(30, Reason.DELIVERED)
    async with running(options, workers=1):
        await quiet([ledger])
        assert await shop.collected(ledger) == {held.id: 30}
        assert (await shop.balance(ledger)).available == 70
        await assert_sound(ledger)
    await ledger.aclose()


async def test_what_is_captured_is_told_again_until_postgres_has_it(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    """Redis said DONE and then lost it, before any poster had read it."""
    ledger = await Ledger.open(options, role="worker")
    shop = await new_shop(ledger, 100)
    await ledger.post_all()
    async with ledger.holds.hold(shop.order(40)) as held:
        held.capture(40, Reason.DELIVERED)
    await until(lambda: ledger.settler.unconfirmed)
    await Faults(server, folder, random.Random(1)).flush()
    async with running(options, workers=1):
        await quiet([ledger])
        assert await shop.collected(ledger) == {held.id: 40}
        assert (await shop.balance(ledger)).available == 60
        await assert_sound(ledger)
    await ledger.aclose()


async def posted(ledger: Ledger) -> None:
    async def all_posted() -> bool:
        state = await ledger.state()
        return state is not None and state.posted_q == state.q

    await until(all_posted)
