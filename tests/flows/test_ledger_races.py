"""
Many at once: nobody gets more than there is, and nothing is counted twice.

FAREBOX_ROUNDS sets how often the races of requests and settlers are run.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from dataclasses import replace

import pytest

from ledger import accounts, api_keys, controls
from ledger.errors import AccountFrozen, InsufficientCredits
from ledger.ledger import Ledger, LedgerOptions
from ledger.lines import settle_line
from ledger.reasons import Reason
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
REQUESTS, SETTLERS = 200, 100
EDGES = (0, 1, 57, 199)
"""How many of the requests fit, in the first rounds; then it is left to chance."""


@pytest.fixture
def options(database_url: str, redis_url: str, namespace: str) -> LedgerOptions:
    return LedgerOptions(
        postgres_url=database_url,
        redis_url=redis_url,
        namespace=namespace,
        postgres_connections=4,
    )


async def with_another_key(ledger: Ledger, shop: Shop) -> Shop:
    """The same account, asking under another key."""
    async with ledger.database.connection() as connection:
        made = await api_keys.create(
            connection, shop.account, actor="test", random_bytes=secrets.token_bytes
        )
    assert await ledger.pusher.push(shop.account, limit_s=30) == "applied"
    return replace(shop, key=made.key.id)


async def test_of_two_hundred_requests_at_once_exactly_those_that_fit_are_served(
    options: LedgerOptions,
) -> None:
    price, chance = 7, random.Random(ROUNDS)
    rounds = [*EDGES, *(chance.randint(0, REQUESTS) for _ in range(ROUNDS - len(EDGES)))]
    async with running(options, workers=4) as ledgers:
        shops = []
        for fits in rounds:
            shop = await new_shop(ledgers[0], fits * price + price - 1)
            keys = [shop, *[await with_another_key(ledgers[1], shop) for _ in range(2)]]
            served = await asyncio.gather(
                *(keys[n % 3].buy(ledgers[n % 4], price, price, 0.05) for n in range(REQUESTS))
            )
            assert Counter(served) == Counter({True: fits, False: REQUESTS - fits})
            shops.append(shop)
        await quiet(ledgers)
        for shop, fits in zip(shops, rounds, strict=True):
            balance = await shop.balance(ledgers[0])
            assert (balance.available, balance.used) == (price - 1, fits * price)
        await assert_sound(ledgers[0])
    what = f"{REQUESTS} requests at once, 4 gateways, 3 keys of one account: those that fit"
    tell(Proof("T6", what, seeds=len(rounds), operations=REQUESTS * len(rounds)))


async def test_a_hundred_settlers_of_one_hold_settle_it_once(options: LedgerOptions) -> None:
    chance, price, given = random.Random(ROUNDS), 30, 30 * ROUNDS
    async with running(options, workers=4) as ledgers:
        shop, settled = await new_shop(ledgers[0], given), 0
        for ledger in ledgers:
            await ledger.shard.ready()
        for _ in range(ROUNDS):
            held = await ledgers[0].holds.open(shop.order(price))
            outcomes = [
                settle_line(held.id, n % (price + 1), Reason.DELIVERED, 200)
                if n % 3
                else settle_line(held.id, 0, Reason.STATUS, 500)
                for n in range(SETTLERS)
            ]
            chance.shuffle(outcomes)
            answers = await asyncio.gather(
                *(ledgers[n % 4].shard.settle(line) for n, line in enumerate(outcomes))
            )
            assert len({tuple(answer.words) for answer in answers}) == 1
            settled += int(answers[0].words[2])
            held.void(Reason.STATUS)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.used) == (given - settled, settled)
        async with ledgers[0].database.connection() as connection:
            ended = await connection.fetchval("SELECT count(*) FROM charges WHERE state <> 1")
        assert ended == ROUNDS
        await assert_sound(ledgers[0])
    what = f"{SETTLERS} settlers of one hold, each with another outcome: one counts"
    tell(Proof("T6", what, seeds=ROUNDS, operations=SETTLERS * ROUNDS))


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
