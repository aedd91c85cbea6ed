"""
What each dial costs, measured: the figures of `docs/operations.md` come from here, with -s.

FAREBOX_CHARGES sets how many charges are made (default 200; the figures: 20000).
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis
from ledger.books import ChargeState
from ledger.ledger import Ledger, LedgerOptions
from tests.flows.ledger_traffic import assert_sound, new_shop, quiet, running
from tests.flows.test_ledger_deaths import die
from tests.flows.test_strict import state_of
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

CHARGES = int(os.environ.get("FAREBOX_CHARGES", "200"))
AT_ONCE = 64
PRICE = 10
WINDOWS = (50, 500)


async def test_a_window_is_what_is_served_without_postgres(
    database_url: str, redis_url: str, namespace: str
) -> None:
    """Nobody posts: each window lets through exactly itself, and that is what can be lost."""
    options = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    gateway = await Ledger.open(options, role="worker")
    for window in WINDOWS:
        shop = await new_shop(gateway, 10_000)
        await gateway.post_all()
        await gateway.windows.choose({shop.credit_type: window})
        while await shop.buy(gateway, PRICE, PRICE):
            pass
        assert shop.served_units == window
        print(f"window {window}: {len(shop.served)} calls of {PRICE} go on without Postgres")
    await gateway.aclose()


async def test_what_is_kept_takes_so_many_bytes(
    database_url: str, redis_url: str, namespace: str
) -> None:
    options = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    async with running(options, workers=1) as ledgers:
        ledger = ledgers[0]
        shop = await new_shop(ledger, 100 * CHARGES)
        await quiet(ledgers)
        before = await charges_bytes(ledger)
        left = CHARGES
        while left:
            together = min(left, AT_ONCE)
            served = await asyncio.gather(
                *(shop.buy(ledger, PRICE, PRICE // 2) for _ in range(together))
            )
            left -= sum(served)
        await quiet(ledgers)
        in_postgres = (await charges_bytes(ledger) - before) // CHARGES
        link = await ledger._reading.link()
        journal = ledger.shard.keys.journal(ledger.shard.epoch)
        in_redis = await link.call("MEMORY", "USAGE", journal, "SAMPLES", 0) // CHARGES
        print(
            f"{CHARGES} metered charges: {in_postgres} bytes each in Postgres with indexes, "
            f"{in_redis} in the journal ({AT_ONCE} at once)"
        )
        assert len(shop.served) == CHARGES
        assert in_redis > 0
        assert in_postgres > 0


async def test_a_lifetime_is_how_long_the_hold_of_a_dead_gateway_lasts(
    database_url: str, redis_url: str, namespace: str
) -> None:
    options = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    dying = await Ledger.open(options, role="worker")
    shop = await new_shop(dying, 1_000)
    brief = await dying.holds.open(shop.order(PRICE, lifetime_ms=1_000))
    lasting = await dying.holds.open(shop.order(PRICE, lifetime_ms=600_000))
    await dying.post_all()
    await die(dying)
    async with running(options, workers=1) as ledgers:

        async def expired() -> bool:
            await ledgers[0].sweeper.expire_holds()
            await ledgers[0].post_all()
            return await state_of(ledgers[0], brief.id) == ChargeState.EXPIRED

        await until(expired)
        assert await state_of(ledgers[0], lasting.id) == ChargeState.OPEN
        assert (await shop.balance(ledgers[0])).held == PRICE


async def test_syncing_each_write_costs_time_and_changes_no_sum(
    database_url: str, folder: Path
) -> None:
    """`appendfsync always` beside `everysec`, in turns on one server; the ratio is printed."""
    server = EmbeddedRedis(folder / "redis")
    server.start()
    try:
        options = LedgerOptions(database_url, server.url, postgres_connections=4)
        async with running(options, workers=1) as ledgers:
            shop = await new_shop(ledgers[0], 100 * CHARGES)
            link = await ledgers[0]._reading.link()
            assert await link.call("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"everysec"]
            for at_once in (1, AT_ONCE):
                took = {"everysec": 0.0, "always": 0.0}
                for setting in list(took) * 2:
                    await link.call("CONFIG", "SET", "appendfsync", setting)
                    began = time.monotonic()
                    for _ in range(max(CHARGES // 8 // at_once, 1)):
                        calls = (shop.buy(ledgers[0], PRICE, PRICE // 2) for _ in range(at_once))
                        assert all(await asyncio.gather(*calls))
                    took[setting] += time.monotonic() - began
                ratio = took["always"] / took["everysec"] if took["everysec"] else 0
                print(f"{at_once} at once: with appendfsync always a call takes {ratio:.1f} times")
            await quiet(ledgers)
            assert await shop.collected(ledgers[0]) == shop.served
            await assert_sound(ledgers[0])
    finally:
        server.stop()


async def charges_bytes(ledger: Ledger) -> int:
    """What the charges of all months take, indexes included."""
    async with ledger.database.connection() as connection:
        size: int = await connection.fetchval(
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
            " WHERE inhparent = 'charges'::regclass"
        )
    return size
