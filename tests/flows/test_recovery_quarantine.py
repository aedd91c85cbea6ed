"""A poisoned fact and its account: the runbook's lines, typed while a gateway serves."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis
from ledger import accounts
from ledger.account_record import AccountRecord, account_field
from ledger.accounts import Status
from ledger.errors import AccountFrozen
from ledger.ledger import Ledger, LedgerOptions
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.runbook import Runbook, typed
from tests.flows.test_ledger_deaths import die
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

FUNDS = 1_000


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield server
    server.stop()


async def quarantined(ledger: Ledger, shop: Shop) -> bool:
    async with ledger.database.connection() as connection:
        return (await accounts.get(connection, shop.account)).status is Status.QUARANTINED


async def poison(ledger: Ledger, shop: Shop) -> None:
    """Let Redis count the account's facts wrongly from now on."""
    link = await ledger._reading.link()
    key, field = ledger.shard.keys.balances(ledger.shard.epoch), account_field(shop.account)
    record = AccountRecord.unpack(await link.call("HGET", key, field))
    await link.call("HSET", key, field, replace(record, aseq=record.aseq + 7).pack())


async def test_a_poisoned_fact_is_resolved_and_its_account_released(
    database_url: str, server: EmbeddedRedis
) -> None:
    """What a living gateway served is booked by itself; the rest, a person decides."""
    options = LedgerOptions(database_url, server.url, postgres_connections=4)
    stores = ("--postgres-url", database_url, "--redis-url", server.url)
    book = Runbook("An account is in quarantine", stores)
    async with running(options, workers=1) as ledgers:
        ledger = ledgers[0]
        shop, other = await new_shop(ledger, FUNDS), await new_shop(ledger, FUNDS)
        async with ledger.database.connection() as connection:
            await connection.execute(
                "UPDATE accounts SET external_id = 'acme' WHERE id = $1", shop.account
            )
        assert await shop.buy(ledger, 40, 30)
        await quiet(ledgers)
        await poison(ledger, shop)
        dying = await Ledger.open(options, role="worker")
        assert await shop.buy(dying, 5, 5)
        assert await shop.buy(ledger, 40, 20)
        await until(lambda: quarantined(ledger, shop))
        await until(lambda: not dying.settler.unsettled)
        await die(dying)
        await until(lambda: refused(ledger, shop))
        assert await other.buy(ledger, 10, 10)

        listed = await book("farebox fact list --account acme", code=1)
        ids = [line.split()[0] for line in listed.splitlines()[1:]]
        await book("farebox fact show 0-7-1204", as_={"0-7-1204": ids[0]})
        await typed("farebox account release acme --reason early", stores, code=2)

        await book('farebox rebuild --reason "facts of acme broke a rule"')
        assert await other.buy(ledger, 10, 10)
        await until(lambda: booked(ledger, shop, 20))
        listed = json.loads(await typed("farebox fact list --account acme --json", stores, code=1))
        states = {row["charge"]: row["charge_state"] for row in listed["items"] if row["charge"]}
        late, gone = list(shop.served)[-1].hex(), list(shop.served)[-2].hex()
        assert (states[late], states[gone]) == ("late", None)
        await book("farebox fact list --account acme", code=1)

        await book('farebox adjust acme -5 --reason "fact 0-7-1204" --reference fact-0-7-1204')
        for row in listed["items"]:
            await book(
                'farebox fact resolve 0-7-1204 --reason "five calls, taken by hand"',
                as_={"0-7-1204": row["id"]},
            )
        await book('farebox account release acme --reason "facts settled"')
        await book('farebox account thaw acme --reason "facts settled"')
        await book("farebox verify")
        await book("farebox reconcile")

        assert await shop.buy(ledger, FUNDS - 55, 1)
        await quiet(ledgers)
        balance = await shop.balance(ledger)
        assert (balance.available, balance.held, balance.used) == (FUNDS - 56, 0, 51)
        await assert_sound(ledger)
    book.done()


async def booked(ledger: Ledger, shop: Shop, units: int) -> bool:
    return units in (await shop.collected(ledger)).values()


async def refused(ledger: Ledger, shop: Shop) -> bool:
    """Whether the account gets no more holds."""
    try:
        await ledger.holds.check(shop.order(1))
    except AccountFrozen:
        return True
    return False
