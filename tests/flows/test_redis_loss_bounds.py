"""
How much is lost when two things fail at once: never a customer's credit, of the house's the window.

FAREBOX_ROUNDS sets how often (default 1).
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from ledger.ledger import Ledger, LedgerOptions
from ledger.migrations import migrate
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.redis_faults import AOF, Faults
from tests.flows.redis_trial import (
    LIFETIME_MS,
    PLENTY,
    ROUNDS,
    Lost,
    Trial,
    buying,
    lost,
    nothing_was_lost,
)
from tests.flows.test_ledger_deaths import die
from tests.ledger.waiting import until
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

WINDOWS = (12, 40, 150, 600)
KILLED_TOGETHER = "Redis and all gateways killed together, the end of the file lost"
UNWATCHED_S = 0.3
"""How long nobody posts, so that what only Redis and the gateways know fills the window."""


@pytest.fixture
def redis(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    yield server
    server.stop()


async def test_redis_and_all_gateways_killed_together(
    database_url: str, redis: EmbeddedRedis
) -> None:
    """The end of Redis' file is lost, and with it everybody who could have told it again."""
    options = LedgerOptions(database_url, redis.url, postgres_connections=4)
    chance = random.Random("both")
    rows: dict[int, Proof] = {}
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], PLENTY)
        await quiet(ledgers)
    shop.lifetime_ms = LIFETIME_MS
    for number in range(ROUNDS):
        window = WINDOWS[number % len(WINDOWS)]
        asked = len(shop.served) + shop.refused
        before = await all_killed(options, redis, shop, window, chance)
        async with running(options, workers=1) as ledgers:
            trial = Trial(shop, ledgers, chance)
            await trial.healed()
            await quiet(ledgers)
            await assert_sound(ledgers[0])
            balance = await shop.balance(ledgers[0])
            assert (balance.available + balance.used, balance.held) == (PLENTY, 0)
            after = await lost(shop, ledgers[0])
        gone = after.by_house - before.by_house
        assert after.by_customer == 0
        assert gone <= window, number
        so_far = rows.get(window) or Proof("T5", KILLED_TOGETHER, allowed=f"window {window}")
        rows[window] = replace(
            so_far,
            faults=so_far.faults + 1,
            operations=so_far.operations + len(shop.served) + shop.refused - asked,
            lost_by_house=max(so_far.lost_by_house, gone),
            slowest_probe_ms=max(so_far.slowest_probe_ms, trial.slowest_probe_ms, 1),
        )
    for row in rows.values():
        tell(row)


async def all_killed(
    options: LedgerOptions,
    redis: EmbeddedRedis,
    shop: Shop,
    window: int,
    chance: random.Random,
) -> Lost:
    """One life of two gateways and a steward; returns what was lost before it."""
    gateways = [await Ledger.open(options, "worker") for _ in range(2)]
    steward = await Ledger.open(options, "steward")
    before = await lost(shop, steward)
    await until(lambda: shop.buy(gateways[0], 1, 1))
    # Before there is a steward: one that is about to tell Redis the windows of a moment ago
    # would put those back, until it looks again.
    await gateways[0].windows.choose({shop.credit_type: window})
    posting = asyncio.create_task(steward.steward().run())
    async with buying(shop, gateways, chance):
        await asyncio.sleep(UNWATCHED_S * chance.random())
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        nobody_posts = file_of(redis).stat().st_size
        await asyncio.sleep(UNWATCHED_S)
        redis.kill()  # no other task runs until everybody is dead
    for ledger in (*gateways, steward):
        await die(ledger)
    whole = file_of(redis).stat().st_size
    with file_of(redis).open("r+b") as file:
        file.truncate(chance.choice([nobody_posts, chance.randint(nobody_posts, whole)]))
    await asyncio.to_thread(redis.start)
    return before


def file_of(redis: EmbeddedRedis) -> Path:
    [file] = (redis._folder / AOF).glob("*.incr.aof")
    return file


async def test_postgres_killed_in_the_middle_of_posting(
    postgres: EmbeddedPostgres, redis: EmbeddedRedis, folder: Path
) -> None:
    """Every other time Redis loses the end of its file while Postgres is away."""
    await migrate(postgres.url())
    options = LedgerOptions(postgres.url(), redis.url, postgres_connections=4)
    async with running(options) as ledgers:
        async with Trial.on(ledgers, "postgres") as trial:
            faults = Faults(redis, folder / "redis", trial.chance, trial.some_sales)
            for number in range(ROUNDS):
                await trial.some_sales()
                await asyncio.to_thread(postgres.kill)
                with suppress(TimeoutError):  # the window, or the holds' sessions, may be used up
                    async with asyncio.timeout(trial.chance.random()):
                        await trial.some_sales()
                if number % 2:
                    await faults.cut()
                await asyncio.to_thread(postgres.start)
                await trial.healed()
        await nothing_was_lost("Postgres killed while posting, or both stores", trial)
