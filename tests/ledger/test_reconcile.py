"""Redis and Postgres are compared field by field; any difference is a finding."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ledger import findings
from ledger.account_record import AccountRecord, account_field
from ledger.errors import LedgerUnavailable
from ledger.reconcile import Stores, reconcile
from ledger.records import KeyRecord, key_field
from tests.ledger.parts import Customer, Parts, opened
from tests.ledger.test_fence import wipe

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


@pytest.fixture
async def customer(parts: Parts) -> Customer:
    """Someone with a bit of everything: spent, held, given back, frozen once."""
    customer = await parts.customer(100)
    await customer.spend(30)
    await customer.held(20)
    await customer.settle(await customer.held(10), 4)
    await customer.grant(7)
    await parts.pusher.push(customer.account)
    await parts.post_all()
    return customer


async def found_in(parts: Parts) -> list[findings.Finding]:
    link = await parts.reading.link()
    return await reconcile(Stores(parts.database, link, parts.keys, parts.clock))


async def checks_failing(parts: Parts) -> set[str]:
    return {finding.check for finding in await found_in(parts)}


async def change(parts: Parts, key: str, field: bytes, raw: bytes) -> None:
    await (await parts.reading.link()).call("HSET", key, field, raw)


async def record_of(customer: Customer) -> AccountRecord:
    link = await customer.parts.reading.link()
    raw = await link.call("HGET", customer.parts.keys.balances(1), account_field(customer.account))
    return AccountRecord.unpack(raw)


async def put(customer: Customer, record: AccountRecord) -> None:
    key = customer.parts.keys.balances(1)
    await change(customer.parts, key, account_field(customer.account), record.pack())


async def test_nothing_is_found_when_they_agree(parts: Parts, customer: Customer) -> None:
    assert await found_in(parts) == []


async def test_nothing_is_found_in_a_new_epoch(parts: Parts, customer: Customer) -> None:
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    assert await found_in(parts) == []
    await parts.loader.load(customer.account)
    assert await found_in(parts) == []


async def test_nothing_is_found_while_everything_moves(parts: Parts, customer: Customer) -> None:
    async def traffic() -> None:
        while True:
            await customer.settle(await customer.held(2), 1)
            await parts.poster.step()
            await asyncio.sleep(0.001)

    await customer.grant(100_000)
    await parts.pusher.push(customer.account)
    moving = asyncio.create_task(traffic())
    assert await found_in(parts) == []
    assert not moving.done()
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)


async def test_a_lot_with_another_amount_is_found(parts: Parts, customer: Customer) -> None:
    record = await record_of(customer)
    pool = record.pools[0]
    more = pool.lots[0]._replace(remaining=pool.lots[0].remaining + 1)
    await put(customer, replace(record, pools=(pool._replace(lots=(more, *pool.lots[1:])),)))
    [finding] = await found_in(parts)
    assert (finding.check, finding.account_id) == ("accounts_equal", customer.account)


@pytest.mark.parametrize("wrong", [{"status": 2}, {"cseq": 99}])
async def test_another_status_or_control_number_is_found(
    parts: Parts, customer: Customer, wrong: dict[str, int]
) -> None:
    await put(customer, replace(await record_of(customer), **wrong))  # type: ignore[arg-type]
    assert await checks_failing(parts) == {"accounts_equal"}


async def test_an_account_ahead_of_its_facts_is_found(parts: Parts, customer: Customer) -> None:
    record = await record_of(customer)
    await put(customer, replace(record, aseq=record.aseq + 1))
    [finding] = await found_in(parts)
    assert finding.detail == f"Redis is at its fact {record.aseq + 1}, Postgres at {record.aseq}"


async def test_an_account_with_rubbish_is_found(parts: Parts, customer: Customer) -> None:
    await change(parts, parts.keys.balances(1), account_field(customer.account), b"rubbish")
    assert await checks_failing(parts) == {"accounts_equal"}


async def test_a_key_that_redis_would_accept_wrongly_is_found(
    parts: Parts, customer: Customer
) -> None:
    record = KeyRecord(status=1, account=customer.account, scopes=3)
    await change(parts, parts.keys.balances(1), key_field(customer.key), record.pack())
    assert await checks_failing(parts) == {"keys_equal"}


async def test_a_hold_that_redis_has_lost_is_found(parts: Parts, customer: Customer) -> None:
    link = await parts.reading.link()
    await link.call("DEL", parts.keys.holds(1))
    assert await checks_failing(parts) == {"accounts_equal", "window_is_open_holds"}


async def test_a_hold_that_should_have_expired_is_found(parts: Parts, customer: Customer) -> None:
    await customer.held(5, lifetime_ms=-100_000)
    await parts.post_all()
    assert await checks_failing(parts) == {"holds_expire"}


async def test_a_leaking_window_is_found(parts: Parts, customer: Customer) -> None:
    link = await parts.reading.link()
    raw = bytearray(await link.call("GET", parts.keys.meta))
    [held] = struct.unpack_from("<d", raw, 67)
    struct.pack_into("<d", raw, 67, held + 1)
    await link.call("SET", parts.keys.meta, bytes(raw))
    assert await checks_failing(parts) == {"window_is_open_holds"}


async def test_more_ahead_of_postgres_than_may_be_is_found(
    parts: Parts, customer: Customer
) -> None:
    """I5. The holds are there, so that only the window is wrong."""
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE credit_types SET window_units = 1")
    link = await parts.reading.link()
    raw = bytearray(await link.call("GET", parts.keys.meta))
    struct.pack_into("<d", raw, 91, 1.0)
    await link.call("SET", parts.keys.meta, bytes(raw))
    assert await checks_failing(parts) == {"window_is_kept"}


async def test_more_acknowledged_than_was_returned_is_found(
    parts: Parts, customer: Customer
) -> None:
    """I5, its other end: units would be taken for posted that are still held."""
    link = await parts.reading.link()
    raw = bytearray(await link.call("GET", parts.keys.meta))
    [returned] = struct.unpack_from("<d", raw, 75)
    struct.pack_into("<d", raw, 83, returned + 1)
    await link.call("SET", parts.keys.meta, bytes(raw))
    assert await checks_failing(parts) == {"window_is_kept"}


async def test_a_redis_behind_postgres_is_found(parts: Parts, customer: Customer) -> None:
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE shards SET last_q = last_q + 100")
    assert "redis_not_behind" in await checks_failing(parts)


async def test_an_epoch_on_another_server_is_found(parts: Parts, customer: Customer) -> None:
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE shards SET incarnation = 'elsewhere'")
    assert await checks_failing(parts) == {"epochs_equal"}


async def test_a_shard_that_is_not_open_cannot_be_compared(
    parts: Parts, customer: Customer
) -> None:
    await wipe(parts)
    with pytest.raises(LedgerUnavailable):
        await found_in(parts)


async def test_a_finding_is_kept_once(parts: Parts, customer: Customer) -> None:
    await put(customer, replace(await record_of(customer), status=2))
    for _ in range(2):
        async with parts.database.connection() as connection:
            await findings.record(connection, await found_in(parts))
    async with parts.database.connection() as connection:
        assert len(await findings.rows(connection)) == 1


async def test_another_plan_in_redis_is_found(customer: Customer) -> None:
    """Its calls would cost something else."""
    record = await record_of(customer)
    await put(customer, replace(record, plan=9))

    assert await checks_failing(customer.parts) == {"accounts_equal"}
