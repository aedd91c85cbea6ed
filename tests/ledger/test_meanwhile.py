"""Computing goes on while a store is waited for, and nobody is left at work on a connection."""

import asyncio
from collections.abc import Iterator

import pytest

from ledger.meanwhile import meanwhile

pytestmark = pytest.mark.anyio


class Store:
    """Answers when it is told to; notes what becomes of who asks."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.heard: list[str] = []
        self.asked = asyncio.Event()

    async def ask(self, *, fails: bool = False) -> None:
        self.heard.append("asked")
        self.asked.set()
        try:
            await self.answer.wait()
            if fails:
                raise ConnectionError
            self.heard.append("answered")
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.heard.append("broken off")
            raise


async def test_steps_are_taken_while_the_store_is_at_work() -> None:
    store = Store()

    def steps() -> Iterator[None]:
        for _ in range(3):
            yield
            store.heard.append("step")
        store.answer.set()

    await meanwhile(store.ask(), steps())
    assert store.heard == ["asked", "step", "step", "step", "answered"]


async def test_what_the_store_refuses_is_raised() -> None:
    store = Store()
    store.answer.set()
    with pytest.raises(ConnectionError):
        await meanwhile(store.ask(fails=True), iter([None, None]))


async def test_a_step_that_fails_breaks_off_what_was_asked() -> None:
    store = Store()

    def steps() -> Iterator[None]:
        yield
        raise LookupError

    with pytest.raises(LookupError):
        await meanwhile(store.ask(), steps())
    assert store.heard == ["asked", "broken off"]


async def test_who_is_cancelled_first_breaks_off_what_was_asked() -> None:
    store = Store()
    task = asyncio.create_task(meanwhile(store.ask(), iter([None])))
    await store.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.heard == ["asked", "broken off"]
