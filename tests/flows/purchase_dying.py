"""Ends in the middle: what a process does may stop at any of its waits."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


class Dying(Awaitable[Any]):
    """Runs a coroutine that is cancelled at its n-th wait: before, between and behind commits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits: int) -> None:
        self._coroutine = coroutine
        self._left = waits

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                future = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as done:
                return done.value
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self._left -= 1
            thrown = None
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                thrown = error


async def until_death(coroutine: Coroutine[Any, Any, Any], waits: int) -> Any:
    """Await it, unless it dies first."""

    async def run() -> Any:
        return await Dying(coroutine, waits)

    ended = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if isinstance(ended[0], asyncio.CancelledError):
        return None
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]
