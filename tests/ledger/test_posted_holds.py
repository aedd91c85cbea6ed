"""Waiting until Postgres has a hold: one question for all, a limit, and no waiting for nothing."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

import pytest

from ledger import charges, posted_holds
from ledger.charges import OpenAmong
from ledger.errors import LedgerUnavailable, NotFound
from ledger.posted_holds import PostedHolds
from tests.ledger.bank import Bank
from tests.ledger.parts import Parts, opened
from tests.ledger.quick_clock import QuickClock
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


@dataclass
class Books:
    """Postgres, as far as this question goes."""

    epoch: int = 1
    open: set[bytes] = field(default_factory=set)
    away: bool = False
    questions: list[set[bytes]] = field(default_factory=list)

    async def among(self, ids: Collection[bytes]) -> OpenAmong:
        self.questions.append(set(ids))
        if self.away:
            raise OSError("played: no server")
        return OpenAmong(self.epoch, frozenset(self.open & set(ids)))


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def posted(books: Books) -> AsyncIterator[PostedHolds]:
    posted = PostedHolds(books.among, QuickClock())
    yield posted
    await posted.aclose()


async def test_who_waits_goes_on_when_postgres_has_the_hold(
    posted: PostedHolds, books: Books
) -> None:
    waiting = asyncio.create_task(posted.wait(b"a", 1))
    await until(lambda: len(books.questions) > 2)
    assert not waiting.done()
    books.open.add(b"a")
    await waiting


async def test_one_question_serves_all_who_wait_and_nobody_asks_for_nobody(
    posted: PostedHolds, books: Books
) -> None:
    waiting = [asyncio.create_task(posted.wait(bytes([n]), 1)) for n in range(100)]
    await until(lambda: books.questions and len(books.questions[-1]) == 100)
    books.open |= {bytes([n]) for n in range(100)}
    await asyncio.gather(*waiting)
    asked = len(books.questions)
    for _ in range(20):
        await asyncio.sleep(0.001)  # many rests of the clock that this one plays
    assert len(books.questions) == asked

    await posted.wait(b"\x05", 1)  # and it can be asked again
    assert len(books.questions) == asked + 1


async def test_waiting_ends_at_a_limit_and_the_others_go_on(
    posted: PostedHolds, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = asyncio.create_task(posted.wait(b"b", 1))
    await until(lambda: books.questions)
    monkeypatch.setattr(posted_holds, "POSTED_LIMIT_S", 0.05)
    with pytest.raises(LedgerUnavailable, match="in time"):
        await posted.wait(b"a", 1)
    books.questions.clear()
    await until(lambda: books.questions)
    assert books.questions[-1] == {b"b"}
    books.open.add(b"b")
    await longer


async def test_a_hold_that_another_epoch_did_not_bring_along_is_refused_at_once(
    posted: PostedHolds, books: Books
) -> None:
    waiting = [asyncio.create_task(posted.wait(hold, 1)) for hold in (b"lost", b"saved")]
    await until(lambda: books.questions)
    books.open.add(b"saved")
    books.epoch = 2
    with pytest.raises(LedgerUnavailable, match="another epoch"):
        await waiting[0]
    await waiting[1]


async def test_a_store_that_is_away_is_asked_until_it_is_back(
    posted: PostedHolds, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    books.away = True
    waiting = asyncio.create_task(posted.wait(b"a", 1))
    await until(lambda: len(books.questions) > 5)
    books.away, books.open = False, {b"a"}
    await waiting
    assert [record.message for record in caplog.records] == [
        "strict requests wait for Postgres: played: no server"
    ]


async def test_a_request_that_is_cancelled_is_not_asked_for_any_more(
    posted: PostedHolds, books: Books
) -> None:
    waiting = asyncio.create_task(posted.wait(b"a", 1))
    await until(lambda: books.questions)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert posted._waiting == {}


async def test_no_more_wait_than_one_question_may_name(
    posted: PostedHolds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted_holds, "MAX_WAITING", 0)
    with pytest.raises(LedgerUnavailable, match="too many"):
        await posted.wait(b"a", 1)


async def test_closing_tells_those_who_wait(posted: PostedHolds, books: Books) -> None:
    waiting = asyncio.create_task(posted.wait(b"a", 1))
    await until(lambda: books.questions)
    await posted.aclose()
    with pytest.raises(LedgerUnavailable, match="closing"):
        await waiting


async def test_postgres_shows_which_holds_it_has_open(
    database_url: str, redis_url: str, namespace: str
) -> None:
    async with opened(database_url, redis_url, namespace) as parts:
        customer = await parts.customer(100)
        open_one, closed = await customer.held(10), await customer.held(20)
        await customer.settle(closed, 20)
        await parts.post_all()
        unposted = await customer.held(30)
        assert await among(parts, [open_one, closed, unposted]) == OpenAmong(
            1, frozenset({open_one})
        )
        await parts.post_all()
        assert await among(parts, [unposted]) == OpenAmong(1, frozenset({unposted}))


async def among(parts: Parts, ids: list[bytes]) -> OpenAmong:
    async with parts.database.connection() as connection:
        return await charges.open_among(connection, ids)


async def test_a_shard_that_is_not_there_is_said(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(NotFound, match="no shard 9"):
            await charges.open_among(connection, [b"a"], 9)
