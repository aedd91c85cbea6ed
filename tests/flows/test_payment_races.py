"""
One payment told of a hundred times, at two gateways, while it is being worked on: one grant.

As `test_webhooks`, without whole gateways, so that many rounds are affordable; FAREBOX_ROUNDS
sets how many.
"""

import asyncio
import os
import random
from dataclasses import replace

import pytest

from billing import settling
from billing.events import inbox_worker
from billing.events.webhook import accept
from billing.purchases.checkout import Purchase, start
from billing.shop import Shop
from ledger.ledger import Ledger, LedgerOptions
from tests.flows.purchase_rig import EACH, Rig, selling
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
DELIVERIES, WORKERS, VISITS = 100, 6, 4
"""Deliveries, inboxes being worked on, and buyers who come back to the success page, at once."""


async def one_payment(rig: Rig, shops: list[Shop], chance: random.Random) -> None:
    """It is paid, and everybody hears of it at the same time."""
    account = await rig.account()
    started = await start(rig.shop, account, Purchase(package="starter", quantity=1))
    rig.world.heard.clear()
    rig.do("pay", session=started.session_id)
    rig.world.run_due()
    sealed = [rig.sealed(event) for event in rig.world.heard]
    accepted = [
        accept(shops[n % 2], *sealed[n % len(sealed)]) for n in range(max(DELIVERIES, len(sealed)))
    ]
    working = [inbox_worker.work(shops[n % 2]) for n in range(WORKERS)]
    visits = [
        settling.settle(shops[n % 2], "checkout.session", started.session_id) for n in range(VISITS)
    ]
    calls = [*accepted, *working, *visits]
    chance.shuffle(calls)
    await asyncio.gather(*calls)
    while await inbox_worker.work(rig.shop):
        pass
    await rig.post()
    assert await rig.standing(account) == (EACH, False)
    async with rig.ledger.database.connection() as connection:
        granted = await connection.fetchval(
            "SELECT count(*) FROM controls WHERE account_id = $1 AND kind IN ('g', 'e')", account
        )
        left = await connection.fetchval(
            "SELECT count(*) FROM billing.inbox WHERE status IN ('received', 'failed')"
        )
    assert (granted, left) == (1, 0)


async def test_of_a_hundred_webhooks_of_one_payment_one_grants(
    database_url: str, redis_url: str, namespace: str
) -> None:
    options = LedgerOptions(postgres_url=database_url, redis_url=redis_url, namespace=namespace)
    chance = random.Random(ROUNDS)
    async with selling(options, seed=ROUNDS) as rig:
        second = await Ledger.open(options, role="worker")
        try:
            shops = [rig.shop, replace(rig.shop, ledger=second)]
            for _ in range(ROUNDS):
                await one_payment(rig, shops, chance)
            await rig.settled_books()
        finally:
            await second.aclose()
    what = f"{DELIVERIES} webhooks of one payment at 2 gateways, worked on by {WORKERS}: one grant"
    tell(Proof("T6", what, seeds=ROUNDS, operations=(DELIVERIES + VISITS) * ROUNDS))
