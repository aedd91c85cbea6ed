"""What nobody asks for any more is ended by the sweeps, and what nobody needs is removed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ledger.database import Queries
from ledger.ids import hold_id
from ledger.lines import renew_line
from ledger.records import session_field
from tests.ledger.parts import MINUTE_MS, Parts, opened
from tests.ledger.test_fence import new_process
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

PAST = -1_000


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def test_an_overdue_hold_comes_back(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.held(30, lifetime_ms=PAST)
    await customer.held(20)
    await parts.post_all()
    assert await parts.sweeper.expire_holds() == 1
    await parts.post_all()
    balance = await customer.balance()
    assert (balance.available, balance.held, balance.used) == (80, 20, 0)


async def test_a_repeated_sweep_gives_nothing_back_twice(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.held(30, lifetime_ms=PAST)
    await parts.post_all()
    for _ in range(3):
        await parts.sweeper.expire_holds()
    await parts.post_all()
    assert await parts.sweeper.expire_holds() == 0
    assert (await customer.balance()).available == 100


async def test_the_holds_of_a_dead_gateway_come_back_in_a_later_epoch_too(parts: Parts) -> None:
    """Their account is loaded for it: no request asks for it any more."""
    customer = await parts.customer(100)
    await customer.held(30, lifetime_ms=PAST)
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    other = await new_process(parts)
    assert await other.sweeper.expire_holds() == 1
    await other.post_all()
    balance = await customer.balance()
    assert (balance.available, balance.held) == (100, 0)
    meta = await other.meta()
    assert meta is not None
    assert meta.types[0].held == meta.types[0].posted
    await other.close()


async def test_a_renewed_hold_is_left_alone(parts: Parts) -> None:
    customer = await parts.customer(100)
    hold = await customer.held(30, lifetime_ms=PAST)
    later_ms = parts.clock.now_ms() + MINUTE_MS
    assert (await parts.shard.settle(renew_line(hold, later_ms))).words == [b"RENEWED"]
    await parts.post_all()
    assert await parts.sweeper.expire_holds() == 0
    assert await customer.settle(hold, 30) == [b"DONE", b"c", 30]


async def test_more_overdue_holds_than_a_page_all_come_back(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.sweeper.PAGE", 4)
    customer = await parts.customer(100)
    for _ in range(10):
        await customer.held(1, lifetime_ms=PAST)
    await parts.post_all()
    assert await parts.sweeper.expire_holds() == 10


async def test_renewed_holds_crowd_out_no_others(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.sweeper.PAGE", 2)
    customer = await parts.customer(100)
    later_ms = parts.clock.now_ms() + MINUTE_MS
    for _ in range(4):
        hold = await customer.held(1, lifetime_ms=2 * PAST)
        await parts.shard.settle(renew_line(hold, later_ms))
    await customer.held(1, lifetime_ms=PAST)
    await parts.post_all()
    assert await parts.sweeper.expire_holds() == 1


async def test_due_lots_are_found_by_an_index(parts: Parts) -> None:
    async with parts.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch("EXPLAIN " + Queries("sweeper").with_due_lots, 0, 1, 0, 10)
    assert any("grants_due" in row[0] for row in plan)


async def test_what_is_left_in_a_due_lot_is_booked(parts: Parts) -> None:
    customer = await parts.customer(100)
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    await customer.grant(50, expires_at=soon)
    await parts.pusher.push(customer.account)
    await parts.post_all()
    await until(parts.sweeper.expire_lots)
    await parts.post_all()
    assert await parts.sweeper.expire_lots() == 0
    balance = await customer.balance()
    assert (balance.available, balance.expired) == (100, 50)


async def test_lots_of_an_account_that_is_not_loaded_expire_too(parts: Parts) -> None:
    customer = await parts.customer(0)
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    await customer.grant(50, expires_at=soon)
    await parts.pusher.push(customer.account)
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    other = await new_process(parts)
    await until(other.sweeper.expire_lots)
    await other.post_all()
    assert (await customer.balance()).expired == 50
    await other.close()


async def test_a_closed_mark_that_posting_lost_sight_of_is_removed(parts: Parts) -> None:
    customer = await parts.customer(100)
    posted, open_hold, unposted = [await customer.held(10) for _ in range(3)]
    await customer.settle(posted, 10)
    await parts.poster.step()
    link, key = await parts.reading.link(), parts.keys.holds(1)
    await link.call("HSET", key, posted, b"Dc" + (10).to_bytes(6, "little"))
    await customer.settle(unposted, 10)
    await parts.sweeper.tidy()
    assert set(await link.call("HKEYS", key)) == {open_hold, unposted}


async def test_an_idle_session_is_dropped_and_a_busy_one_is_not(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.held(1)
    idle = (await parts.new_fence().verify(await parts.reading.link())).session
    busy = parts.shard.session
    link, key = await parts.reading.link(), parts.keys.balances(1)
    raw = bytearray(await link.call("HGET", key, session_field(idle)))
    raw[8:16] = bytes(8)  # last used in 1970
    await link.call("HSET", key, session_field(idle), bytes(raw))
    await parts.sweeper.tidy()
    assert await link.call("HEXISTS", key, session_field(idle)) == 0
    assert await link.call("HEXISTS", key, session_field(busy)) == 1


async def test_a_dropped_session_is_replaced_without_a_request_noticing(parts: Parts) -> None:
    customer = await parts.customer(100)
    session = parts.shard.session
    link = await parts.reading.link()
    await link.call("HDEL", parts.keys.balances(1), session_field(session))
    hold = await customer.held(10)
    assert hold[8:] != hold_id(0, session)[8:]


async def test_older_epochs_leave_nothing_in_redis(parts: Parts) -> None:
    customer = await parts.customer(100)
    for epoch in (1, 2, 3):
        await customer.spend(1)
        await parts.new_fence().end(await parts.reading.link(), epoch, "a test")
        await parts.loader.load(customer.account)
    await parts.sweeper.drop_epochs()
    link = await parts.reading.link()
    left = {key.decode() for key in await link.call("KEYS", f"{parts.namespace}:*")}
    assert left <= {
        parts.keys.meta,
        parts.keys.journal(4),
        parts.keys.balances(4),
        parts.keys.holds(4),
    }
