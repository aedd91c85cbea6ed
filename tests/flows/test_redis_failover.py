"""
A replica that is behind becomes master, while the old one still serves some gateways.

FAREBOX_ROUNDS sets how many failovers there are (default 1).
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis, StoreMissing, find_redis
from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.journal import read_meta
from ledger.ledger import Ledger, LedgerOptions
from ledger.records import Meta
from tests.conftest import REDIS_PROGRAMS
from tests.flows.redis_faults import AT_ONCE, Door, asked, follow, linked
from tests.flows.redis_trial import OF_EACH, Trial, nothing_was_lost, sold
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

WINDOW = 300
"""Of the old master's side, which nobody posts for: it serves so much and no more."""


@pytest.fixture(params=REDIS_PROGRAMS)
def pair(request: pytest.FixtureRequest, folder: Path) -> Iterator[list[EmbeddedRedis]]:
    """Two servers of one program."""
    try:
        program = find_redis((request.param,))
    except StoreMissing:
        pytest.skip(f"{request.param} is not installed")
    servers = [
        EmbeddedRedis(folder / name, program=program, settings=AT_ONCE) for name in ("one", "two")
    ]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


@dataclass
class Site:
    """Two gateways and a steward, each behind a door of its own, and a door for the replica."""

    ledgers: list[Ledger]
    steward: Ledger
    doors: list[Door]
    replication: Door

    @classmethod
    @asynccontextmanager
    async def on(cls, options: LedgerOptions, master: EmbeddedRedis) -> "AsyncIterator[Site]":
        async with AsyncExitStack() as stack:
            doors = [await stack.enter_async_context(Door.to(master)) for _ in range(4)]
            *ledgers, steward = [
                await Ledger.open(replace(options, redis_url=door.url), role)
                for door, role in zip(doors, ("worker", "worker", "steward"), strict=False)
            ]
            working = asyncio.create_task(steward.steward().run())
            try:
                yield cls(ledgers, steward, doors[:3], doors[3])
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                for ledger in (*ledgers, steward):
                    await ledger.aclose()

    async def epoch(self) -> int:
        """As Postgres has it."""
        async with self.steward.database.connection() as connection:
            epoch: int = await connection.fetchval("SELECT epoch FROM shards")
            return epoch

    async def state_of(self, server: EmbeddedRedis) -> Meta:
        async with linked(server) as link:
            meta = await read_meta(link, self.steward.shard.keys)
        assert meta is not None
        return meta


async def window_is_full(trial: Trial, ledger: Ledger) -> bool:
    """Whether this gateway's Redis takes no more; what it does take is given back."""
    try:
        async with ledger.holds.hold(trial.shop.order(1)):
            return False
    except LedgerBusy:
        return True
    except LedgerUnavailable:
        return False


async def test_a_stale_replica_is_promoted_and_the_old_master_still_serves(
    database_url: str, pair: list[EmbeddedRedis], request: pytest.FixtureRequest
) -> None:
    """Nothing the old side does is ever acknowledged; when its gateway comes over, it is booked."""
    options = LedgerOptions(database_url, "", postgres_connections=4)
    old, new = pair
    async with Site.on(options, old) as site:
        here, apart = site.ledgers
        async with Trial.on(site.ledgers, "failover") as trial:
            await here.windows.choose({trial.shop.credit_type: WINDOW})
            for number in range(OF_EACH):
                site.replication.lead(old)
                await follow(new, site.replication.port)
                await trial.some_sales()

                # Stale: it hears nothing more, or it is stopped and loses what was on its way.
                if number % 2:
                    os.kill(new.pid, signal.SIGSTOP)
                    await trial.some_sales()
                site.replication.lead(None)
                os.kill(new.pid, signal.SIGCONT)
                await trial.some_sales()

                before = await site.epoch()
                await asked(new, "REPLICAOF", "NO", "ONE")
                for door in (site.doors[0], site.doors[2]):
                    door.lead(new)
                await until(lambda before=before: here.shard.verified and here.shard.epoch > before)
                assert await site.epoch() > before
                fenced = await site.state_of(old)
                assert fenced.epoch != here.shard.epoch
                await sold(trial.shop, 10)
                await until(lambda: window_is_full(trial, apart))
                left = await site.state_of(old)
                # A busy machine may cut the gateway's connection, and a new one begins an epoch here.
                assert left.epoch != fenced.epoch or left.posted_q == fenced.posted_q
                [units] = [
                    each.held - each.posted
                    for each in left.types
                    if each.credit_type == trial.shop.credit_type
                ]
                assert units <= WINDOW

                site.doors[1].lead(new)
                await trial.healed()
                old, new = new, old
        name = request.node.callspec.params["pair"].partition("-")[0]
        await nothing_was_lost(f"a stale replica promoted, split brain ({name})", trial)
