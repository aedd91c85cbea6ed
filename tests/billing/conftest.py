"""Fixtures of billing's tests: a shop on real stores, and Stripe's stand-in on a real socket."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Never

import asyncpg
import pytest
import stripe

from billing.purchases import checkout
from billing.purchases.checkout import Purchase, Started
from billing.purchases.orders import Order
from billing.purchases.payments import Payment
from billing.shop import Shop
from billing.stripe_door import StripeDoor
from config import PriceList, load_price_list
from ledger import accounts, credit_types
from ledger.errors import LedgerUnavailable
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import SystemClock
from tests.standin import RunningStandIn, sdk, sdk_for, stripe_standin

__all__ = ["sdk", "stripe_standin"]

PRICES = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
packages:
  starter: { name: Starter, description: For a start, credits: 100, price: { usd: 1000, jpy: 1500 }, sort: 1 }
  business:
    { name: Business, credits: 1000, price: { usd: 8000 }, adjustable_quantity: { min: 1, max: 10 }, sort: 2 }
  minutes: { name: Minutes, credits: 12.50, credit_type: calling, price: { usd: 500 }, expires: 30d, sort: 3 }
  monthly: { name: Monthly, credits: 500, price: { usd: 2000 }, interval: month, plan_tier: pro, sort: 4 }
  taxed: { name: Taxed, credits: 100, price: { usd: 1000 }, tax: txcd_10000000, promotion_codes: true, sort: 5 }
  gift:
    { name: Gift, credits: 100, price: { usd: 1000 }, promotion_codes: true, allow_free: true, sort: 6 }
  shared:
    { name: Shared, credits: 100, price: { usd: 999 }, promotion_codes: true, discounted: share, sort: 7 }
"""

PAGES = "http://127.0.0.1:8000/farebox"


# TRUNCATE makes new files for each of some sixty tables; deleting a few rows does not.
EMPTY = """
DO $$ DECLARE kept text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR kept IN SELECT c.oid::regclass FROM pg_class c
         WHERE c.relnamespace IN ('public'::regnamespace, 'billing'::regnamespace)
           AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname NOT IN ('farebox_migrations', 'installation')
    LOOP EXECUTE 'DELETE FROM ' || kept; END LOOP;
    INSERT INTO shards (id) VALUES (0);
END $$
"""


@pytest.fixture
async def database_url(template_copy: str) -> str:
    """A migrated database with nothing in it: emptying is far cheaper than copying."""
    connection = await asyncpg.connect(template_copy)
    await connection.execute(EMPTY)
    await connection.close()
    return template_copy


@pytest.fixture(scope="session")
def template_copy(postgres_server: str, template_database: str) -> Any:
    """A database for one test of this process after the other."""
    import asyncio

    name = f"billing_{uuid.uuid4().hex[:8]}"

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    yield postgres_server.replace("/postgres?", f"/{name}?", 1)
    asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session", autouse=True)
def quick_retries() -> Iterator[None]:
    """The SDK rests half a second before it asks again; tests with faults have no time for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.001)
        patch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.001)
        yield


@pytest.fixture
def prices() -> PriceList:
    """What is for sale."""
    return load_price_list(PRICES, environ={})


@pytest.fixture
async def ledger(
    database_url: str, redis_url: str, namespace: str, prices: PriceList
) -> AsyncIterator[Ledger]:
    """A ledger of this test's own that knows the credit types of `prices`."""
    options = LedgerOptions(database_url, redis_url, namespace=namespace)
    ledger = await Ledger.open(options, role="worker")
    scales = {name: kind.scale for name, kind in prices.credit_types.items()}
    async with ledger.database.connection() as connection:
        numbers = await credit_types.register(connection, scales)
    await ledger.windows.choose(dict.fromkeys(numbers.values(), 1_000_000))
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def shop(
    ledger: Ledger, stripe_standin: RunningStandIn, prices: PriceList
) -> AsyncIterator[Shop]:
    """A shop that sells `prices` through the stand-in."""
    async with ledger.database.connection() as connection:
        installation = await connection.fetchval("SELECT id FROM billing.installation")
    door = StripeDoor.open(stripe_standin.key, stripe_standin.url)
    yield Shop(
        ledger=ledger,
        stripe=door,
        prices=lambda: prices,
        clock=SystemClock(),
        random_bytes=os.urandom,
        pages_url=PAGES,
        link_secret=b"a secret of the tests",
        installation=installation,
        webhook_secrets=("whsec_of_the_tests",),
    )
    await door.aclose()


@pytest.fixture
async def account(shop: Shop) -> int:
    """Somebody who can buy."""
    return await new_account(shop)


async def new_account(shop: Shop, **fields: str) -> int:
    async with shop.ledger.database.connection() as connection:
        given = {"email": "buyer@example.com", "name": "A Buyer"} | fields
        return (await accounts.create(connection, actor="test", **given)).id


async def buy(shop: Shop, account: int, package: str = "starter", **fields: Any) -> Started:
    """Begin to buy."""
    return await checkout.start(shop, account, Purchase(package=package, **fields))


async def applied(shop: Shop, account: int) -> dict[str, int]:
    """What is available by credit type, once Redis has everything and Postgres has seen it."""
    assert await shop.push(account)
    return await posted(shop, account)


async def posted(shop: Shop, account: int) -> dict[str, int]:
    """What is available by credit type of what Redis has, once Postgres has seen it."""
    await shop.ledger.post_all()
    async with shop.ledger.database.connection() as connection:
        balances = await accounts.balances(connection, account)
    return {one.credit_type: one.available for one in balances if one.granted}


@contextmanager
def redis_away(shop: Shop) -> Iterator[None]:
    """Let nothing that is ordered reach Redis for as long as the block runs."""

    async def away(account: int, limit_s: float = 0) -> Never:
        raise LedgerUnavailable("Redis does not answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.ledger.pusher, "push", away)
        yield


async def order_of(shop: Shop, order_id: str) -> Order:
    from billing.purchases import orders

    async with shop.ledger.database.connection() as connection:
        order = await orders.get(connection, order_id)
    assert order is not None
    return order


async def payments_of(shop: Shop, order_id: str) -> list[Payment]:
    from billing.purchases import payments

    async with shop.ledger.database.connection() as connection:
        return await payments.of_order(connection, order_id)


async def rows(shop: Shop, statement: str, *values: Any) -> list[Mapping[str, Any]]:
    """What a statement finds."""
    async with shop.ledger.database.connection() as connection:
        return [dict(row) for row in await connection.fetch(statement, *values)]


async def promotion(standin: RunningStandIn, **coupon: Any) -> str:
    """A promotion code, made in the dashboard."""
    async with sdk_for(standin) as client:
        made = await client.v1.coupons.create_async({"duration": "once", **coupon})
        code = await client.v1.promotion_codes.create_async(
            {"promotion": {"type": "coupon", "coupon": made.id}}
        )
    return code.code


def lose_the_answer(standin: RunningStandIn, path: str) -> None:
    """Do the work of the next POST there, and answer none of the SDK's three tries."""
    standin.fault(kind="cut_after", path=path, method="POST")
    standin.fault(kind="cut_before", path=path, method="POST", count=2)
