"""Two things fail at once: what that may cost at most, and whom."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from ledger.ledger import Ledger, LedgerOptions
from ledger.link import Link
from ledger.migrations import migrate
from ledger.ports import SystemClock
from ledger.reasons import Reason
from tests.flows.ledger_traffic import assert_sound, new_shop, quiet, running
from tests.flows.test_ledger_deaths import die
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

WINDOW = 60
PRICE = 10


@pytest.fixture
def redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own: it is emptied."""
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


async def emptied(server: EmbeddedRedis) -> None:
    link = await Link.connect(server.url, clock=SystemClock())
    await link.call("FLUSHALL")
    link.close()


async def test_redis_and_its_gateways_lost_together_cost_the_window_at_most(
    database_url: str, redis: EmbeddedRedis
) -> None:
    """Nobody posts, so all that the window lets through is known to Redis and the gateway alone."""
    options = LedgerOptions(database_url, redis.url, postgres_connections=4)
    gateway = await Ledger.open(options, role="worker")
    shop = await new_shop(gateway, 1_000)
    await gateway.post_all()
    await gateway.windows.choose({shop.credit_type: WINDOW})
    while await shop.buy(gateway, PRICE, PRICE):
        pass
    assert shop.served_units == WINDOW

    await die(gateway)
    await emptied(redis)

    async with running(options, workers=1) as ledgers:
        assert await shop.buy(ledgers[0], PRICE, PRICE)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert shop.served_units - balance.used == WINDOW
        assert (balance.available, balance.held) == (1_000 - balance.used, 0)
        await assert_sound(ledgers[0])


async def test_a_redis_emptied_while_postgres_is_away_costs_nothing(
    postgres: EmbeddedPostgres, redis: EmbeddedRedis
) -> None:
    """Nothing is served until Postgres is back; what was served before is collected then."""
    await migrate(postgres.url())
    options = LedgerOptions(postgres.url(), redis.url, postgres_connections=4)
    async with running(options, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], 1_000)
        await quiet(ledgers)
        async with ledgers[0].holds.hold(shop.order(PRICE)) as held:
            await asyncio.to_thread(postgres.kill)
            await emptied(redis)
            shop.served[held.id] = PRICE
            held.capture(PRICE, Reason.DELIVERED, status=200)
        assert not await shop.buy(ledgers[0], PRICE, PRICE)

        await asyncio.to_thread(postgres.start)
        await until(lambda: shop.buy(ledgers[0], PRICE, PRICE))
        await quiet(ledgers)
        assert await shop.collected(ledgers[0]) == shop.served
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.held) == (1_000 - 2 * PRICE, 0)
        await assert_sound(ledgers[0])
