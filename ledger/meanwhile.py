"""Computing while a store is at work: one waits for the other only at the end."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def meanwhile(asked: Coroutine[Any, Any, None], steps: Iterable[None]) -> None:
    """
    Await what mostly waits for a store, and take these steps while it does.

    Args:
        asked: Is begun first. Its error is raised when the steps are taken.
        steps: Between two of them, what was asked goes on; so each should take a millisecond or
            two at most.

    """
    asking = asyncio.create_task(asked)
    try:
        for _ in steps:
            await asyncio.sleep(0)
        await asking
    except BaseException:
        # Whoever breaks off here must not leave somebody at work on a connection of his.
        asking.cancel()
        await asyncio.wait([asking])
        raise
