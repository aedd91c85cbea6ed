"""A clock on which waiting takes no time: for procedures that rest between their steps."""

import asyncio

START_US = 1_700_000_000_000_000


class QuickClock:
    """Time passes only by sleeping; a sleep lets every other task run once."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def now_us(self) -> int:
        return START_US + int(self.slept_s * 1_000_000)

    def now_ms(self) -> int:
        return self.now_us() // 1_000

    def monotonic(self) -> float:
        return self.slept_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        await asyncio.sleep(0.001)
