"""A Redis that restarts while the audit looks is no finding: the fence that follows mends it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis
from ledger import findings
from ledger.ledger import Ledger, LedgerOptions
from ledger.standing import Standing
from tests.flows.ledger_traffic import new_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder)
    server.start()
    yield server
    server.stop()


async def test_a_restart_between_two_looks_is_no_finding(
    database_url: str, server: EmbeddedRedis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await Ledger.open(LedgerOptions(database_url, server.url, namespace), role="steward")
    shop = await new_shop(ledger, 100)
    assert await shop.buy(ledger, 10, 10)
    await ledger.settler.drain(5)
    await ledger.post_all()
    restarted = False
    ready = ledger.shard.ready

    async def ready_and_restarted() -> Standing:
        nonlocal restarted
        standing = await ready()
        if not restarted:
            restarted = True
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        return standing

    monkeypatch.setattr(ledger.shard, "ready", ready_and_restarted)
    await ledger._record_findings()
    async with ledger.database.connection() as connection:
        assert await findings.open_by_check(connection) == {}
    await ledger.aclose()
