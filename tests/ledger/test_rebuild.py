"""Redis built up anew from Postgres, whole or one account; what is given up is said before."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ledger import accounts, audit, controls
from ledger.account_record import AccountRecord, account_field
from ledger.errors import Conflict, PostgresBehind
from ledger.lines import ack_args
from ledger.pusher import Pusher
from ledger.rebuild import Rebuilding, Reloading, rebuild, reload
from ledger.shards import ShardRow
from tests.ledger.parts import Customer, Parts, opened

pytestmark = pytest.mark.anyio

WHY = {"actor": "ann", "reason": "a test"}


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


def rebuilding(parts: Parts) -> Rebuilding:
    return Rebuilding(parts.database, parts.reading, parts.new_fence(), parts.keys)


async def reloaded(customer: Customer) -> None:
    parts = customer.parts
    all_of_it = Reloading(
        parts.database, parts.shard, parts.reading, parts.poster, parts.loader, parts.clock
    )
    await reload(all_of_it, customer.account, **WHY)


async def put_back(parts: Parts, row: ShardRow) -> None:
    """Let Postgres say that it has not come further than this."""
    async with parts.database.connection() as connection:
        await connection.execute(
            "UPDATE shards SET epoch = $1, last_q = $2, last_chain = $3",
            row.epoch,
            row.last_q,
            row.last_chain,
        )


async def damage(customer: Customer, **changes: object) -> None:
    """Change what Redis has of an account, past every script."""
    parts = customer.parts
    link, field = await parts.reading.link(), account_field(customer.account)
    key = parts.keys.balances(parts.shard.epoch)
    record = AccountRecord.unpack(await link.call("HGET", key, field))
    await link.call("HSET", key, field, replace(record, **changes).pack())


async def test_a_rebuild_keeps_what_was_not_posted_and_is_audited(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)

    done = await rebuild(rebuilding(parts), **WHY)

    assert (done.done, done.before, done.epoch, done.losses) == (True, 1, 2, None)
    assert (await customer.hold(70))[1].words == [b"HELD", 0]
    async with parts.database.connection() as connection:
        [row] = await audit.rows(connection, target="shard 0")
    assert (row.actor, row.action, row.detail["epoch"]) == ("ann", "ledger.rebuild", 2)


async def test_a_redis_in_a_later_epoch_is_given_up_only_where_a_person_says_so(
    parts: Parts,
) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    row = await parts.row()
    await rebuild(rebuilding(parts), **WHY)
    await customer.spend(30)
    held = await customer.held(5)
    await put_back(parts, row)

    refused = await rebuild(rebuilding(parts), **WHY)
    assert not refused.done
    meta = await parts.meta()
    assert meta is not None
    assert (meta.epoch, meta.frozen) == (2, False)
    assert refused.losses is not None
    assert (refused.losses.redis_epoch, refused.losses.epoch) == (2, 1)
    assert not refused.losses.complete
    lost = refused.losses.rows[customer.account, customer.credit_type]
    assert (lost.charges, lost.captured, lost.in_redis, lost.in_postgres) == (1, 30, 70, 100)

    done = await rebuild(rebuilding(parts), lose_data=True, **WHY)
    assert (done.done, done.epoch) == (True, 3)
    assert await customer.settle(held, 5) == [b"NOHOLD"]
    assert (await customer.hold(100))[1].words == [b"HELD", 0]


async def test_a_postgres_behind_what_the_journal_still_has_is_refused(parts: Parts) -> None:
    """A new epoch would quietly drop the charges in between: nobody could tell Postgres of them."""
    customer = await parts.customer(100)
    await parts.post_all()
    before = await parts.row()
    await customer.spend(30)
    await parts.post_all()
    after = await parts.row()
    await parts.shard.run("ack", ack_args(after.last_q, after.last_chain, (), 0))  # trims the rest
    await put_back(parts, before)

    with pytest.raises(PostgresBehind):
        await parts.new_fence().verify(await parts.reading.link())
    with pytest.raises(PostgresBehind):
        await parts.new_fence().end(await parts.reading.link(), 1, "a poster found a gap")

    assert (await parts.row()).epoch == 1
    done = await rebuild(rebuilding(parts), lose_data=True, **WHY)
    assert (done.done, done.epoch) == (True, 2)


async def test_what_is_given_up_is_told_by_account(parts: Parts) -> None:
    """Whole and partial captures, late ones, grants, and an account that has nothing to tell."""
    quiet, busy = await parts.customer(50), await parts.customer(100)
    await parts.post_all()
    row = await parts.row()
    await rebuild(rebuilding(parts), **WHY)
    await busy.grant(40)
    await parts.loader.load(quiet.account)
    assert await parts.pusher.push(busy.account) == "applied"
    await busy.spend(30)
    assert (await busy.settle(await busy.held(20), 5))[0] == b"DONE"
    await busy.held(7)
    await put_back(parts, row)

    refused = await rebuild(rebuilding(parts), **WHY)
    assert refused.losses is not None
    assert list(refused.losses.rows) == [(busy.account, busy.credit_type)]
    lost = refused.losses.rows[busy.account, busy.credit_type]
    assert (lost.charges, lost.captured, lost.granted) == (2, 35, 40)
    assert (lost.in_redis, lost.in_postgres) == (105, 100)


async def test_a_damaged_account_is_loaded_anew(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    open_hold = await customer.held(20)
    await damage(customer, pools=())
    assert (await customer.hold(1))[1].words == [b"INSUFFICIENT", b"0"]

    await reloaded(customer)

    assert (await customer.hold(51))[1].words == [b"INSUFFICIENT", b"50"]
    assert await customer.settle(open_hold, 5) == [b"DONE", b"c", 5]
    await parts.post_all()
    balance = await customer.balance()
    assert (balance.available, balance.held, balance.used) == (65, 0, 35)
    async with parts.database.connection() as connection:
        rows = await audit.rows(connection, target=f"acc_{customer.account}")
    assert rows[0].action == "account.rebuild"


async def test_an_account_whose_facts_died_waits_for_a_new_epoch(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    await damage(customer, aseq=17)
    await customer.spend(30)
    await parts.post_all()

    with pytest.raises(Conflict) as refused:
        await reloaded(customer)
    assert refused.value.code == "rebuild-first"
    await rebuild(rebuilding(parts), **WHY)
    await reloaded(customer)


async def test_a_quarantine_ends_after_a_decision_and_a_new_epoch(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    await damage(customer, aseq=17)
    await customer.spend(30)
    await parts.post_all()

    async def release() -> None:
        async with parts.database.connection() as connection:
            await accounts.release(connection, customer.account, **WHY)

    with pytest.raises(Conflict) as refused:
        await release()
    assert refused.value.code == "facts-unresolved"
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE dead_facts SET resolved_at = now()")
    with pytest.raises(Conflict) as refused:
        await release()
    assert refused.value.code == "rebuild-first"
    await rebuild(rebuilding(parts), **WHY)
    await release()


async def test_a_push_that_began_in_quarantine_does_not_block_after_the_release(
    parts: Parts,
) -> None:
    """What it finds applied already came with the load, and is no other history's number."""
    customer = await parts.customer(100)
    await parts.post_all()
    await damage(customer, aseq=17)
    await customer.spend(30)
    await parts.post_all()
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE dead_facts SET resolved_at = now()")
    await rebuild(rebuilding(parts), **WHY)

    class ReleasedMeanwhile:
        async def load(self, account: int) -> None:
            async with parts.database.transaction() as connection:
                await accounts.release(connection, account, **WHY)
                thaw = controls.Freeze(frozen=False)
                await controls.add(connection, account, thaw, "test", "thaw", "ann")
            await parts.loader.load(account)

    loader: Any = ReleasedMeanwhile()
    pusher = Pusher(parts.database, parts.shard, loader, parts.reading, parts.clock)
    assert await pusher.push(customer.account) == "applied"

    assert (await customer.hold(100))[1].words == [b"HELD", 0]
