"""Posting follows one journal, whole entries at a time, and acknowledges what it has."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger.journal import read_tail
from ledger.journal_entry import Entry
from ledger.poster import MOST_FACTS, Poster, whole_batch
from ledger.posting import post
from tests.ledger.parts import Parts, opened
from tests.ledger.test_fence import dump, new_process, restore, wipe
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


def an_entry(first_q: int, facts: int) -> Entry:
    return Entry(1, first_q, first_q + facts - 1, "", "", 0, 0, (), (None,) * facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([1], 1), ([9200, 6800, 1], 2), ([9200, 6801], 1), ([17000, 1], 1), ([1] * 5, 5)],
)
def test_a_batch_is_whole_entries_and_at_least_one(sizes: list[int], taken: int) -> None:
    entries = [an_entry(1 + sum(sizes[:at]), size) for at, size in enumerate(sizes)]
    assert whole_batch(entries) == entries[:taken]
    assert MOST_FACTS == 16_000


async def test_no_more_entries_are_looked_at_than_a_batch_takes(parts: Parts) -> None:
    customer = await parts.customer(100)
    for _ in range(3):
        await customer.held(1)
    link = await parts.reading.link()
    everything = await read_tail(link, parts.keys, 1, 0, 100)
    first, second = everything[:2]
    assert await read_tail(link, parts.keys, 1, 0, 100, enough_facts=len(first.facts)) == [first]
    assert await read_tail(link, parts.keys, 1, 0, 100, enough_facts=len(first.facts) + 1) == [
        first,
        second,
    ]


async def test_what_is_posted_reopens_the_window_and_loses_its_mark(parts: Parts) -> None:
    customer = await parts.customer(100)
    hold = await customer.held(30)
    await customer.settle(hold, 10)
    await parts.post_all()
    meta = await parts.meta()
    assert meta is not None
    assert (meta.posted_q, meta.types[0].posted) == (meta.q, 30)
    link = await parts.reading.link()
    assert await link.call("HLEN", parts.keys.holds(1)) == 0
    assert (await customer.balance()).used == 10


@pytest.mark.parametrize(("prompt", "longest_s"), [(False, 0.2), (True, 0.02)])
async def test_at_rest_it_looks_more_often_where_strict_routes_wait(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, prompt: bool, longest_s: float
) -> None:
    await parts.customer(0)
    await parts.post_all()
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 10:
            raise asyncio.CancelledError

    monkeypatch.setattr(parts.poster._clock, "sleep", rest)
    parts.poster.prompt = prompt
    with pytest.raises(asyncio.CancelledError):
        await parts.poster.run()
    assert max(rests) == longest_s


@pytest.mark.parametrize(
    ("calls", "units", "rests_s"),
    [(1, 100_000, [0.04, 0.08, 0.16, 0.2, 0.2]), (1, 100_001, [0.05] * 5), (50, 1, [0.05] * 5)],
)
async def test_few_facts_wait_for_more_unless_they_fill_a_window(
    parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
    units: int,
    rests_s: list[float],
) -> None:
    customer = await parts.customer(1_000_000)
    await parts.post_all()
    rests: list[float] = []
    monkeypatch.setattr("ledger.poster.ENOUGH_FACTS", 100)

    async def come() -> None:
        """So many calls, of two facts each, as if they came while the poster rests."""
        await asyncio.gather(*(customer.spend(units) for _ in range(calls)))

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == len(rests_s):
            raise asyncio.CancelledError
        await come()

    monkeypatch.setattr(parts.poster._clock, "sleep", rest)
    await come()
    with pytest.raises(asyncio.CancelledError):
        await parts.poster.run()
    assert rests == rests_s


async def test_an_open_hold_keeps_its_units_in_the_window(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.held(30)
    await parts.post_all()
    meta = await parts.meta()
    assert meta is not None
    assert meta.types[0].held - meta.types[0].posted == 30


async def test_a_crash_between_commit_and_ack_is_made_good(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    row, link = await parts.row(), await parts.reading.link()
    tail = await read_tail(link, parts.keys, 1, row.last_q, 100)
    async with parts.database.connection() as connection:
        await post(connection, 0, tail)
    await parts.post_all()
    meta = await parts.meta()
    assert meta is not None
    assert meta.posted_q == meta.q
    assert (await customer.balance()).used == 30


async def test_a_lost_ack_is_repeated(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    original = parts.shard.run

    async def lost(*args: object, **more: object) -> list[bytes]:
        await original(*args, **more)  # type: ignore[arg-type]
        raise ConnectionError("the reply is lost")

    with monkeypatch.context() as patch:
        patch.setattr(parts.shard, "run", lost)
        with pytest.raises(ConnectionError):
            await parts.poster.step()
    assert await parts.poster.step() == 0
    meta = await parts.meta()
    assert meta is not None
    assert meta.posted_q == meta.q


async def test_two_posters_post_every_fact_once(parts: Parts) -> None:
    customer = await parts.customer(1000)
    other = await new_process(parts)
    tasks = [asyncio.create_task(poster.run()) for poster in (parts.poster, other.poster)]
    for _ in range(10):
        await asyncio.gather(*(customer.spend(5) for _ in range(10)))

    async def all_used() -> bool:
        return (await customer.balance()).used == 500

    await until(all_used)
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await parts.row()).epoch == 1, "two posters look like a fork to each other"
    assert (await customer.balance()).available == 500
    await other.close()


async def test_another_history_with_the_same_numbers_is_not_followed(parts: Parts) -> None:
    """Redis was rolled back and went on past the position that Postgres has."""
    customer = await parts.customer(100)
    await parts.post_all()
    other = await new_process(parts)
    await other.shard.ready()
    before = await dump(parts)
    await customer.spend(30)
    await parts.post_all()
    posted_q = (await parts.row()).last_q
    await restore(parts, before)
    for _ in range(4):
        await customer.seen_by(other).spend(7)
    meta = await parts.meta()
    assert meta is not None
    assert meta.q > posted_q

    fresh = Poster(parts.database, other.shard, other.reading, other.new_fence(), other.clock)
    assert await fresh.step() == 0
    assert (await parts.row()).epoch == 2
    assert (await customer.balance()).used == 30
    await other.close()


async def test_a_journal_that_is_gone_is_not_waited_for(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    await customer.spend(30)
    await (await parts.reading.link()).call("DEL", parts.keys.journal(1))
    await parts.poster.step()
    assert (await parts.row()).epoch == 2


async def test_a_corrupt_entry_ends_the_epoch_and_what_is_before_it_is_kept(parts: Parts) -> None:
    customer = await parts.customer(100)
    await customer.spend(30)
    meta, link = await parts.meta(), await parts.reading.link()
    assert meta is not None
    await link.call("XADD", parts.keys.journal(1), f"1-{meta.q + 1}", "f", b"rubbish")
    await parts.post_all()
    assert (await parts.row()).epoch == 2
    assert (await customer.balance()).used == 30


async def test_a_wiped_redis_is_found_without_traffic(parts: Parts) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    await wipe(parts)
    await parts.poster.step()
    meta = await parts.meta()
    assert meta is not None
    assert meta.epoch == 2
    assert (await customer.hold(100))[1].words == [b"HELD", 0]


async def test_nothing_is_acknowledged_before_it_is_committed(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await parts.customer(100)
    await parts.post_all()
    before = await parts.meta()
    await customer.spend(30)

    async def down(*_: object) -> None:
        raise ConnectionError("Postgres is away")

    with monkeypatch.context() as patch:
        patch.setattr("ledger.poster.post", down)
        with pytest.raises(ConnectionError):
            await parts.poster.step()
    after = await parts.meta()
    assert before is not None
    assert after is not None
    assert after.posted_q == before.posted_q
