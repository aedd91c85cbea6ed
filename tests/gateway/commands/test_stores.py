"""Where a command's stores are, and what it does on them when nothing else runs."""

from pathlib import Path

import pytest

from gateway.commands.stores import Stores, opened_ledger
from gateway.stores import EmbeddedRedis

pytestmark = pytest.mark.anyio


async def test_a_command_alone_takes_a_restarted_redis_for_what_it_is(
    database_url: str, folder: Path
) -> None:
    for _ in range(2):
        redis = EmbeddedRedis(folder / "redis")
        redis.start()
        try:
            async with opened_ledger(Stores(database_url, redis.url, "", alone=True)) as ledger:
                found = await ledger.reconcile()
        finally:
            redis.stop()
        assert found == []
