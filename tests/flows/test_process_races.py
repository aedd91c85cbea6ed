"""
Many processes at once: one account is loaded once, one epoch begins, each fact is posted once.

FAREBOX_ROUNDS sets how often each race is run.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from ledger import accounts, api_keys, credit_types
from ledger.account_record import AccountRecord, account_field
from ledger.errors import LedgerUnavailable
from ledger.lines import control_args, dials_args
from ledger.shards import JOURNAL_CAP
from ledger.verify import verify
from tests.ledger.parts import WINDOW, Customer, Parts, opened
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FAREBOX_ROUNDS", "1"))
PROCESSES = 5
LOADERS, PUSHERS, SPENDERS, FENCES = 50, 20, 20, 5
LONGEST_S = 60
"""Until a race is over, on a machine that does much else."""


@pytest.fixture
async def processes(
    database_url: str, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Parts]]:
    """So many processes on the same stores; the first is the one that a test asks afterwards."""
    # They take each other's turn.
    monkeypatch.setattr("ledger.loader.GIVE_UP_S", LONGEST_S)
    monkeypatch.setattr("ledger.loader.LIMIT_S", LONGEST_S)
    async with opened(database_url, redis_url, namespace) as parts:
        others = [Parts(parts.database, redis_url, namespace) for _ in range(PROCESSES - 1)]
        for other in (parts, *others):
            await other.shard.ready(LONGEST_S)
        yield [parts, *others]
        for other in others:
            await other.close()


async def stranger(parts: Parts, units: int) -> Customer:
    """A customer with a key and credits of whom only Postgres knows."""
    async with parts.database.connection() as connection:
        credit_type = (await credit_types.register(connection, {"credits": 0}))["credits"]
        account = await accounts.create(connection, actor="test")
        made = await api_keys.create(
            connection, account.id, actor="test", random_bytes=secrets.token_bytes
        )
    await parts.shard.run("dials", dials_args(JOURNAL_CAP, [(credit_type, WINDOW)]))
    customer = Customer(parts, account.id, made.key.id, credit_type)
    await customer.grant(units)
    return customer


async def record_of(customer: Customer) -> AccountRecord:
    link = await customer.parts.reading.link()
    epoch = (await customer.parts.row()).epoch
    balances = customer.parts.keys.balances(epoch)
    return AccountRecord.unpack(await link.call("HGET", balances, account_field(customer.account)))


async def at_once(*calls: Awaitable[Any]) -> list[Any]:
    async with asyncio.timeout(LONGEST_S):
        return list(await asyncio.gather(*calls))


async def post_all(parts: Parts) -> None:
    """Post until Postgres is where Redis is, in the epoch that there is by then."""
    async with asyncio.timeout(LONGEST_S):
        while True:
            await parts.poster.step()
            meta, row = await parts.meta(), await parts.row()
            if meta is not None and (row.epoch, row.last_q) == (meta.epoch, meta.q):
                return


async def assert_posted_and_sound(processes: list[Parts]) -> None:
    await post_all(processes[0])
    async with processes[0].database.connection() as connection:
        assert await verify(connection) == []


async def test_fifty_loaders_of_one_account_load_it_once(processes: list[Parts]) -> None:
    """While they do, one more grant is ordered, and pushed by all."""
    for _ in range(ROUNDS):
        customer = await stranger(processes[0], 100)
        loads = [processes[n % PROCESSES].loader.load(customer.account) for n in range(LOADERS)]

        async def order_more(customer: Customer = customer) -> None:
            await customer.grant(11)
            pushed = await at_once(*(p.pusher.push(customer.account, 30) for p in processes))
            assert set(pushed) == {"applied"}

        await at_once(*loads, order_more())
        record = await record_of(customer)
        # The key and two grants: each applied once, in its order.
        assert (record.cseq, record.aseq, record.pools[0].balance) == (3, 3, 111)
        await customer.spend(111)
        await post_all(processes[0])
        assert (await customer.balance()).available == 0
    await assert_posted_and_sound(processes)
    what = f"{LOADERS} loaders on {PROCESSES} processes of one account: it is loaded once"
    tell(Proof("T6", what, seeds=ROUNDS, operations=LOADERS * ROUNDS))


async def test_twenty_pushers_of_the_same_controls_apply_each_once(processes: list[Parts]) -> None:
    for _ in range(ROUNDS):
        customer = await stranger(processes[0], 100)
        for units in (11, 1, 5):
            await customer.grant(units)
        pushed = await at_once(
            *(processes[n % PROCESSES].pusher.push(customer.account, 30) for n in range(PUSHERS))
        )
        assert set(pushed) == {"applied"}
        record = await record_of(customer)
        # The key and four grants: each applied once, in its order.
        assert (record.cseq, record.aseq, record.pools[0].balance) == (5, 5, 117)
        await customer.spend(117)
    await assert_posted_and_sound(processes)
    what = f"{PUSHERS} pushers of the same controls: each is applied once"
    tell(Proof("T6", what, seeds=ROUNDS, operations=PUSHERS * ROUNDS))


async def test_five_fences_at_once_begin_one_epoch(processes: list[Parts]) -> None:
    """By order, or because the state is gone; who held credit in the old one is settled once."""
    customer = await stranger(processes[0], 3 * ROUNDS)
    for n in range(ROUNDS):
        hold = await customer.held(3)
        await post_all(processes[0])
        epoch = (await processes[0].row()).epoch
        links = [await parts.connect() for parts in processes]
        if n % 2:
            await links[0].call("DEL", processes[0].keys.meta)
            await at_once(*(p.fence.verify(link) for p, link in zip(processes, links, strict=True)))
        else:
            await at_once(
                *(
                    p.fence.end(link, epoch, "race")
                    for p, link in zip(processes, links, strict=True)
                )
            )
        for link in links:
            link.close()
        row, meta = await processes[0].row(), await processes[0].meta()
        assert row.epoch == epoch + 1
        assert meta is not None
        assert (meta.epoch, meta.frozen, meta.open_holds) == (row.epoch, False, 1)
        for parts in processes:
            await settled_in_the_new_epoch(customer.seen_by(parts), hold)
    await assert_posted_and_sound(processes)
    balance = await customer.balance()
    assert (balance.available, balance.used) == (2 * ROUNDS, ROUNDS)
    what = f"{FENCES} fences at once, by order or after a loss: one epoch begins"
    tell(Proof("T6", what, seeds=ROUNDS, faults=ROUNDS, operations=FENCES * ROUNDS))


async def settled_in_the_new_epoch(customer: Customer, hold: bytes) -> None:
    parts = customer.parts
    async with asyncio.timeout(LONGEST_S):
        while (await parts.shard.ready(LONGEST_S)).epoch != (await parts.row()).epoch:
            with contextlib.suppress(LedgerUnavailable):  # that is how it gets to know
                await parts.shard.run("control", control_args(customer.account, []))
    await parts.loader.load(customer.account)
    assert await customer.settle(hold, 1) == [b"DONE", b"c", 1]


async def test_posters_at_once_post_each_fact_once(processes: list[Parts]) -> None:
    customer = await stranger(processes[0], SPENDERS * ROUNDS)
    await processes[0].pusher.push(customer.account)
    for n in range(1, ROUNDS + 1):
        spending = at_once(
            *(customer.seen_by(processes[i % PROCESSES]).spend(1) for i in range(SPENDERS))
        )

        async def post(parts: Parts) -> None:
            while (await customer.balance()).used < SPENDERS * n:  # noqa: B023 - of this round
                await parts.poster.step()

        await at_once(spending, *(post(parts) for parts in processes))
        async with processes[0].database.connection() as connection:
            charged = await connection.fetchval(
                "SELECT count(*) FROM charges WHERE account_id = $1 AND captured = 1",
                customer.account,
            )
            dead = await connection.fetchval("SELECT count(*) FROM dead_facts")
        assert (charged, dead) == (SPENDERS * n, 0)
        meta, row = await processes[0].meta(), await processes[0].row()
        assert meta is not None
        assert (row.epoch, row.last_q) == (meta.epoch, meta.q)
    assert (await customer.balance()).available == 0
    await assert_posted_and_sound(processes)
    what = f"{PROCESSES} posters at once, under load: each fact is posted once"
    tell(Proof("T6", what, seeds=ROUNDS, operations=SPENDERS * ROUNDS))
