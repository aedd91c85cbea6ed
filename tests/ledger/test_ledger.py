"""The ledger as a process uses it: opened on two stores, and everything works together."""

import asyncio
import importlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ledger as door
import ledger.ledger as ledger_module
from gateway.stores import EmbeddedRedis
from ledger import accounts, api_keys, controls, credit_types, grants
from ledger.database import Connection
from ledger.errors import BadKey, InsufficientCredits, LedgerUnavailable
from ledger.hold_order import HoldOrder
from ledger.ledger import Ledger, LedgerOptions
from ledger.reasons import Reason
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


class Shop:
    """A ledger with its steward at work, and one account with a key."""

    def __init__(self, ledger: Ledger, account: int, key: int, secret: str, credit_type: int):
        self.ledger = ledger
        self.account = account
        self.key = key
        self.secret = secret
        self.credit_type = credit_type

    def order(self, ceiling: int) -> HoldOrder:
        return HoldOrder(
            account=self.account,
            key=self.key,
            credit_type=self.credit_type,
            ceiling=ceiling,
            version=1,
            rule=0,
            lifetime_ms=60_000,
        )

    async def grant(self, units: int, **more: object) -> None:
        grant = controls.Grant(self.credit_type, units, **more)  # type: ignore[arg-type]
        async with self.ledger.database.connection() as connection:
            await grants.give(connection, self.account, grant, actor="test", reference=None)
        assert await self.ledger.pusher.push(self.account) == "applied"

    async def balance(self) -> accounts.Balance:
        async with self.ledger.database.connection() as connection:
            [balance] = await accounts.balances(connection, self.account)
        return balance

    async def until(self, condition: Callable[[accounts.Balance], bool]) -> accounts.Balance:
        """Wait for the steward to bring Postgres there."""

        async def reached() -> bool:
            return condition(await self.balance())

        await until(reached)
        return await self.balance()


@pytest.fixture
def options(database_url: str, redis_url: str, namespace: str) -> LedgerOptions:
    return LedgerOptions(postgres_url=database_url, redis_url=redis_url, namespace=namespace)


@pytest.fixture
async def ledger(options: LedgerOptions) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(options, role="worker")
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def shop(ledger: Ledger) -> AsyncIterator[Shop]:
    async with ledger.database.connection() as connection:
        types = await credit_types.register(connection, {"credits": 0})
        account = await accounts.create(connection, actor="test", external_id="acme")
        made = await api_keys.create(
            connection, account.id, actor="test", random_bytes=secrets.token_bytes
        )
    await ledger.windows.choose({types["credits"]: 1_000_000})
    steward = asyncio.create_task(ledger.steward().run())
    shop = Shop(ledger, account.id, made.key.id, made.secret, types["credits"])
    await shop.grant(100)
    yield shop
    steward.cancel()
    await asyncio.gather(steward, return_exceptions=True)


async def test_a_charge_goes_from_hold_to_postgres_by_itself(shop: Shop) -> None:
    async with shop.ledger.holds.hold(shop.order(30)) as held:
        assert held.available == 70
        held.capture(20, Reason.DELIVERED, status=200)
    balance = await shop.until(lambda balance: balance.used == 20)
    assert (balance.available, balance.held) == (80, 0)
    assert await shop.ledger.settler.drain(10) == 0
    assert shop.ledger.settler.unconfirmed == 0


async def test_a_block_that_decides_nothing_gives_everything_back(shop: Shop) -> None:
    with pytest.raises(ZeroDivisionError):
        async with shop.ledger.holds.hold(shop.order(30)):
            _ = 1 // 0
    assert await shop.ledger.settler.drain(10) == 0
    balance = await shop.until(lambda balance: balance.available == 100)
    assert (balance.held, balance.used) == (0, 0)


async def test_more_than_there_is_cannot_be_held(shop: Shop) -> None:
    with pytest.raises(InsufficientCredits) as refused:
        async with shop.ledger.holds.hold(shop.order(101)):
            pytest.fail("the request must not be served")
    assert (refused.value.needed, refused.value.available) == (101, 100)


async def test_a_revoked_key_is_refused_at_once(shop: Shop) -> None:
    async with shop.ledger.database.connection() as connection:
        await api_keys.revoke(connection, shop.key, actor="test")
    assert await shop.ledger.pusher.push(shop.account) == "applied"
    with pytest.raises(BadKey):
        async with shop.ledger.holds.hold(shop.order(1)):
            pytest.fail("the request must not be served")


async def test_a_grant_for_later_enters_when_its_time_has_come(shop: Shop) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    await shop.grant(50, effective_at=soon)
    assert (await shop.balance()).granted in (0, 100)
    balance = await shop.until(lambda balance: balance.granted == 150)
    assert balance.available == 150


