"""
Limits as a rehearsal counts them: the decisions of `ledger/lua/parts/limits.lua`, in memory.

Requests come in the order in which they began, and each is counted at that moment. What failed
uses up no quota, as if it had been given back before the next one came. Memory grows with the
owners of limits that called within one day or month (accounts and keys, some 300 bytes for each
limit), not with the requests: what is in flight is never more than its limit.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple, TypeAlias, get_args

from config import Limit
from ledger.limits import PERIODS, Calendar, Per, window_ends_ms, window_id, window_number

MOST_COUNTED = 200_000
"""Quotas and allowances of somebody kept before those of windows that are over are dropped."""

_IN_FLIGHT_WAIT_US = 1_000_000
_EVERYONE = 0

Place: TypeAlias = tuple[Any, ...]
"""Whose limit it is, for which requests, of which kind and window: as Redis tells them apart."""

Spending: TypeAlias = tuple[int, int, Per]
"""A key, a credit type and a window."""


class CapChange(NamedTuple):
    """From a moment on a key may spend so much of a credit type in a window; None: no limit."""

    at_us: int
    credit_type: int
    per: Per
    units: int | None


@dataclass(frozen=True, slots=True)
class Asking:
    """
    A request as limits see it.

    ends_us: when it was over. failed: it did not do what is charged for, so that quotas and
    allowances do not count it. holds: it would have been held, not only checked.
    """

    at_us: int
    ends_us: int
    account: int
    key: int
    credit_type: int
    limits: tuple[Limit, ...] = ()
    weight: int = 1
    failed: bool = False
    holds: bool = True


class Tallies:
    """What has been counted so far."""

    def __init__(self, caps: Mapping[int, Sequence[CapChange]] | None = None) -> None:
        """Begin with nothing; `caps` are the changes of each key's caps, the oldest first."""
        self._caps = caps or {}
        self._paced: dict[Place, int] = {}
        self._flying: dict[Place, list[int]] = {}
        self._used: dict[Place, tuple[int, int]] = {}
        self._most = MOST_COUNTED
        self._spent: dict[Spending, tuple[int, int]] = {}

    def kept_back(self, asking: Asking) -> Limit | None:
        """Return the limit that refuses it: of several the one that does so longest."""
        longest, by = 0, None
        for limit in asking.limits:
            wait_us = self._wait_us(limit, asking)
            if wait_us > longest:
                longest, by = wait_us, limit
        return by

    def allowance(self, asking: Asking) -> Limit | None:
        """Return the allowance that pays for it."""
        for limit in asking.limits:
            if limit.free is not None and self.used(limit, asking) + asking.weight <= limit.free:
                return limit
        return None

    def capped(self, asking: Asking, due: int) -> bool:
        """Whether the key may not spend so much more."""
        caps = self._caps_of(asking)
        return any(self._spending(asking, per) + due > units for per, units in caps.items())

    def count(self, asking: Asking, *, allowance: Limit | None, cost: int) -> None:
        """Count a request that passed. `cost`: what it was charged; nothing where it was free."""
        for limit in asking.limits:
            place = _place(limit, asking)
            if limit.rate is not None:
                reached_us = max(self._paced.get(place, 0), asking.at_us)
                self._paced[place] = reached_us + asking.weight * limit.rate.interval_us
            elif limit.in_flight is not None and asking.holds:
                heappush(self._in_flight(place, asking.at_us), asking.ends_us)
            elif asking.holds and not asking.failed and (limit.free is None or limit is allowance):
                number = _window(limit.per, asking.at_us)
                self._used[place] = number, self.used(limit, asking) + asking.weight
                if len(self._used) > self._most:
                    self._forget_before(asking.at_us)
        if cost and asking.key in self._caps:
            # By day and month also what came before the cap; for ever only from when it is set.
            for per in {*get_args(Calendar), *self._caps_of(asking)}:
                spent = _window(per, asking.at_us), self._spending(asking, per) + cost
                self._spent[asking.key, asking.credit_type, per] = spent

    def used(self, limit: Limit, asking: Asking) -> int:
        """Return how far a quota or an allowance is used up in the window of this request."""
        window, used = self._used.get(_place(limit, asking), (0, 0))
        return used if window == _window(limit.per, asking.at_us) else 0

    def _forget_before(self, at_us: int) -> None:
        """Forget the quotas and allowances of windows that are over; none is asked for again."""
        now: dict[Per, int] = {per: _window(per, at_us) for per in PERIODS}
        self._used = {
            place: (window, used)
            for place, (window, used) in self._used.items()
            if window == now[place[-1]]
        }
        self._most = max(MOST_COUNTED, 2 * len(self._used))

    def _wait_us(self, limit: Limit, asking: Asking) -> int:
        place, now_us = _place(limit, asking), asking.at_us
        if limit.rate is not None:
            ahead_us = (asking.weight - 1) * limit.rate.interval_us - limit.rate.burst_us
            return self._paced.get(place, 0) + ahead_us - now_us
        if limit.in_flight is not None:
            full = len(self._in_flight(place, now_us)) >= limit.in_flight
            return _IN_FLIGHT_WAIT_US if full else 0
        if limit.quota is not None and self.used(limit, asking) + asking.weight > limit.quota:
            return window_ends_ms(limit.per, now_us // 1000) * 1000 - now_us
        return 0

    def _in_flight(self, place: Place, now_us: int) -> list[int]:
        """Return when each that is still under way will end, the first first."""
        flying = self._flying.setdefault(place, [])
        while flying and flying[0] <= now_us:
            heappop(flying)
        return flying

    def _caps_of(self, asking: Asking) -> dict[Per, int]:
        caps: dict[Per, int] = {}
        changes = self._caps.get(asking.key, ())
        for change in changes[: bisect_right(changes, asking.at_us, key=_moment)]:
            if change.credit_type == asking.credit_type:
                caps.pop(change.per, None)
                if change.units is not None:
                    caps[change.per] = change.units
        return caps

    def _spending(self, asking: Asking, per: Per) -> int:
        window, spent = self._spent.get((asking.key, asking.credit_type, per), (0, 0))
        return spent if window == _window(per, asking.at_us) else 0


def _place(limit: Limit, asking: Asking) -> Place:
    owner = {"key": asking.key, "account": asking.account, "everyone": _EVERYONE}[limit.whose]
    if limit.rate is not None:
        kind: tuple[Any, ...] = ("rate", limit.rate.window_s)
    elif limit.in_flight is not None:
        kind = ("in flight", 0)
    else:
        kind = ("quota" if limit.free is None else "free", limit.per)
    return limit.whose, owner, limit.route, limit.credit_type, *kind


def _window(per: Per, at_us: int) -> int:
    return window_number(window_id("Q", per), at_us // 1000)


def _moment(change: CapChange) -> int:
    return change.at_us
