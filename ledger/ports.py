"""
What the ledger's procedures need from the outside world besides the stores.

Settler, poster, fence, loader, sweep and control push get these by constructor and
never call `time`, `asyncio.sleep` or `random` themselves, so that a simulator can
drive the very same objects with a clock and a chance of its own.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, as the procedures see it."""

    def now_us(self) -> int:
        """Microseconds since 1970; may jump when the machine's clock is set."""

    def now_ms(self) -> int:
        """Milliseconds since 1970; may jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for at least this long."""


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1_000

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others run for at least this long."""
        await asyncio.sleep(seconds)
