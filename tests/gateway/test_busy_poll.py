"""Staying awake for what is about to come: where it pays, and no longer than allowed."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest

from gateway import busy_poll
from gateway.busy_poll import MOST_RESTS, Awaited, BusyPoll
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio

LIMIT_US, LOOK_US = 200, 50


@dataclass
class LookingClock(SystemClock):
    """Goes on each time that somebody looks."""

    us: int = 0

    def monotonic(self) -> float:
        self.us += LOOK_US
        return self.us / 1_000_000


class Kept:
    """A poll, one kind of answer, and how often the loop was kept awake."""

    def __init__(self, limit_us: int) -> None:
        self.poll = BusyPoll(limit_us, LookingClock())
        self.awaited = Awaited()
        self.turns = 0

    async def late(self) -> bool:
        """Expect one that comes late; whether somebody stayed awake for it."""
        before = self.turns
        self.poll.expect(self.awaited)
        await until_asleep()
        return self.turns > before

    async def in_time(self) -> bool:
        """Expect one that comes in time; whether somebody was awake for it."""
        before = self.turns
        self.poll.expect(self.awaited)
        await asyncio.sleep(0)
        awake = self.turns > before
        another = Awaited()
        another.rests = 1
        self.poll.expect(another)
        await until_asleep()
        return awake


async def until_asleep() -> None:
    for _ in range(2 * LIMIT_US // LOOK_US):
        await asyncio.sleep(0)


def kept(monkeypatch: pytest.MonkeyPatch, limit_us: int = LIMIT_US) -> Kept:
    made = Kept(limit_us)

    def give_way() -> None:
        made.turns += 1

    monkeypatch.setattr(busy_poll, "_give_way", give_way)
    return made


async def test_it_stays_awake_until_the_limit_and_then_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kept(monkeypatch)

    assert await one.late()

    assert one.turns == LIMIT_US // LOOK_US - 1
    await until_asleep()
    assert one.turns == LIMIT_US // LOOK_US - 1


async def test_what_comes_in_time_is_waited_for_awake_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kept(monkeypatch)
    assert all([await one.in_time() for _ in range(100)])


async def test_what_comes_late_is_slept_for_about_twice_as_often_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kept(monkeypatch)

    tries = [n for n in range(1_000) if await one.late()]

    rests = [after - before - 1 for before, after in pairwise(tries)]
    assert rests == [1, 3, 7, 15, 31, 63, 127, MOST_RESTS, MOST_RESTS]


async def test_once_one_has_come_in_time_the_next_is_waited_for_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kept(monkeypatch)
    while one.awaited.missed < MOST_RESTS:
        await one.late()
    while one.awaited.rests:
        assert not await one.late()

    assert await one.in_time()
    assert await one.in_time()

    assert await one.late()
    assert one.awaited.rests == 1


async def test_what_was_seen_to_come_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = kept(monkeypatch)
    one.poll.expect(one.awaited)
    await asyncio.sleep(0)
    one.awaited.came = True
    await until_asleep()
    assert one.turns == 1
    assert (one.awaited.missed, one.awaited.rests) == (0, 0)
    assert await one.in_time()


async def test_with_a_limit_of_zero_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    one = kept(monkeypatch, limit_us=0)
    assert not await one.late()
    assert not await one.in_time()
