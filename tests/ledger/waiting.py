"""Waiting for what happens by itself, without guessing how long it takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

LIMIT_S = 60
POLL_S = 0.01


async def until(condition: Callable[[], object] | Callable[[], Awaitable[object]]) -> None:
    """Return as soon as the condition holds; fail after a minute."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(POLL_S)
