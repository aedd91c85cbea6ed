"""Redis lost, put back, damaged or full: the runbook's lines, typed while gateways serve."""

import asyncio
import random
import resource
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis
from ledger import accounts
from ledger.account_record import AccountRecord, account_field
from ledger.ledger import Ledger, LedgerOptions
from ledger.reasons import Reason
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.runbook import Runbook
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

PLENTY = 1_000_000


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def options(database_url: str, server: EmbeddedRedis) -> LedgerOptions:
    """In the namespace that commands use."""
    return LedgerOptions(database_url, server.url, postgres_connections=4)


def stores(options: LedgerOptions) -> tuple[str, ...]:
    return ("--postgres-url", options.postgres_url, "--redis-url", options.redis_url)


async def named(ledger: Ledger, shop: Shop, name: str = "acme") -> None:
    """Give the shop's account the name it has in the runbook."""
    async with ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE accounts SET external_id = $2 WHERE id = $1", shop.account, name
        )
        assert (await accounts.find(connection, name)).id == shop.account


async def all_collected(ledgers: list[Ledger], shop: Shop) -> None:
    """What was served is taken, once, and nothing else."""
    await quiet(ledgers)
    collected = await shop.collected(ledgers[0])
    assert {hold: units for hold, units in collected.items() if units} == {
        hold: units for hold, units in shop.served.items() if units
    }
    balance = await shop.balance(ledgers[0])
    assert (balance.available, balance.held) == (PLENTY - shop.served_units, 0)
    await assert_sound(ledgers[0])


async def test_redis_is_lost(options: LedgerOptions, server: EmbeddedRedis, folder: Path) -> None:
    book = Runbook("Redis is lost", stores(options))
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        assert await shop.buy(ledgers[0], 40, 30)
        async with ledgers[1].holds.hold(shop.order(20)) as held:
            await asyncio.to_thread(server.kill)
            shutil.rmtree(folder / "redis" / "appendonlydir")
            shop.served[held.id] = 20
            held.capture(20, Reason.DELIVERED, status=200)
        await asyncio.to_thread(server.start)
        await until(lambda: shop.buy(ledgers[0], 10, 10))
        await all_collected(ledgers, shop)
        await book("farebox reconcile")
        await book("farebox verify")
    book.done()


async def test_redis_is_restored_from_an_old_backup(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> None:
    book = Runbook("Redis is restored from an old backup", stores(options))
    live, copy = folder / "redis" / "appendonlydir", folder / "backup"
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        assert await shop.buy(ledgers[0], 40, 30)
        await quiet(ledgers)
        shutil.copytree(live, copy)
        for _ in range(20):
            assert await shop.buy(ledgers[1], 40, 25)

        await asyncio.to_thread(server.kill)
        shutil.rmtree(live)
        shutil.copytree(copy, live)
        await asyncio.to_thread(server.start)
        await until(lambda: shop.buy(ledgers[0], 10, 10))

        await book('farebox rebuild --reason "old data were put into Redis"')
        await all_collected(ledgers, shop)
        await book("farebox reconcile")
        await book("farebox verify")
    book.done()


async def test_a_rebuild_under_load_loses_nothing(options: LedgerOptions) -> None:
    book = Runbook("Redis is restored from an old backup", stores(options))
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        buyers = [
            asyncio.create_task(shop.keep_buying(ledgers[n % 2], random.Random(n)))
            for n in range(8)
        ]
        for _ in range(2):
            enough = len(shop.served) + 20
            await until(lambda enough=enough: len(shop.served) >= enough)
            await book('farebox rebuild --reason "old data were put into Redis"')
        enough = len(shop.served) + 20
        await until(lambda: len(shop.served) >= enough)
        for buyer in buyers:
            assert not buyer.done(), buyer
            buyer.cancel()
        await asyncio.gather(*buyers, return_exceptions=True)
        state = await ledgers[0].state()
        assert state is not None
        assert state.epoch == 3
        await all_collected(ledgers, shop)


async def test_one_account_is_loaded_anew(options: LedgerOptions) -> None:
    book = Runbook("One account differs", stores(options))
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        await named(ledgers[0], shop)
        assert await shop.buy(ledgers[0], 40, 30)
        await quiet(ledgers)
        await halve_the_balance(ledgers[0], shop)
        await ledgers[0]._record_findings()

        found = await book("farebox finding list", code=1)
        number = found.splitlines()[1].split()[0]
        assert "accounts_equal" in found
        await book("farebox finding show 12", as_={"12": number})
        await book('farebox rebuild acme --reason "finding 12"')
        await book(
            'farebox finding resolve 12 --reason "Redis had another balance; loaded anew"',
            as_={"12": number},
        )
        assert await shop.buy(ledgers[0], PLENTY - 30, 10)
        await all_collected(ledgers, shop)
        await book("farebox reconcile")
    book.done()


async def halve_the_balance(ledger: Ledger, shop: Shop) -> None:
    """Change what Redis has, past every script."""
    link = await ledger._reading.link()
    key, field = ledger.shard.keys.balances(ledger.shard.epoch), account_field(shop.account)
    record = AccountRecord.unpack(await link.call("HGET", key, field))
    [pool] = record.pools
    [lot] = pool.lots
    wrong = pool._replace(lots=(lot._replace(remaining=lot.remaining // 2),))
    await link.call("HSET", key, field, replace(record, pools=(wrong,)).pack())


async def test_a_full_disk_of_redis_costs_nothing(
    options: LedgerOptions, server: EmbeddedRedis
) -> None:
    """A limit on the file's size is what the server takes for a full disk."""
    book = Runbook("A disk is full", stores(options))
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        async with ledgers[1].holds.hold(shop.order(20)) as held:
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            with suppress(TimeoutError):
                async with asyncio.timeout(30):
                    while await shop.buy(ledgers[0], 10, 10):
                        pass
            shop.served[held.id] = 20
            held.capture(20, Reason.DELIVERED, status=200)
        assert not await shop.buy(ledgers[0], 10, 10)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        await until(lambda: shop.buy(ledgers[0], 10, 10))
        await all_collected(ledgers, shop)
        await book("farebox reconcile")
        await book("farebox verify")
    book.done()
