"""
A trial: people buy while one kind of fault happens again and again; then everything is counted.

The judge is what was served (`Shop.served`). With a gateway alive nothing may be lost by anyone.

FAREBOX_ROUNDS sets how many faults each trial has (default 1).
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ledger.ledger import Ledger
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet
from tests.ledger.waiting import until
from tests.proof import Proof, tell

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
OF_EACH = max(ROUNDS // 2, 1)
"""Rounds on each program, where a kind of fault is tried on Valkey and on Redis."""

BUYERS = 8
PLENTY = 1_000_000
LIFETIME_MS = 1_000
"""What Redis loses of a hold that was given back comes back when it expires, so not too long."""

PROBE_LIMIT_S = 30


@dataclass
class Trial:
    """Traffic on some gateways, and what faults did to it."""

    shop: Shop
    ledgers: list[Ledger]
    chance: random.Random
    faults: int = 0
    slowest_probe_ms: int = 0

    @classmethod
    @asynccontextmanager
    async def on(cls, ledgers: list[Ledger], seed: str) -> "AsyncIterator[Trial]":
        """People buy from all of these gateways until the block ends."""
        chance = random.Random(seed)
        shop = await new_shop(ledgers[0], PLENTY)
        shop.lifetime_ms = LIFETIME_MS
        async with buying(shop, ledgers, chance):
            yield cls(shop, ledgers, chance)

    async def some_sales(self) -> None:
        """Let the traffic go on for a moment, which moment chance says."""
        await sold(self.shop, self.chance.randint(1, 60))

    async def suffer(self, fault: Callable[[], Awaitable[object]]) -> None:
        """One fault in the middle of the traffic; afterwards each gateway serves again."""
        await self.some_sales()
        await fault()
        await self.healed()

    async def healed(self) -> None:
        """After a fault: a request to each gateway is served within the limit."""
        self.faults += 1
        began = time.monotonic()
        async with asyncio.timeout(PROBE_LIMIT_S):
            for ledger in self.ledgers:
                await until(lambda ledger=ledger: self.shop.buy(ledger, 1, 1))
        self.slowest_probe_ms = max(
            self.slowest_probe_ms, round((time.monotonic() - began) * 1_000)
        )


@asynccontextmanager
async def buying(
    shop: Shop, ledgers: Sequence[Ledger], chance: random.Random
) -> AsyncIterator[None]:
    """Some who buy for as long as the block runs."""
    buyers = [
        asyncio.create_task(shop.keep_buying(ledgers[n % len(ledgers)], chance))
        for n in range(BUYERS)
    ]
    try:
        yield
        for buyer in buyers:
            assert not buyer.done(), buyer
    finally:
        for buyer in buyers:
            buyer.cancel()
        await until(lambda: all(buyer.done() for buyer in buyers))


async def sold(shop: Shop, more: int) -> None:
    """Wait for so many more sales."""
    enough = len(shop.served) + more
    await until(lambda: len(shop.served) >= enough)


@dataclass(frozen=True)
class Lost:
    """Units, charge by charge; nothing is set off against anything."""

    by_house: int
    by_customer: int


async def lost(shop: Shop, ledger: Ledger) -> Lost:
    """Served and not collected, collected and not served."""
    collected = await shop.collected(ledger)
    return Lost(
        sum(max(units - collected.get(hold, 0), 0) for hold, units in shop.served.items()),
        sum(max(units - shop.served.get(hold, 0), 0) for hold, units in collected.items()),
    )


async def nothing_was_lost(what: str, trial: Trial) -> None:
    """Everything served is collected once and the books are sound; then, and only then, say so."""
    shop, ledgers = trial.shop, trial.ledgers
    await quiet(ledgers)
    gone = await lost(shop, ledgers[0])
    assert gone == Lost(0, 0), gone
    balance = await shop.balance(ledgers[0])
    assert (balance.available, balance.held) == (PLENTY - shop.served_units, 0)
    assert balance.used == shop.served_units
    await assert_sound(ledgers[0])
    tell(
        Proof(
            layer="T5",
            what=what,
            faults=trial.faults,
            operations=len(shop.served) + shop.refused,
            allowed="0: gateways live",
            slowest_probe_ms=max(trial.slowest_probe_ms, 1),
        )
    )
