"""
Looking again and again for an answer that is about to come, instead of sleeping until it is there.

To fall asleep and be woken costs a worker more than Redis or a quick backend on the same machine
takes: somebody else has the caches by then, and a virtual machine's idle core goes back to its
host. A request that is alone in its worker meets that three times, so the worker stays awake for a
moment where this has paid lately. As Linux does for network cards (SO_BUSY_POLL, socket(7)) and
virtual machines (halt polling, Documentation/virt/kvm/halt-polling.rst), with the latter's rule
for when not to.
"""

import asyncio
import os
from typing import Final

from ledger.ports import Clock

MOST_RESTS: Final = 255
"""So many waits in a row sleep, at most, before it is tried again whether staying awake pays."""

_give_way = getattr(os, "sched_yield", lambda: None)  # to whom else the core is of use


class Awaited:
    """
    Answers of one kind, and whether they have come in time.

    Attributes:
        came: The one that is expected has come; for whoever sees it and expects nothing else.
        rests: How many of the next are slept for.
        missed: How many were, the last time that one had come late; 0 after one in time.
    """

    __slots__ = ("came", "missed", "rests")

    def __init__(self) -> None:
        self.came = False
        self.rests = self.missed = 0


class BusyPoll:
    """Keeps the event loop of one worker awake, for `limit_us` at most each time; 0: never."""

    def __init__(self, limit_us: int, clock: Clock) -> None:
        self._limit_s = limit_us / 1_000_000
        self._clock = clock
        self._awaited: Awaited | None = None
        self._until = 0.0
        self._turning = False

    def expect(self, awaited: Awaited) -> None:
        """Stay awake for this one, if that pays. What was expected before has come."""
        if not self._limit_s:
            return
        before, self._awaited = self._awaited, None
        if before is not None:
            before.missed = 0
        if awaited.rests:
            awaited.rests -= 1
            return
        self._awaited = awaited
        awaited.came = False
        self._until = self._clock.monotonic() + self._limit_s
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Come again with the loop's next turn, which sleeps for nothing while somebody does."""
        awaited = self._awaited
        if awaited is not None:
            if awaited.came:
                awaited.missed = 0
            elif self._clock.monotonic() < self._until:
                _give_way()
                asyncio.get_running_loop().call_soon(self._turn)
                return
            else:
                awaited.missed = awaited.rests = min(2 * awaited.missed + 1, MOST_RESTS)
            self._awaited = None
        self._turning = False
