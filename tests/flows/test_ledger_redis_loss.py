"""
Whatever Redis loses, what was served is collected once, as long as the gateways live.

FAREBOX_ROUNDS sets how many faults each test causes (default 1).
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.stores import EmbeddedRedis, StoreMissing, find_redis
from ledger.ledger import Ledger, LedgerOptions
from ledger.link import Link
from ledger.ports import SystemClock
from ledger.reasons import Reason
from tests.flows.ledger_traffic import assert_sound, new_shop, quiet, running
from tests.flows.redis_faults import Faults, asked, linked
from tests.flows.redis_trial import (
    OF_EACH,
    PLENTY,
    ROUNDS,
    Lost,
    Trial,
    buying,
    lost,
    nothing_was_lost,
    sold,
)
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


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


SINGLE = {
    "kill": "Redis killed",
    "cut": "Redis killed, the end of its file lost",
    "restart": "Redis restarted in order",
    "flush": "FLUSHALL",
    "flush_database": "FLUSHDB",
    "disk_gone": "Redis and its disk gone",
    "forget": "scripts, functions and connections gone",
    "forget_scripts": "SCRIPT FLUSH under connections that stay",
    "older_copy": "an older copy put back, also of an earlier epoch",
    "killed_while_rewriting": "killed while the file is rewritten",
    "read_only": "READONLY for a while",
    "swap_databases": "older data swapped in under live connections: SWAPDB",
    "restore_keys": "older data swapped in under live connections: RESTORE",
    "reload_older": "older data swapped in under live connections: DEBUG RELOAD",
    "follow_another_and_back": "older data swapped in under live connections: REPLICAOF",
}
ON_BOTH = ("cut", "flush", "older_copy", "swap_databases", "reload_older")
"""Also on the other program, Redis beside Valkey."""

VARIANTS = [
    *((fault, "valkey-server") for fault in SINGLE),
    *((fault, "redis-server") for fault in ON_BOTH),
]


@pytest.fixture
def program(request: pytest.FixtureRequest, folder: Path) -> Iterator[EmbeddedRedis]:
    """A server of the program that the variant names."""
    try:
        server = server_of(folder, request.param)
    except StoreMissing:
        pytest.skip(f"{request.param} is not installed")
    server.start()
    yield server
    server.stop()


def server_of(folder: Path, name: str) -> EmbeddedRedis:
    return EmbeddedRedis(
        folder, program=find_redis((name,)), settings={"enable-debug-command": "yes"}
    )


@pytest.mark.parametrize(("fault", "program"), VARIANTS, indirect=["program"])
async def test_everything_served_is_collected_once(
    database_url: str, program: EmbeddedRedis, folder: Path, fault: str, request: Any
) -> None:
    options = LedgerOptions(database_url, program.url, postgres_connections=4)
    async with running(options) as ledgers:
        async with Trial.on(ledgers, fault) as trial:
            faults = Faults(program, folder, trial.chance, trial.some_sales)
            for _ in range(OF_EACH if fault in ON_BOTH else ROUNDS):
                await trial.suffer(getattr(faults, fault))
        name = request.node.callspec.params["program"].partition("-")[0]
        await nothing_was_lost(f"{SINGLE[fault]} ({name})", trial)


async def test_restarts_leave_nothing_behind_in_redis(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        chance = random.Random(1)
        faults = Faults(server, folder, chance, lambda: sold(shop, 1))
        async with buying(shop, ledgers, chance):
            for _ in range(ROUNDS):
                await sold(shop, 20)
                await faults.restart()
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
            await asked(server, "FLUSHALL")
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
        await asked(server, "FLUSHALL")
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
    await asked(server, "FLUSHALL")
    async with running(options, workers=1):
        await quiet([ledger])
        assert await shop.collected(ledger) == {held.id: 40}
        assert (await shop.balance(ledger)).available == 60
        await assert_sound(ledger)
    await ledger.aclose()


async def test_another_history_with_the_same_numbers_is_told_apart(
    options: LedgerOptions, server: EmbeddedRedis
) -> None:
    """
    Older data were swapped in, and grew past every number that anybody had seen.

    Neither the server nor a position shows it then; only the chain does.
    """
    one, other = [await Ledger.open(options, "worker") for _ in range(2)]
    try:
        shop = await new_shop(one, PLENTY)
        for ledger in (one, other):
            assert await shop.buy(ledger, 5, 5)
        await until(lambda: not (one.settler.unsettled or other.settler.unsettled))
        await one.post_all()
        epoch = one.shard.epoch
        async with linked(server) as link:
            for name in await link.call("KEYS", f"{options.namespace}:*"):
                await link.call("COPY", name, name, "DB", "1", "REPLACE")
            assert await shop.buy(one, 7, 7)
            await until(lambda: not one.settler.unsettled)
            await one.post_all()
            assert await shop.buy(one, 9, 9)
            await until(lambda: not one.settler.unsettled)
            await link.call("SWAPDB", "0", "1")
        for _ in range(4):
            assert await shop.buy(other, 11, 11)
            await until(lambda: not other.settler.unsettled)  # entries of one fact each
        state = await one.state()
        assert state is not None
        assert (state.epoch, other.shard.epoch) == (epoch, epoch)
        assert state.q > one.shard.watermark  # so nobody's number is missing

        async with running(options, workers=1):
            await quiet([one, other])
            assert await lost(shop, one) == Lost(0, 0)
            assert (await shop.balance(one)).available == PLENTY - shop.served_units
            await assert_sound(one)
        async with one.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM dead_facts") == 0
    finally:
        for ledger in (one, other):
            await ledger.aclose()


async def posted(ledger: Ledger) -> None:
    async def all_posted() -> bool:
        state = await ledger.state()
        return state is not None and state.posted_q == state.q

    await until(all_posted)
