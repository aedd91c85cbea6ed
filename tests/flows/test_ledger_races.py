"""Many at once: nobody gets more than there is, and nothing is counted twice."""

import asyncio
import random
from collections import Counter

import pytest

from ledger import accounts, controls
from ledger.errors import AccountFrozen, InsufficientCredits
from ledger.ledger import Ledger, LedgerOptions
from ledger.lines import settle_line
from ledger.reasons import Reason
from tests.flows.ledger_traffic import assert_sound, new_shop, quiet, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def options(database_url: str, redis_url: str, namespace: str) -> LedgerOptions:
    return LedgerOptions(
        postgres_url=database_url,
        redis_url=redis_url,
        namespace=namespace,
        postgres_connections=4,
    )


@pytest.mark.parametrize("fits", [0, 1, 57, 199])
async def test_of_two_hundred_holds_at_once_exactly_those_that_fit_are_granted(
    options: LedgerOptions, fits: int
) -> None:
    price = 7
    async with running(options, workers=4) as ledgers:
        shop = await new_shop(ledgers[0], fits * price + price - 1)
        served = await asyncio.gather(
            *(shop.buy(ledgers[n % 4], price, price, 0.05) for n in range(200))
        )
        assert Counter(served) == Counter({True: fits, False: 200 - fits})
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.used) == (price - 1, fits * price)
        await assert_sound(ledgers[0])


async def test_a_hundred_settlers_of_one_hold_settle_it_once(options: LedgerOptions) -> None:
    async with running(options, workers=4) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        held = await ledgers[0].holds.open(shop.order(30))
        for ledger in ledgers:
            await ledger.shard.ready()
        answers = await asyncio.gather(
            *(
                ledgers[n % 4].shard.settle(
                    settle_line(held.id, n % 30, Reason.DELIVERED, 200)
                    if n % 3
                    else settle_line(held.id, 0, Reason.STATUS, 500)
                )
                for n in range(100)
            )
        )
        assert len({tuple(answer.words) for answer in answers}) == 1
        held.void(Reason.STATUS)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert balance.available + balance.used == 100
        assert balance.used == int(answers[0].words[2])
        await assert_sound(ledgers[0])


async def test_changes_of_an_account_race_with_its_requests(options: LedgerOptions) -> None:
    """Grants, clawbacks and freezes arrive in the middle of traffic; every unit is accounted for."""
    chance = random.Random(7)
    async with running(options, workers=2) as ledgers:
        shop = await new_shop(ledgers[0], 1_000)

        async def traffic(ledger: Ledger) -> None:
            for _ in range(60):
                try:
                    await shop.buy(ledger, chance.randint(1, 20), 1, chance.random() * 0.01)
                except AccountFrozen:
                    await asyncio.sleep(0.01)

        async def order(control: controls.Control) -> None:
            async with ledgers[0].database.transaction() as connection:
                await controls.add(connection, shop.account, control, "race", None, "test")
            await chance.choice(ledgers).pusher.push(shop.account)

        async def changes() -> None:
            for _ in range(12):
                await order(controls.Grant(shop.credit_type, 11))
                await order(controls.Freeze(frozen=True))
                await order(controls.Clawback(shop.credit_type, 5))
                await order(controls.Freeze(frozen=False))

        await asyncio.gather(changes(), changes(), *(traffic(ledger) for ledger in ledgers * 3))
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert balance.used == shop.served_units
        assert balance.available == 1_000 + 24 * 11 - 24 * 5 - shop.served_units
        async with ledgers[0].database.connection() as connection:
            status = (await accounts.get(connection, shop.account)).status
        assert status is accounts.Status.ACTIVE
        await assert_sound(ledgers[0])


async def test_debt_is_paid_by_what_comes_back_and_by_what_is_granted(
    options: LedgerOptions,
) -> None:
    async with running(options) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        async with ledgers[0].holds.hold(shop.order(80)) as held:
            async with ledgers[0].database.transaction() as connection:
                clawback = controls.Clawback(shop.credit_type, 70)
                await controls.add(connection, shop.account, clawback, "test", "1", "test")
            assert await ledgers[0].pusher.push(shop.account) == "applied"
            held.capture(60, Reason.DELIVERED)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.debt) == (-30, 30)
        with pytest.raises(InsufficientCredits):
            await ledgers[0].holds.open(shop.order(1))
        await shop.grant(ledgers[0], 50)
        assert await ledgers[0].pusher.push(shop.account) == "applied"
        async with ledgers[0].holds.hold(shop.order(20)) as held:
            held.capture(20, Reason.DELIVERED)
        await quiet(ledgers)
        assert (await shop.balance(ledgers[0])).available == 0
        await assert_sound(ledgers[0])
