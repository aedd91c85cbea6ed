"""A connection is trusted only in the epoch that Postgres follows; otherwise a new one begins."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger.errors import LedgerUnavailable
from ledger.fence import Fence, Verdict, incarnation_of, judge
from ledger.records import Meta
from ledger.shards import ShardRow
from tests.ledger.parts import Parts, opened

pytestmark = pytest.mark.anyio

CHAIN = "0" * 16


def a_row(epoch: int = 3, incarnation: str = "here", last_q: int = 10) -> ShardRow:
    return ShardRow(0, epoch, incarnation, last_q, CHAIN, (), 0)


def a_meta(epoch: int = 3, q: int = 10, frozen: bool = False) -> Meta:
    return Meta(epoch, q, q, 1000, 0, 0, frozen, CHAIN, ())


@pytest.mark.parametrize(
    ("row", "meta", "verdict"),
    [
        (a_row(), a_meta(), Verdict.STANDS),
        (a_row(), a_meta(q=99), Verdict.STANDS),
        (a_row(), a_meta(q=9), Verdict.BROKEN),
        (a_row(), a_meta(frozen=True), Verdict.BROKEN),
        (a_row(), None, Verdict.BROKEN),
        (a_row(), a_meta(epoch=2), Verdict.BROKEN),
        (a_row(), a_meta(epoch=4), Verdict.AHEAD),
        (a_row(incarnation="elsewhere"), a_meta(), Verdict.BROKEN),
        (a_row(last_q=0), None, Verdict.UNOPENED),
        (a_row(last_q=0), a_meta(epoch=2), Verdict.UNOPENED),
        (a_row(last_q=0, incarnation="elsewhere"), None, Verdict.BROKEN),
        (a_row(epoch=0, last_q=0, incarnation=""), None, Verdict.BROKEN),
    ],
)
def test_judging_a_connection(row: ShardRow, meta: Meta | None, verdict: Verdict) -> None:
    assert judge(row, "here", meta) is verdict


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def test_the_very_first_connection_opens_epoch_one(parts: Parts) -> None:
    assert (await parts.shard.ready()).epoch == 1
    row, meta = await parts.row(), await parts.meta()
    assert row.epoch == 1
    assert meta is not None
    assert (meta.epoch, meta.q, meta.frozen) == (1, 0, False)


async def test_each_connection_has_a_session_of_its_own(parts: Parts) -> None:
    link = await parts.reading.link()
    standings = [await parts.new_fence().verify(link) for _ in range(3)]
    assert {standing.epoch for standing in standings} == {1}
    assert len({standing.session for standing in standings}) == 3


async def test_a_new_epoch_salvages_what_was_not_posted(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    open_hold = await customer.held(20)
    await parts.new_fence().end(await parts.reading.link(), 1, "a test")

    row, meta = await parts.row(), await parts.meta()
    assert (row.epoch, row.last_q) == (2, 0)
    assert [(held.holds, held.units) for held in row.open_at_start] == [(1, 20)]
    assert meta is not None
    assert (meta.epoch, meta.open_holds, meta.types[0].held) == (2, 1, 20)
    balance = await customer.balance()
    assert (balance.available, balance.held, balance.used) == (50, 20, 30)

    assert await customer.settle(open_hold, 5) == [b"NOHOLD"]
    await parts.loader.load(customer.account)
    assert await customer.settle(open_hold, 5) == [b"DONE", b"c", 5]


async def test_a_wiped_redis_begins_a_new_epoch_from_what_postgres_has(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    await parts.post_all()
    await customer.spend(10)
    await wipe(parts)

    _, answer = await customer.hold(70)
    assert answer.words == [b"HELD", 0]
    assert answer.epoch == 2


async def test_an_older_dataset_on_a_live_server_is_noticed_by_its_position(parts: Parts) -> None:
    customer = await parts.customer(100)
    before = await dump(parts)
    await customer.spend(30)
    await parts.post_all()
    await restore(parts, before)

    _, answer = await customer.hold(70)
    assert (answer.words, answer.epoch) == ([b"HELD", 0], 2)


async def test_facts_of_another_history_are_not_salvaged(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    before = await dump(parts)
    await customer.spend(30)
    await parts.post_all()
    await restore(parts, before)
    other = await new_process(parts)
    for _ in range(3):
        assert (await customer.seen_by(other).hold(10))[1].words[0] == b"HELD"

    await parts.new_fence().end(await parts.reading.link(), 1, "a test")
    assert (await customer.balance()).used == 30
    assert (await customer.balance()).held == 0
    await other.close()


async def test_a_redis_ahead_of_postgres_is_refused_and_not_touched(parts: Parts) -> None:
    await parts.shard.ready()
    async with parts.database.connection() as connection:
        await connection.execute("UPDATE shards SET epoch = 0, incarnation = ''")
    with pytest.raises(LedgerUnavailable, match="Postgres lost commits"):
        await parts.new_fence().verify(await parts.reading.link())
    meta = await parts.meta()
    assert meta is not None
    assert (meta.epoch, meta.frozen) == (1, False)


STEPS = ("_freeze", "_salvage", "_advance", "_open")


def crashing_after(step: str) -> type[Fence]:
    """A fence that dies once, right behind one of its steps."""

    class Crashing(Fence):
        crashes = 1

    original = getattr(Fence, step)

    async def crash(self: Fence, *args: object) -> object:
        result = await original(self, *args)
        if Crashing.crashes:
            Crashing.crashes -= 1
            raise ConnectionError("crashed")
        return result

    setattr(Crashing, step, crash)
    return Crashing


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_crash_behind_any_step_another_process_goes_on(
    parts: Parts, step: str
) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    hold = await customer.held(20)
    dying = crashing_after(step)(parts.database, parts.keys, parts.scripts, parts.clock)
    with pytest.raises(ConnectionError):
        await dying.end(await parts.reading.link(), 1, "a test")

    other = await new_process(parts)
    assert (await other.shard.ready()).epoch == 2
    await other.loader.load(customer.account)
    assert await customer.seen_by(other).settle(hold, 20) == [b"DONE", b"c", 20]
    await other.post_all()
    balance = await customer.balance()
    assert (balance.available, balance.held, balance.used) == (50, 0, 50)
    await other.close()


@pytest.mark.parametrize("step", STEPS)
async def test_a_wiped_redis_comes_back_whatever_step_its_first_fence_dies_behind(
    parts: Parts, step: str
) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    await parts.post_all()
    await wipe(parts)
    dying = crashing_after(step)(parts.database, parts.keys, parts.scripts, parts.clock)
    with pytest.raises(ConnectionError):
        await dying.mend(await parts.reading.link())
    other = await new_process(parts)
    assert (await customer.seen_by(other).hold(70))[1].words == [b"HELD", 0]
    await other.close()


async def test_fences_at_the_same_time_begin_one_epoch(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    await parts.post_all()
    await wipe(parts)
    others = [await new_process(parts) for _ in range(8)]
    standings = await asyncio.gather(*(other.shard.ready(10) for other in others))
    row, meta = await parts.row(), await parts.meta()
    assert meta is not None
    assert row.epoch == meta.epoch
    assert {standing.epoch for standing in standings} == {row.epoch}
    assert row.epoch == 2
    for other in others:
        await other.close()


async def test_an_epoch_without_a_posted_fact_is_opened_again(parts: Parts) -> None:
    """Nothing of it is in Postgres, so it starts from the same state as the first time."""
    await parts.shard.ready()
    await wipe(parts)
    assert (await parts.new_fence().verify(await parts.reading.link())).epoch == 1


async def test_a_replica_is_not_trusted(parts: Parts) -> None:
    class Replica:
        async def call(self, *args: object) -> bytes:
            return b"run_id:1\r\nrole:slave\r\n"

    with pytest.raises(LedgerUnavailable, match="replica"):
        await incarnation_of(Replica())  # type: ignore[arg-type]


async def new_process(parts: Parts) -> Parts:
    return Parts(parts.database, parts.redis_url, parts.namespace)


async def keys_of(parts: Parts) -> list[bytes]:
    link = await parts.reading.link()
    found: list[bytes] = await link.call("KEYS", f"{parts.namespace}:*")
    return found


async def wipe(parts: Parts) -> None:
    """FLUSHALL, as far as this test's keys go."""
    await (await parts.reading.link()).call("DEL", *await keys_of(parts))


async def dump(parts: Parts) -> dict[bytes, bytes]:
    link = await parts.reading.link()
    return {key: await link.call("DUMP", key) for key in await keys_of(parts)}


async def restore(parts: Parts, copy: dict[bytes, bytes]) -> None:
    """Put an older state in place of this one, on the same running server."""
    await wipe(parts)
    link = await parts.reading.link()
    for key, raw in copy.items():
        await link.call("RESTORE", key, 0, raw)