async def test_what_is_left_in_a_lot_expires_by_itself(shop: Shop) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    await shop.grant(50, expires_at=soon)
    await shop.until(lambda balance: balance.granted == 150)
    async with asyncio.timeout(30):
        while (await shop.balance()).expired != 50:
            await shop.ledger.sweeper.expire_lots()
    assert (await shop.balance()).available == 100


async def test_a_second_process_shares_everything(shop: Shop, options: LedgerOptions) -> None:
    other = await Ledger.open(options, role="worker")
    async with other.holds.hold(shop.order(60)) as held:
        assert held.available == 40
        with pytest.raises(InsufficientCredits):
            async with shop.ledger.holds.hold(shop.order(41)):
                pytest.fail("the request must not be served")
        held.void(Reason.STATUS, status=500)
    assert await other.aclose(drain_s=10) == 0
    assert (await shop.until(lambda balance: balance.available == 100)).held == 0


async def test_a_command_alone_can_post_what_it_did(ledger: Ledger) -> None:
    async with ledger.database.connection() as connection:
        types = await credit_types.register(connection, {"credits": 0})
        account = await accounts.create(connection, actor="test")
        grant = controls.Grant(types["credits"], 70)
        await grants.give(connection, account.id, grant, actor="test", reference=None)
    assert await ledger.pusher.push(account.id) == "applied"
    await ledger.post_all()
    async with ledger.database.connection() as connection:
        [balance] = await accounts.balances(connection, account.id)
    assert balance.available == 70


async def test_readiness_names_the_store_that_is_away(options: LedgerOptions) -> None:
    away = LedgerOptions(
        postgres_url=options.postgres_url, redis_url="redis://127.0.0.1:1", namespace="none"
    )
    ledger = await Ledger.open(away)
    with pytest.raises(LedgerUnavailable, match="Redis"):
        await ledger.ready()
    await ledger.aclose()


async def test_readiness_asks_a_redis_that_was_there_before(
    database_url: str, namespace: str, folder: Path
) -> None:
    redis = EmbeddedRedis(folder / "redis")
    redis.start()
    ledger = await Ledger.open(
        LedgerOptions(database_url, redis.url, namespace, redis_timeout_ms=200)
    )
    await ledger.ready()
    os.kill(redis.pid, signal.SIGSTOP)  # no connection is lost, and nothing answers
    try:
        with pytest.raises(LedgerUnavailable, match="Redis"):
            await ledger.ready()
        with pytest.raises(LedgerUnavailable, match="Redis"):
            await ledger.reconcile()
    finally:
        os.kill(redis.pid, signal.SIGCONT)
        await ledger.aclose()
        redis.stop()


async def test_readiness_waits_for_postgres_for_a_limited_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.ready()
    monkeypatch.setattr(ledger_module, "READY_LIMIT_S", 0.05)
    stuck, connection = asyncio.Event(), ledger.database.connection

    @asynccontextmanager
    async def silent() -> AsyncIterator[Connection]:
        await stuck.wait()
        async with connection() as lent:
            yield lent

    monkeypatch.setattr(ledger.database, "connection", silent)
    with pytest.raises(LedgerUnavailable, match="Postgres does not answer"):
        await ledger.ready()
    monkeypatch.undo()
    stuck.set()
    await ledger.ready()


async def test_a_postgres_that_is_away_is_said_at_once(options: LedgerOptions) -> None:
    away = LedgerOptions(
        postgres_url="postgresql://nobody@127.0.0.1:1/none", redis_url=options.redis_url
    )
    with pytest.raises(LedgerUnavailable, match="Postgres"):
        await Ledger.open(away)


async def test_windows_survive_a_new_epoch_that_another_process_opened(
    shop: Shop, options: LedgerOptions
) -> None:
    await shop.ledger.windows.choose({shop.credit_type: 123_456})
    other = await Ledger.open(options)
    before = shop.ledger.shard.epoch
    link = await other._connect()
    await other.poster._fence.end(link, before, "a test")
    link.close()
    await shop.grant(1)
    state = await shop.ledger.state()
    assert state is not None
    assert state.epoch == before + 1
    assert [of_type.window for of_type in state.types] == [123_456]
    await other.aclose()


async def test_windows_chosen_while_redis_is_away_are_told_later(
    shop: Shop, options: LedgerOptions
) -> None:
    away = await Ledger.open(replace(options, redis_url="redis://127.0.0.1:1"))
    await away.windows.choose({shop.credit_type: 123_456})
    await away.aclose()
    await shop.ledger.windows.tell()
    state = await shop.ledger.state()
    assert state is not None
    assert [of_type.window for of_type in state.types] == [123_456]


def test_the_door_names_modules_that_are_there() -> None:
    assert door.__all__ == sorted(door.__all__)
    for name in door.__all__:
        importlib.import_module(f"ledger.{name}")
