"""Postgres put back beside a Redis that knows more: the runbook's lines, typed."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backup import back_up
from gateway.stores import EmbeddedRedis
from ledger.errors import AccountFrozen
from ledger.ledger import Ledger, LedgerOptions
from tests.charging import Stores
from tests.control import Control, control
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.runbook import Runbook, typed
from tests.flows.test_restore import restore
from tests.selling import PRICES, Buyer, Market
from tests.standin import RunningStandIn, running_standin

pytestmark = pytest.mark.anyio

HEADING = "Postgres is restored to a point in time"
REBUILD = 'farebox rebuild --reason "restored to 14:00"'
FUNDS = 1_000


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def before(database_url: str, server: EmbeddedRedis) -> LedgerOptions:
    return LedgerOptions(database_url, server.url, postgres_connections=4)


@pytest.fixture
def after(empty_database_url: str, server: EmbeddedRedis) -> LedgerOptions:
    """The same Redis beside the database that is restored."""
    return LedgerOptions(empty_database_url, server.url, postgres_connections=4)


def flags(options: LedgerOptions) -> tuple[str, ...]:
    return ("--postgres-url", options.postgres_url, "--redis-url", options.redis_url)


async def named(ledger: Ledger, account: int) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute("UPDATE accounts SET external_id = 'acme' WHERE id = $1", account)


async def a_shop(ledger: Ledger) -> Shop:
    shop = await new_shop(ledger, FUNDS)
    await named(ledger, shop.account)
    assert await shop.buy(ledger, 40, 30)
    await quiet([ledger])
    return shop


async def test_a_journal_that_goes_back_far_enough_tells_postgres_again(
    before: LedgerOptions, after: LedgerOptions, tmp_path: Path
) -> None:
    book, file = Runbook(HEADING, flags(after)), tmp_path / "ledger.dump"
    async with running(before, workers=1) as ledgers:
        shop = await a_shop(ledgers[0])
        await asyncio.to_thread(back_up, before.postgres_url, file)
        for cost in (5, 10, 20):
            assert await shop.buy(ledgers[0], 20, cost)
        await quiet(ledgers)
    await asyncio.to_thread(restore, file, after.postgres_url)

    await book(REBUILD)
    await book("farebox fact list")

    async with running(after, workers=1) as ledgers:
        assert await shop.collected(ledgers[0]) == shop.served
        assert await shop.buy(ledgers[0], FUNDS - 65, 1)
        await quiet(ledgers)
        await assert_sound(ledgers[0])
    await book("farebox verify")
    await book("farebox reconcile")


async def test_an_account_whose_grant_was_lost_is_quarantined_and_comes_back(
    before: LedgerOptions, after: LedgerOptions, tmp_path: Path
) -> None:
    book, file = Runbook(HEADING, flags(after)), tmp_path / "ledger.dump"
    settling = Runbook("An account is in quarantine", flags(after))
    async with running(before, workers=1) as ledgers:
        shop, other = await a_shop(ledgers[0]), await new_shop(ledgers[0], FUNDS)
        await quiet(ledgers)
        await asyncio.to_thread(back_up, before.postgres_url, file)
        await shop.grant(ledgers[0], 100)
        assert await ledgers[0].pusher.push(shop.account) == "applied"
        assert await shop.buy(ledgers[0], 40, 30)
        assert await other.buy(ledgers[0], 40, 7)
        await quiet(ledgers)
    await asyncio.to_thread(restore, file, after.postgres_url)

    await book(REBUILD)
    await book("farebox fact list", code=1)
    listed = json.loads(await typed("farebox fact list --json", flags(after), code=1))
    assert [(row["kind"], row["amount"]) for row in listed["items"]] == [
        ("control", 100),
        ("hold", 40),
        ("settle", 30),
    ]
    await book("farebox grant acme 100 --kind purchase --reference cs_test_a1b2")
    await book(
        'farebox adjust acme -30 --reason "charges of 14:00 to 15:10" --reference restore-1410'
    )
    for row in listed["items"]:
        await settling(
            'farebox fact resolve 0-7-1204 --reason "five calls, taken by hand"',
            as_={"0-7-1204": row["id"]},
        )
    async with running(after, workers=1) as ledgers:
        with pytest.raises(AccountFrozen):
            await shop.buy(ledgers[0], 1, 1)
        await settling('farebox account release acme --reason "facts settled"')
        await settling('farebox account thaw acme --reason "facts settled"')
        assert await shop.buy(ledgers[0], FUNDS + 40, 1)
        assert await other.buy(ledgers[0], FUNDS - 7, 1)
        await quiet(ledgers)
        await assert_sound(ledgers[0])


async def test_a_redis_in_a_later_epoch_is_given_up_and_accounted_for(
    before: LedgerOptions,
    after: LedgerOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With Stripe: what was paid since comes back, what was called since is taken by hand."""
    book, file = Runbook(HEADING, flags(after)), tmp_path / "ledger.dump"
    async with running_standin() as standin:
        monkeypatch.setenv("STRIPE_SECRET_KEY", standin.key)
        monkeypatch.setenv("STRIPE_API_BASE", standin.url)
        async with control(stores(before), PRICES, **selling(standin)) as running_before:
            market = Market(running_before, standin)
            buyer = await market.buyer(credits=100)
            await named(running_before.gateway.ledger, buyer.customer.account)
            await running_before.called(buyer.customer)
            begun = await market.begin(buyer)
            await running_before.posted()
            await asyncio.to_thread(back_up, before.postgres_url, file)

            await typed("farebox rebuild --reason x", flags(before))
            await paid(market, buyer, begun)
            begun_later = await market.begin(buyer)
            await paid(market, buyer, begun_later)
            for _ in range(5):
                await running_before.called(buyer.customer)
            assert await running_before.gateway.available(buyer.customer) == 288
            await running_before.posted()
        await asyncio.to_thread(restore, file, after.postgres_url)

        await book(REBUILD, code=1)
        async with control(stores(after), PRICES, **selling(standin)) as refusing:
            assert await status(refusing, buyer) == 503
        shown = json.loads(await book(f"{REBUILD} --json", code=1))
        [lost] = shown["lost"]["rows"]
        assert (shown["done"], lost["account"]) == (False, buyer.account)
        assert (lost["charges"], lost["captured"], lost["granted"]) == (5, 10, 200)
        assert (lost["in_redis"], lost["in_postgres"]) == (288, 98)
        await book(f"{REBUILD} --yes-lose-data")
        await book("farebox fact list")

        await book("farebox stripe reconcile", code=1)
        await book(
            "farebox grant acme 100 --kind purchase --reference cs_test_a1b2",
            as_={"acme 100": "acme 100 --type credits", "cs_test_a1b2": begun_later["session_id"]},
        )
        spent = lost["granted"] + lost["in_postgres"] - lost["in_redis"]
        await book(
            'farebox adjust acme -30 --reason "charges of 14:00 to 15:10" --reference restore-1410',
            as_={"-30": f"-{spent} --type credits"},
        )
        async with control(stores(after), PRICES, **selling(standin)) as serving:
            assert await status(serving, buyer) == 200
            await serving.posted()
            assert await serving.gateway.available(buyer.customer) == 286
            alerts = (await serving.admin.get("/alerts")).json()["items"]
            assert begun_later["session_id"] in json.dumps(alerts)
        await book("farebox verify")
        await book("farebox reconcile")
    book.done()


def stores(options: LedgerOptions) -> Stores:
    """In the namespace that commands use."""
    return Stores(options.postgres_url, options.redis_url, options.namespace)


def selling(standin: RunningStandIn) -> dict[str, Any]:
    """Settings of a gateway that hears from Stripe only when it asks."""
    return {"stripe_secret_key": standin.key, "stripe_api_base": standin.url}


async def paid(market: Market, buyer: Buyer, begun: dict[str, Any]) -> None:
    """Pay, and come back to the page that says so."""
    market.standin.pay(begun["session_id"])
    shown = await market.consumer.get(f"/v1/checkout/{begun['session_id']}", headers=buyer.headers)
    assert shown.json()["state"] == "paid", shown.text


async def status(running_control: Control, buyer: Buyer) -> int:
    answer = await running_control.gateway.get("/v1/products/B1", buyer.customer)
    return answer.status_code
