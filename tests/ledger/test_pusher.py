"""What Postgres orders reaches Redis, each order once, in its order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ledger import accounts, controls
from ledger.database import Database
from ledger.facts import Control
from tests.ledger.parts import Customer, Parts, opened
from tests.ledger.quick_clock import QuickClock
from tests.ledger.test_fence import new_process
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def orders_of(customer: Customer) -> list[bytes]:
    async with customer.parts.database.connection() as connection:
        return await controls.pending(connection, customer.account)


async def test_a_grant_can_be_spent_when_the_push_returns(parts: Parts) -> None:
    customer = await parts.customer(0)
    await customer.grant(50)
    assert await parts.pusher.push(customer.account) == "applied"
    assert (await customer.hold(50))[1].words == [b"HELD", 0]


async def test_a_repeated_push_grants_nothing_more(parts: Parts) -> None:
    customer = await parts.customer(50)
    for _ in range(3):
        assert await parts.pusher.push(customer.account) == "applied"
    await parts.post_all()
    assert (await customer.balance()).available == 50
    assert await orders_of(customer) == []


async def test_pushes_at_the_same_time_apply_each_order_once(parts: Parts) -> None:
    customer = await parts.customer(0)
    others = [await new_process(parts) for _ in range(4)]
    for units in range(1, 11):
        await customer.grant(units)
    results = await asyncio.gather(
        *(each.pusher.push(customer.account) for each in (parts, *others) for _ in range(3))
    )
    assert set(results) == {"applied"}
    await parts.post_all()
    assert (await customer.balance()).available == 55
    for other in others:
        await other.close()


async def test_an_order_out_of_turn_is_not_applied(parts: Parts) -> None:
    customer = await parts.customer(10)
    await parts.post_all()
    for units in (1, 2):
        await customer.grant(units)
    first, second = await orders_of(customer)
    assert await parts.pusher._send(customer.account, [second]) == [b"GAP"]
    assert await parts.pusher._send(customer.account, [first, first, second]) == [
        b"OK",
        b"OLD",
        b"OK",
    ]
    assert Control.unpack(second).cseq == Control.unpack(first).cseq + 1


async def test_an_order_that_cannot_be_pushed_is_pending_and_pushed_later(
    parts: Parts, database_url: str
) -> None:
    customer = await parts.customer(10)
    database = await Database.connect(database_url)
    away = Parts(database, "redis://127.0.0.1:1", parts.namespace, clock=QuickClock())
    await customer.grant(5)
    assert await away.pusher.push(customer.account, limit_s=0) == "pending"
    await parts.pusher.poll()
    await parts.post_all()
    assert (await customer.balance()).available == 15
    await away.close()
    await database.close()


async def test_the_poll_reaches_accounts_that_are_not_loaded(parts: Parts) -> None:
    customer = await parts.customer(10)
    await parts.post_all()
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    other = await new_process(parts)
    await customer.grant(5)
    await other.pusher.poll()
    await other.post_all()
    assert (await customer.balance()).available == 15
    await other.close()


async def test_a_frozen_account_is_refused_once_pushed(parts: Parts) -> None:
    customer = await parts.customer(10)
    async with parts.database.connection() as connection:
        await accounts.freeze(
            connection, customer.account, frozen=True, actor="test", reason="a test"
        )
    assert await parts.pusher.push(customer.account) == "applied"
    assert (await customer.hold(1))[1].words == [b"BLOCKED"]


async def test_a_grant_beyond_thirty_two_lots_waits_for_a_place(parts: Parts) -> None:
    customer = await parts.customer(0)
    for _ in range(33):
        await customer.grant(1)
    assert await parts.pusher.push(customer.account) == "applied"
    await parts.post_all()
    assert (await customer.balance()).available == 32
    assert await parts.pusher.enter_due() == 0

    await customer.spend(2)
    await parts.post_all()
    assert await parts.pusher.enter_due() == 1
    await parts.post_all()
    balance = await customer.balance()
    assert (balance.available, balance.used, balance.granted) == (31, 2, 33)


async def test_a_scheduled_grant_enters_when_it_is_due_and_once(parts: Parts) -> None:
    customer = await parts.customer(10)
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    await customer.grant(5, effective_at=soon)
    assert await parts.pusher.enter_due() == 0
    await until(parts.pusher.enter_due)
    assert await parts.pusher.enter_due() == 0
    await parts.post_all()
    assert (await customer.balance()).available == 15


async def test_accounts_that_are_stuck_keep_no_others_waiting(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.pusher.PAGE", 2)
    customers = [await parts.customer(0) for _ in range(4)]
    for customer in customers:
        await customer.grant(5)
    push, stuck = parts.pusher._push, {customer.account for customer in customers[:2]}

    async def sometimes(account: int) -> bool:
        return account not in stuck and await push(account)

    monkeypatch.setattr(parts.pusher, "_push", sometimes)
    await parts.pusher.poll()
    await parts.post_all()
    assert [(await customer.balance()).available for customer in customers[2:]] == [5, 5]


async def lose_the_last_order(customer: Customer) -> None:
    """Let Postgres forget what it ordered last, as one that is restored to an earlier moment does."""
    async with customer.parts.database.connection() as connection:
        await connection.execute("SET session_replication_role = replica")
        last = (
            "SELECT object_id, cseq FROM controls WHERE account_id = $1 ORDER BY cseq DESC LIMIT 1"
        )
        lost = await connection.fetchrow(last, customer.account)
        await connection.execute("DELETE FROM grants WHERE id = $1", lost["object_id"])
        for table in ("control_requests", "controls"):
            await connection.execute(
                f"DELETE FROM {table} WHERE account_id = $1 AND cseq = $2",
                customer.account,
                lost["cseq"],
            )
        await connection.execute(
            "UPDATE accounts SET cseq_head = cseq_head - 1 WHERE id = $1", customer.account
        )
        await connection.execute("SET session_replication_role = origin")


async def test_an_order_under_a_number_that_redis_used_for_a_lost_one_is_not_applied(
    parts: Parts,
) -> None:
    """Redis takes it for a repeat; whoever ordered it must not hear that it is done."""
    customer = await parts.customer(10)
    await parts.post_all()
    await customer.grant(5)
    assert await parts.pusher.push(customer.account) == "applied"
    await lose_the_last_order(customer)
    await customer.grant(7)

    assert await parts.pusher.push(customer.account, limit_s=0.2) == "pending"
    await parts.post_all()
    assert await parts.pusher.push(customer.account, limit_s=0.2) == "pending"
    assert (await customer.balance()).granted == 10


async def test_an_order_that_another_process_pushed_and_nobody_posted_is_applied(
    parts: Parts,
) -> None:
    customer = await parts.customer(10)
    await customer.grant(5)
    [*_, line] = await orders_of(customer)
    assert await parts.pusher._send(customer.account, [line]) == [b"OK"]
    assert await parts.pusher.push(customer.account, limit_s=0) == "applied"


async def test_an_order_that_was_posted_in_between_is_applied(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await parts.customer(10)
    await customer.grant(5)
    send = parts.pusher._send

    async def sent_and_posted(account: int, waiting: list[bytes]) -> list[bytes]:
        await send(account, waiting)
        words = await send(account, waiting)
        await parts.post_all()
        return words

    monkeypatch.setattr(parts.pusher, "_send", sent_and_posted)
    assert await parts.pusher.push(customer.account, limit_s=0) == "applied"
