"""
A shop that sells through the stand-in, for flows: everything real but Stripe and the clock.

One rig serves many cases, one after the other, each with accounts of its own.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from billing.events.event_types import listed
from billing.events.webhook import accept
from billing.shop import Shop
from billing.standin import StandIn
from billing.standin import control as standin_control
from billing.standin.envelope import signature
from billing.standin.rendering import public
from billing.standin.world import World
from billing.stripe_door import StripeDoor
from config import load_price_list
from ledger import accounts, credit_types
from ledger.accounts import Status
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import Clock, SystemClock
from tests.flows.ledger_traffic import assert_sound
from tests.flows.purchase_truth import DAILY, REFILL, STARTER

EACH = STARTER[0]
"""Credits of one starter."""

PRICES = f"""
version: 1
credit_types: {{ credits: {{ scale: 0 }} }}
upstreams: {{ api: {{ url: "http://127.0.0.1:9" }} }}
routes: [{{ path: /calls, upstream: api, price: 1 }}]
packages:
  starter:
    name: Starter
    credits: {EACH}
    price: {{ usd: {STARTER[1]} }}
    adjustable_quantity: {{ min: 1, max: 5 }}
  daily:
    name: Daily
    credits: {DAILY[0]}
    price: {{ usd: {DAILY[1]} }}
    plan_tier: daily
    feature_flags: [fast]
    interval: day
    adjustable_quantity: {{ min: 1, max: 5 }}
  refill: {{ name: Refill, credits: {REFILL[0]}, price: {{ usd: {REFILL[1]} }} }}
"""
AGE = """
DO $$ BEGIN
    UPDATE billing.topup_attempts SET created_at = created_at - {0}, updated_at = updated_at - {0},
           asked_at = asked_at - {0};
    UPDATE billing.topup_settings SET rest_until = rest_until - {0};
END $$
"""
"""Postgres dates tries of automatic top-up, and its clock cannot be moved: the rows are."""
SECRET = "whsec_of_the_rig"


class HeardWorld(World):
    """A stand-in's world that remembers the events nobody has delivered yet."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.heard: list[dict[str, Any]] = []

    def emit(self, event_type: str, thing: Any, previous: Any = None) -> Any:
        event = super().emit(event_type, thing, previous)
        if listed(event_type, thin=False):
            self.heard.append(event)
        return event


class WarpedClock(SystemClock):
    """The machine's clock, as far ahead as the stand-in's."""

    def __init__(self, ahead_s: Callable[[], float]) -> None:
        self._ahead_s = ahead_s

    def now_us(self) -> int:
        return super().now_us() + int(self._ahead_s() * 1_000_000)

    def now_ms(self) -> int:
        return self.now_us() // 1_000


@dataclass
class Rig:
    """A shop, its ledger, and the world on the other side."""

    shop: Shop
    world: HeardWorld
    posting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ledger(self) -> Ledger:
        return self.shop.ledger

    def do(self, name: str, **given: Any) -> Any:
        """What a buyer, a bank or the dashboard does; see the stand-in's controls."""
        return standin_control.run(self.world, name, given)

    async def deliver(self, event: dict[str, Any]) -> None:
        """One delivery of a genuine event to the webhook's door."""
        body, header = self.sealed(event)
        await accept(self.shop, body, header)

    def sealed(self, event: dict[str, Any]) -> tuple[bytes, str]:
        """An event as it is delivered, and its signature."""
        body = json.dumps(public(event)).encode()
        return body, signature(body, self.shop.clock.now_ms() // 1_000, [SECRET])

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, at Stripe and here."""
        self.world.advance(seconds)
        async with self.ledger.database.connection() as connection:
            await connection.execute(AGE.format(f"interval '{seconds} s'"))

    async def post(self) -> None:
        """Have Postgres know what Redis has."""
        async with self.posting:
            await self.ledger.pusher.poll()
            while await self.ledger.poster.step():
                pass

    async def account(self) -> int:
        async with self.ledger.database.connection() as connection:
            return (await accounts.create(connection, actor="test")).id

    async def settled_books(self) -> None:
        """Bring every control to Redis and back, and check that the ledger adds up."""
        await self.post()
        await assert_sound(self.ledger)

    async def standing(self, account_id: int) -> tuple[int, bool]:
        """Return the balance less debt, and whether the account is frozen, as posted."""
        async with self.ledger.database.connection() as connection:
            balances = await accounts.balances(connection, account_id)
            account = await accounts.get(connection, account_id)
        return sum(one.available for one in balances), account.status is Status.FROZEN


@asynccontextmanager
async def shop_at(
    options: LedgerOptions, key: str, stripe_url: str, clock: Clock
) -> AsyncIterator[Shop]:
    """A shop on these stores that knows Stripe under this address."""
    prices = load_price_list(PRICES, environ={})
    ledger = await Ledger.open(options, role="worker")
    door = StripeDoor.open(key, stripe_url)
    # The SDK rests half a second before it asks again; faults are many here.
    quick = pytest.MonkeyPatch()
    quick.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.001)
    quick.setattr(stripe.HTTPClient, "MAX_DELAY", 0.001)
    try:
        async with ledger.database.connection() as connection:
            numbers = await credit_types.register(connection, {"credits": 0})
            installation = await connection.fetchval("SELECT id FROM billing.installation")
        await ledger.windows.choose({numbers["credits"]: 10_000_000})
        yield Shop(
            ledger=ledger,
            stripe=door,
            prices=lambda: prices,
            clock=clock,
            random_bytes=os.urandom,
            pages_url="http://127.0.0.1:9/farebox",
            link_secret=b"links of the rig",
            installation=installation,
            webhook_secrets=(SECRET,),
        )
    finally:
        quick.undo()
        await door.aclose()
        await ledger.aclose()


@asynccontextmanager
async def selling(options: LedgerOptions, *, seed: int) -> AsyncIterator[Rig]:
    """A shop on these stores, with a stand-in of its own."""
    world = HeardWorld(seed=seed)
    standin = StandIn(world)
    await standin.start()
    try:
        async with shop_at(
            options, world.key, standin.url, WarpedClock(lambda: world.clock.ahead_s)
        ) as shop:
            yield Rig(shop, world)
        assert world.bugs == []
    finally:
        await standin.close()
