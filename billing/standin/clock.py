"""The stand-in's own time: the machine's, moved forward as far as somebody asked."""

import time
from collections.abc import Callable


class WorldClock:
    """
    Time that passes by itself and can be advanced, never turned back.

    Args:
        ahead_s: How far it already is ahead of the machine's clock, in seconds.
        wall: Seconds since 1970, as the machine says; tests give one that stands still.

    """

    def __init__(self, ahead_s: float = 0.0, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.ahead_s = ahead_s

    def now(self) -> float:
        """Seconds since 1970 in the stand-in's world."""
        return self._wall() + self.ahead_s

    def now_s(self) -> int:
        """As `now`, in whole seconds, as Stripe's objects carry it."""
        return int(self.now())

    def wall_s(self) -> int:
        """Seconds since 1970 on the machine: receivers compare signatures with real time."""
        return int(self._wall())

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once; nothing that fell due is done here."""
        if seconds < 0:
            raise ValueError("time is never turned back")
        self.ahead_s += seconds
