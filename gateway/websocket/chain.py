"""
A connection paid for in slices: a chain of charges, the next held before the last is captured.

Each link is a hold with a meter of its own, and is settled exactly once: by `Chain` when the next
one takes over, by the proxy at the connection's end. What was held ahead and never needed goes
back. Without a next link nothing more passes: the connection is closed (1008; 1013 where it is the
ledger that does not answer).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil, inf
from types import TracebackType
from typing import Self

from gateway.metering import Metering
from gateway.problems import from_ledger
from gateway.websocket.limits import WebSocketLimits
from gateway.websocket.relay import Relay
from ledger.errors import (
    AboveWindow,
    InsufficientCredits,
    LedgerBusy,
    LedgerError,
    LedgerUnavailable,
    NotFound,
)
from ledger.holds import Held
from ledger.ports import Clock
from ledger.reasons import Reason

NOT_PAID = 1008
TRY_LATER = 1013

_BISECTIONS = 16  # of a minute: to the millisecond


@dataclass(slots=True)
class Link:
    """One charge of a chain; `held` is None where nothing is due, and only the key was checked."""

    metering: Metering
    held: Held | None

    @property
    def ceiling(self) -> int:
        """The most it may cost."""
        return self.metering.measured.ceiling


class Chain:
    """
    Keeps one connection paid for. A block: at its end what was held ahead goes back.

    Attributes:
        link: The charge that covers the connection now.
    """

    def __init__(
        self,
        first: Link,
        *,
        next_link: Callable[[], Awaitable[Link]],
        capture: Callable[[Link], None],
        clock: Clock,
        limits: WebSocketLimits,
    ) -> None:
        """
        Build it.

        `next_link` holds another slice. `capture` settles a link that another has taken over
        from; it awaits nothing.
        """
        self.link = first
        self._next_link = next_link
        self._capture = capture
        self._clock = clock
        self._limits = limits
        self._next: Link | None = None
        self._refused = ""
        self._may_come_back = True
        self._retry_at = 0.0
        self._asked = False
        self._exhausted = False
        self._relay: Relay | None = None
        self._since = self._until = 0.0
        self._cover_from(clock.monotonic())

    async def __aenter__(self) -> Self:
        """Begin: the first link is held already."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give back what was held ahead, and the current link unless it was settled. No await."""
        for link in (self._next, self.link):
            if link is not None and link.held is not None:
                link.held.void(Reason.UNUSED if link is self._next else Reason.GATEWAY_ERROR)

    # What the relay asks

    def message(self) -> bool:
        """Count a message, if the link covers it; one that is dearer than a whole link passes."""
        metering = self.link.metering
        meter = metering.meter
        if meter is None:
            return True
        if not metering.is_bounded:
            meter.message()
            return True
        due = meter.due(self._elapsed_ms(), more_messages=1)
        if due > self.link.ceiling and meter.messages:
            self._exhausted = self._asked = True
            return False
        meter.message()
        self._weigh(due)
        return True

    def delivered(self, payload_bytes: int) -> bool:
        """Count bytes that have passed; False where they have used the link up."""
        metering = self.link.metering
        meter = metering.meter
        if meter is None:
            return True
        meter.passed(payload_bytes)
        if metering.is_bounded:
            due = meter.due(self._elapsed_ms())
            self._weigh(due)
            self._exhausted = self._exhausted or due > self.link.ceiling
        return not self._exhausted

    # What the connection's task does

    async def keep(self, relay: Relay) -> None:
        """See that the connection is paid for until it ends."""
        self._relay = relay
        self._cover_from(self._clock.monotonic())  # it begins when both ends have agreed
        while not relay.ended:
            relay.changed.clear()
            if not relay.closing:
                await self._look_ahead()
                self._act(relay)
            if not relay.changed.is_set():
                await self._pause(relay)

    def close(self) -> Link:
        """Freeze the current link at what it costs now; for the proxy to settle."""
        self.link.metering.end(self._elapsed_ms())
        return self.link

    # The parts

    def _act(self, relay: Relay) -> None:
        """Let the next link take over where it is time, or close where there is none."""
        over = self._left_s() <= 0
        if not (over or self._exhausted) or relay.ended:
            return
        if self._next is not None:
            self._take_over()
            relay.go_on()
        elif over or not self._may_come_back:
            code = TRY_LATER if self._may_come_back else NOT_PAID
            relay.finish(code, self._refused or "ledger-unavailable")

    def _take_over(self) -> None:
        """Capture the link and begin the next, at the very moment that the link was paid for."""
        assert self._next is not None
        now = min(self._clock.monotonic(), self._until)
        self._capture(self.close())
        self.link, self._next = self._next, None
        self._asked = self._exhausted = False
        self._refused, self._may_come_back = "", True
        self._cover_from(now)

    def _cover_from(self, now: float) -> None:
        self._since, self._until = now, inf
        self._until = now + self._covered_ms() / 1000

    async def _look_ahead(self) -> None:
        """Hold the next link, where it will soon be needed and may be had."""
        left_s = self._left_s()
        soon = self._asked or self._exhausted or left_s <= self._limits.lead_ms / 1000
        if not soon or left_s <= 0 or self._next is not None:
            return
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            async with asyncio.timeout(left_s):
                self._next = await self._next_link()
        except TimeoutError:
            if not self._refused:  # what the ledger did say, it would have said again
                self._note("ledger-unavailable", may_come_back=True)
        except (LedgerUnavailable, LedgerBusy) as error:
            self._note(_name_of(error), may_come_back=True)
        except LedgerError as error:
            self._note(_name_of(error), may_come_back=False)

    def _note(self, refused: str, *, may_come_back: bool) -> None:
        self._refused = refused
        self._may_come_back = may_come_back
        self._retry_at = self._clock.monotonic() + self._limits.retry_ms / 1000

    async def _pause(self, relay: Relay) -> None:
        """Wait until something happens, or until there is something to do."""
        now = self._clock.monotonic()
        wake = self._until
        if self._next is None:
            ahead = now if self._asked else self._until - self._limits.lead_ms / 1000
            wake = min(wake, max(ahead, self._retry_at))
        try:
            async with asyncio.timeout(None if relay.closing else max(0.001, wake - now)):
                await relay.changed.wait()
        except TimeoutError:
            pass  # that is what was waited for

    def _weigh(self, due: int) -> None:
        """Ask for the next link once half of this one is used, and see how long it lasts."""
        if not self._asked and due * 2 > self.link.ceiling:
            self._asked = True
            if self._relay is not None:
                self._relay.changed.set()
        if self.link.metering.is_timed:
            self._until = self._since + self._covered_ms() / 1000

    def _covered_ms(self) -> int:
        """Return how long the link covers the connection by what it has counted so far."""
        most, meter = self._limits.slice_ms, self.link.metering.meter
        if meter is None or meter.due(most) <= self.link.ceiling:
            return most
        least = self._elapsed_ms()
        for _ in range(_BISECTIONS):
            middle = (least + most) // 2
            if meter.due(middle) <= self.link.ceiling:
                least = middle
            else:
                most = middle
        return least

    def _elapsed_ms(self) -> int:
        """Return how long the link has covered the connection; a part of a millisecond is one."""
        now = min(self._clock.monotonic(), self._until)
        return max(0, ceil(round((now - self._since) * 1000, 3)))

    def _left_s(self) -> float:
        return self._until - self._clock.monotonic()


def _name_of(error: LedgerError) -> str:
    """Return the name of the problem that a request would have been refused with."""
    match error:
        case InsufficientCredits():
            return "insufficient-credits"
        case AboveWindow():
            return "price-too-high"
        case NotFound():
            return "key-invalid"
        case _:
            return from_ledger(error).name
