"""Noticing clients that leave, with one sweep for all."""

import asyncio

import pytest

from gateway.asgi import Message
from gateway.presence import Presence, Watch
from ledger.ports import SystemClock
from tests.gateway.turns import request_of

pytestmark = pytest.mark.anyio


class Hand(SystemClock):
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Asked:
    """A request whose client leaves when the test says so; counts who asked."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.asked = 0
        scope = {
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
            "scheme": "http",
        }
        self.request = request_of(scope, self.receive)

    async def receive(self) -> Message:
        self.asked += 1
        await self.left.wait()
        return {"type": "http.disconnect"}


async def turn() -> None:
    """Let tasks that are ready run."""
    for _ in range(3):
        await asyncio.sleep(0)


def sweep(presence: Presence) -> None:
    for watch in tuple(presence.watched):
        watch.sweep(presence.clock.monotonic())


async def test_a_request_that_is_over_by_the_next_sweep_costs_no_task() -> None:
    presence, asked = Presence(Hand()), Asked()
    with presence.watch(asked.request, linger_s=None):
        sweep(presence)
        await turn()
    sweep(presence)
    assert asked.asked == 0


async def test_a_client_that_leaves_ends_the_block() -> None:
    presence, asked = Presence(Hand()), Asked()
    with presence.watch(asked.request, linger_s=None) as watch:
        sweep(presence)
        sweep(presence)
        asked.left.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        assert watch.absorb()
    assert watch.gone
    await asyncio.sleep(0)  # the task goes on as if it had never been cancelled


async def test_a_client_that_leaves_is_read_on_for_as_long_as_asked() -> None:
    clock = Hand()
    presence, asked = Presence(clock), Asked()
    with presence.watch(asked.request, linger_s=30) as watch:
        sweep(presence)
        sweep(presence)
        asked.left.set()
        await turn()
        assert watch.gone
        clock.now = 29.9
        sweep(presence)
        await turn()
        clock.now = 30.0
        sweep(presence)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        assert watch.absorb()


async def test_the_servers_own_cancellation_is_not_taken_for_a_client_that_left() -> None:
    presence, asked = Presence(Hand()), Asked()
    watches: list[Watch] = []

    async def serve() -> bool:
        with presence.watch(asked.request, linger_s=None) as watch:
            watches.append(watch)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return watch.absorb()
        return False

    task = asyncio.create_task(serve())
    await turn()
    task.cancel()
    assert await task is False
    assert not watches[0].gone


async def test_a_client_that_has_all_of_its_answer_may_leave() -> None:
    presence, asked = Presence(Hand()), Asked()
    with presence.watch(asked.request, linger_s=None) as watch:
        sweep(presence)
        sweep(presence)
        watch.over = True
        asked.left.set()
        await turn()
    assert not watch.gone


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    presence, asked = Presence(Hand()), Asked()
    with presence.watch(asked.request, linger_s=None):
        sweep(presence)
        sweep(presence)
        await turn()
        assert asked.asked == 1
    await turn()
    assert not presence.watched
    assert asyncio.all_tasks() == before
