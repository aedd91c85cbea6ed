"""An account enters an epoch once, as Postgres has it, however many ask."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger import shards
from ledger.account_record import AccountRecord, account_field
from ledger.errors import LedgerUnavailable, NotFound
from ledger.facts import Control
from ledger.limits import read_tallies, tally_field, window_id
from ledger.lines import load_begin_args, load_end_args
from ledger.loader import FIELDS_AT_ONCE
from ledger.snapshot import Snapshot, read_snapshot
from tests.ledger.parts import Customer, Parts, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def record_of(customer: Customer) -> AccountRecord:
    parts = customer.parts
    link = await parts.reading.link()
    epoch = (await parts.row()).epoch
    raw = await link.call("HGET", parts.keys.balances(epoch), account_field(customer.account))
    return AccountRecord.unpack(raw)


async def next_epoch(parts: Parts) -> None:
    """Salvage everything and begin anew: nothing is loaded then."""
    link = await parts.reading.link()
    await parts.new_fence().end(link, (await parts.row()).epoch, "a test")
    with pytest.raises(LedgerUnavailable, match="STALE"):
        await parts.pusher._send(1, [])  # so that the shard knows it
    await parts.shard.ready()


async def test_what_is_loaded_is_what_postgres_has(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    hold = await customer.held(20)
    before = await record_of(customer)
    await next_epoch(parts)
    await parts.loader.load(customer.account)
    after = await record_of(customer)
    assert after == before
    assert await customer.settle(hold, 20) == [b"DONE", b"c", 20]


async def test_pending_controls_are_applied_with_the_load(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    await next_epoch(parts)
    await customer.grant(50)
    await parts.loader.load(customer.account)
    assert (await record_of(customer)).pools[0].balance == 150


async def test_a_load_waits_for_the_shard_to_be_verified_anew(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    await parts.loader.load(customer.account)
    assert (await record_of(customer)).pools[0].balance == 100


async def test_a_repeat_changes_nothing(parts: Parts) -> None:
    customer = await parts.customer(100)
    await next_epoch(parts)
    await parts.loader.load(customer.account)
    await customer.spend(30)
    await parts.loader.load(customer.account)
    assert (await record_of(customer)).pools[0].balance == 70


async def test_fifty_loaders_load_once(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many processes that load one account at the same time one succeeds; all see its work."""
    monkeypatch.setattr("ledger.loader.GIVE_UP_S", 60)  # they take each other's turn; let them
    customer = await parts.customer(100)
    await next_epoch(parts)
    await customer.grant(11)
    others = [Parts(parts.database, parts.redis_url, parts.namespace) for _ in range(10)]
    for other in others:
        await other.shard.ready(10)
    await asyncio.gather(
        *(other.loader._load(customer.account) for other in others for _ in range(5))
    )
    assert (await record_of(customer)).pools[0].balance == 111
    for other in others:
        await other.post_all()
        await other.close()
    assert (await customer.balance()).available == 111


async def test_many_requests_share_one_load(parts: Parts) -> None:
    customer = await parts.customer(100)
    await next_epoch(parts)
    reads = 0
    original = parts.loader._snapshot

    async def counted(account: int) -> Snapshot:
        nonlocal reads
        reads += 1
        return await original(account)

    parts.loader._snapshot = counted
    await asyncio.gather(*(parts.loader.load(customer.account) for _ in range(100)))
    assert reads == 1


async def test_a_waiter_that_goes_away_does_not_stop_the_load(parts: Parts) -> None:
    customer = await parts.customer(100)
    await next_epoch(parts)
    waiting = asyncio.create_task(parts.loader.load(customer.account))
    await asyncio.sleep(0)
    waiting.cancel()
    await parts.loader.load(customer.account)
    assert (await record_of(customer)).pools[0].balance == 100


async def test_a_snapshot_read_before_another_load_is_refused(parts: Parts) -> None:
    """Between its reading and its writing somebody else loaded, spent, and posted."""
    customer = await parts.customer(100)
    await next_epoch(parts)
    account = customer.account
    snapshot = await read_snapshot(parts.database, account)
    begun = await parts.shard.run("load_begin", load_begin_args(account, b"late"), account=account)
    assert begun == [b"OK"]
    again = await parts.shard.run("load_begin", load_begin_args(account, b"own"), account=account)
    assert again == [b"OK"]
    assert await end_load(parts, snapshot, b"late") == b"TOKEN"
    assert await end_load(parts, snapshot, b"own") == b"LOADED"
    await customer.spend(30)
    assert await end_load(parts, snapshot, b"late") == b"LOADED"
    assert (await record_of(customer)).pools[0].balance == 70


async def test_a_snapshot_of_an_older_epoch_is_refused(parts: Parts) -> None:
    customer = await parts.customer(100)
    snapshot = await read_snapshot(parts.database, customer.account)
    await next_epoch(parts)
    args = load_begin_args(customer.account, b"own")
    assert await parts.shard.run("load_begin", args, account=customer.account) == [b"OK"]
    assert await end_load(parts, snapshot, b"own") == b"STALE"


async def test_more_uses_than_one_call_takes_are_all_brought_back(parts: Parts) -> None:
    """A thousand keys with limits on some routes: their account loads all the same."""
    customer = await parts.customer(100)
    most = 2 * FIELDS_AT_ONCE + 1
    async with parts.database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO limit_uses
            SELECT 'k', n, '\\x726f6164', $2, 20000, 1 + n % 9, $1 FROM generate_series(1, $3::int) n
            """,
            customer.account,
            window_id("Q", "day"),
            most,
        )
    await parts.shard.ready()
    link = await parts.reading.link()
    balances = parts.keys.balances(1)
    await link.call("HDEL", balances, account_field(customer.account))
    await parts.loader.load(customer.account)

    fields = [tally_field("k", n, b"road") for n in range(1, most + 1)]
    values = await link.call("HMGET", balances, *fields)
    read = [read_tallies(value)[window_id("Q", "day")].value for value in values]
    assert read == [1 + n % 9 for n in range(1, most + 1)]


async def test_an_account_that_postgres_does_not_have(parts: Parts) -> None:
    with pytest.raises(NotFound):
        await parts.loader.load(4711)


async def test_an_epoch_that_redis_has_not_is_waited_for_and_given_up(parts: Parts) -> None:
    """Postgres went on, Redis did not: every snapshot is of another epoch."""
    customer = await parts.customer(100)
    await parts.shard.ready()
    async with parts.database.connection() as connection:
        await shards.advance(connection, 0, 1, "elsewhere")
    await (await parts.reading.link()).call(
        "HDEL", parts.keys.balances(1), account_field(customer.account)
    )
    with pytest.raises(LedgerUnavailable):
        await parts.loader.load(customer.account)


async def end_load(parts: Parts, snapshot: Snapshot, token: bytes) -> bytes:
    args = load_end_args(
        snapshot.epoch,
        snapshot.account_id,
        token,
        record=snapshot.record,
        keys=snapshot.keys,
        holds=snapshot.holds,
        controls=map(Control.unpack, snapshot.controls),
    )
    [answer] = await parts.shard.run("load_end", args, account=snapshot.account_id)
    return answer


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_as_the_load_ends_is_cancelled(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """A request that was told to stop must stop, in whichever turn of the loop it was told."""
    read = asyncio.Event()

    async def load(account: int) -> None:
        await read.wait()

    monkeypatch.setattr(parts.loader, "_load", load)
    waiting = asyncio.create_task(parts.loader.load(1))
    await asyncio.sleep(0.01)
    read.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():
        await asyncio.wait({waiting})
        assert waiting.cancelled()
