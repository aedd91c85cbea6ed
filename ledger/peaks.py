"""
How much passes at most: units held in ten seconds, at the peak of the last hour.

Counted by what was held, not by what was posted: when posting catches up after an outage, much is
posted at once, and a window sized by that would grow with every outage.
"""

from collections import deque
from typing import Final, NamedTuple

from ledger.ports import Clock
from ledger.records import Meta

PEAK_S: Final = 10
HOUR_S: Final = 3_600.0
MINUTE_S: Final = 60.0


class _Look(NamedTuple):
    at: float
    epoch: int
    held: dict[int, int]


class _Minute(NamedTuple):
    began: float
    most: dict[int, int]


class Peaks:
    """Remembers the busiest moment of each of the last sixty minutes, by credit type."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: _Look | None = None
        self._minutes: deque[_Minute] = deque()

    def see(self, state: Meta) -> None:
        """Look at the shard's counters: every few seconds, or there is nothing to compare with."""
        now = self._clock.monotonic()
        look = _Look(now, state.epoch, {each.credit_type: each.held for each in state.types})
        before, self._last = self._last, look
        while self._minutes and self._minutes[0].began <= now - HOUR_S:
            self._minutes.popleft()
        if before is None or before.epoch != look.epoch or now - before.at > MINUTE_S:
            return  # another epoch counts anew; a long pause is no peak
        passed_s = max(now - before.at, 1.0)  # two looks at once say nothing about a second
        if not self._minutes or self._minutes[-1].began <= now - MINUTE_S:
            self._minutes.append(_Minute(now, {}))
        most = self._minutes[-1].most
        for credit_type, held in look.held.items():
            passed = held - before.held.get(credit_type, held)
            most[credit_type] = max(most.get(credit_type, 0), -int(-passed * PEAK_S // passed_s))

    def of(self, credit_type: int) -> int:
        """Return the units that were held within ten seconds of the busiest moment."""
        return max((minute.most.get(credit_type, 0) for minute in self._minutes), default=0)
