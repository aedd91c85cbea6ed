"""A backup brought back beside an empty Redis is the ledger as it was at that moment."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from gateway.backup import back_up, pg_dump
from ledger.ledger import LedgerOptions
from tests.flows.ledger_traffic import assert_sound, new_shop, quiet, running

pytestmark = pytest.mark.anyio


async def test_a_restored_backup_is_served_with_an_empty_redis(
    database_url: str, empty_database_url: str, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    """What was charged before the backup stays charged; what came after it is not there."""
    file = tmp_path / "ledger.dump"
    before = LedgerOptions(database_url, redis_url, namespace, postgres_connections=4)
    async with running(before, workers=1) as ledgers:
        shop = await new_shop(ledgers[0], 100)
        assert await shop.buy(ledgers[0], 40, 30)
        await quiet(ledgers)
        await asyncio.to_thread(back_up, database_url, file)
        assert await shop.buy(ledgers[0], 20, 20)
        await quiet(ledgers)

    await asyncio.to_thread(restore, file, empty_database_url)

    # Another namespace is as good as an empty Redis: nothing of the first one is seen.
    after = LedgerOptions(empty_database_url, redis_url, f"{namespace}r", postgres_connections=4)
    async with running(after, workers=1) as ledgers:
        assert await shop.buy(ledgers[0], 70, 70)
        assert not await shop.buy(ledgers[0], 1, 1)
        await quiet(ledgers)
        balance = await shop.balance(ledgers[0])
        assert (balance.available, balance.held, balance.used) == (0, 0, 100)
        await assert_sound(ledgers[0])


def restore(file: Path, url: str) -> None:
    """As `farebox backup` says it is done."""
    subprocess.run(
        [pg_dump().with_name("pg_restore"), "--dbname", url, file], check=True, capture_output=True
    )
