"""
How often one address may do what costs us work and nobody credits: fail with a key, preflight.

Counted in this worker alone and for a minute at a time: it makes guessing and flooding slow, it
is not a limit anybody pays for. Those are kept with the key, in the ledger.
"""

from gateway.addresses import one_caller
from ledger.ports import Clock

PER_S = 60
MAX_ADDRESSES = 20_000  # a few MB; once so many addresses are known, a new minute begins early


class Throttle:
    """
    At most `limit` events per address and minute.

    Attributes:
        counts: Events of this minute by address; empty while nobody does what is counted.
    """

    def __init__(self, limit: int, *, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self.counts: dict[str, int] = {}

    def count(self, address: str) -> None:
        """Note one event."""
        self._turn()
        caller = one_caller(address)
        self.counts[caller] = self.counts.get(caller, 0) + 1

    def take_back(self, address: str) -> None:
        """Forget one event that was counted in advance; where a minute ended, it is forgotten."""
        caller = one_caller(address)
        left = self.counts.get(caller, 0) - 1
        if left > 0:
            self.counts[caller] = left
        else:
            self.counts.pop(caller, None)

    def retry_after_s(self, address: str) -> int:
        """Return how long the address has to wait; 0 where it may go on."""
        if not self.counts:
            return 0
        self._turn()
        if self.counts.get(one_caller(address), 0) < self._limit:
            return 0
        return max(1, PER_S - int(self._clock.monotonic()) % PER_S)

    def _turn(self) -> None:
        minute = int(self._clock.monotonic()) // PER_S
        if minute != self._minute or len(self.counts) > MAX_ADDRESSES:
            self._minute = minute
            self.counts.clear()
