"""
What each dial costs, measured: the figures of `docs/operations.md` come from here, with -s.

FAREBOX_CHARGES sets how many charges are made (default 200; the figures: 20000).
"""

import asyncio
import os

import pytest

from ledger.ledger import Ledger, LedgerOptions
from tests.flows.ledger_traffic import new_shop, quiet, running

pytestmark = pytest.mark.anyio

CHARGES = int(os.environ.get("FAREBOX_CHARGES", "200"))
AT_ONCE = 64
PRICE = 10
WINDOWS = (50, 500)


async def test_a_window_is_what_is_served_without_postgres(
    database_url: str, redis_url: str, namespace: str
) -> None:
    """Nobody posts: each window lets through exactly itself, and that is what can be lost."""
    options = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    gateway = await Ledger.open(options, role="worker")
    for window in WINDOWS:
        shop = await new_shop(gateway, 10_000)
        await gateway.post_all()
        await gateway.set_windows({shop.credit_type: window})
        while await shop.buy(gateway, PRICE, PRICE):
            pass
        assert shop.served_units == window
        print(f"window {window}: {len(shop.served)} calls of {PRICE} go on without Postgres")
    await gateway.aclose()


async def test_what_is_kept_takes_so_many_bytes(
    database_url: str, redis_url: str, namespace: str
) -> None:
    options = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    async with running(options, workers=1) as ledgers:
        ledger = ledgers[0]
        shop = await new_shop(ledger, 100 * CHARGES)
        await quiet(ledgers)
        before = await charges_bytes(ledger)
        left = CHARGES
        while left:
            together = min(left, AT_ONCE)
            served = await asyncio.gather(
                *(shop.buy(ledger, PRICE, PRICE // 2) for _ in range(together))
            )
            left -= sum(served)
        await quiet(ledgers)
        in_postgres = (await charges_bytes(ledger) - before) // CHARGES
        link = await ledger._reading.link()
        journal = ledger.shard.keys.journal(ledger.shard.epoch)
        in_redis = await link.call("MEMORY", "USAGE", journal, "SAMPLES", 0) // CHARGES
        print(
            f"{CHARGES} metered charges: {in_postgres} bytes each in Postgres with indexes, "
            f"{in_redis} in the journal ({AT_ONCE} at once)"
        )
        assert len(shop.served) == CHARGES
        assert in_redis > 0
        assert in_postgres > 0


async def charges_bytes(ledger: Ledger) -> int:
    """What the charges of all months take, indexes included."""
    async with ledger.database.connection() as connection:
        size: int = await connection.fetchval(
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
            " WHERE inhparent = 'charges'::regclass"
        )
    return size
