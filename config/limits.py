"""What keeps callers within bounds: rates, requests in flight, quotas; and what they have free."""

from dataclasses import dataclass
from typing import Literal

Whose = Literal["key", "account", "everyone"]
Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """
    So many requests at once, and then again as they come back, evenly over the window.

    The generic cell rate algorithm (ITU-T I.371): after a pause `at_once` pass at once and the
    next ones at the even pace. One window can so see nearly twice `requests`, the long run not.
    """

    requests: int
    window_s: int
    burst: int | None = None
    """How many may come at once; None: as many as a whole window takes."""

    @property
    def at_once(self) -> int:
        """How many pass at once after a pause."""
        return self.requests if self.burst is None else self.burst

    @property
    def interval_us(self) -> int:
        """Microseconds between two requests at an even pace, rounded up."""
        return -(-self.window_s * 1_000_000 // self.requests)

    @property
    def burst_us(self) -> int:
        """How far ahead of that pace a caller may run, so that `at_once` pass at once."""
        return self.interval_us * (self.at_once - 1)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit with its owner. Exactly one of `rate`, `in_flight`, `quota` and `free` is there."""

    name: str
    """Told to clients; `key-minute`, with the route's name behind it where it is a route's."""
    whose: Whose
    """Each key, each account, or all together have so much."""
    route: str | None = None
    """The path and methods of the one route it is for; None: all routes together."""
    rate: RateLimit | None = None
    in_flight: int | None = None
    """Charged requests at once; those that cost nothing hold nothing and are not counted."""
    quota: int | None = None
    """Requests in each window of the calendar; those that failed are given back."""
    free: int | None = None
    """No limit but an allowance: so many requests in each such window cost nothing."""
    per: Period = "month"
    """The window of `quota` and `free`, in UTC."""
    credit_type: str | None = None
    """Only requests that are priced in these credits; None: all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits over all routes."""

    all: tuple[Limit, ...] = ()
