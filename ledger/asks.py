"""The lines that wait for a tick: which go next, which come again, and who is told what."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ledger.claims import Claim
from ledger.errors import LedgerUnavailable

log = logging.getLogger(__name__)

MAX_LINES: Final = 64
LEAST_HOLDS: Final = 32
"""Lines of a full tick kept for holds while both kinds wait: neither can starve the other."""

MAX_WAITING: Final = 10_000
"""Holds waiting for a tick; more are refused at once, they could not be served in time."""

HOLD_LIMIT_S: Final = 1.0
"""How long a hold waits for its answer; the caller answers 503 then."""

_SESSION: Final = slice(11, 15)
"""Where the line of a hold or a check has its hold id's session."""

HOLD: Final = ord("H")
"""How the line of a hold begins; a check's begins with K."""


@dataclass(slots=True)
class Answer:
    """
    What a script said to one line.

    words: for example [b"HELD", 90] or [b"BUSY"]. q: the shard's position after the tick.
    resent: the line went out more than once, so an earlier copy may have done something.
    """

    words: list[Any]
    q: int
    epoch: int
    resent: bool


class Taker(Protocol):
    """Is told an answer like a future, in the turn of the event loop that brings it."""

    def done(self) -> bool:
        """Whether it was told."""

    def set_result(self, answer: Answer, /) -> None:
        """Take the answer; raises nothing, for the answers behind it belong to others."""

    def set_exception(self, error: LedgerUnavailable, /) -> None:
        """Take the error; raises nothing."""


class Ask:
    """
    One line on its way.

    holding: it asks for a hold or a check, so it has little time; others wait for ever.
    epoch: the only one it may be sent in, None for any.
    claim: what it claims: a key goes along.
    sent: how often it went out without being refused as a whole.
    since: when the sweep that looks how long it waits met it first; 0.0 before.
    """

    __slots__ = ("claim", "epoch", "future", "holding", "line", "sent", "since")

    def __init__(
        self,
        line: bytes,
        future: "Taker | asyncio.Future[Answer]",
        *,
        holding: bool,
        epoch: int | None = None,
        claim: Claim | None = None,
    ) -> None:
        self.claim = claim
        self.line = line
        self.future = future
        self.since = 0.0
        self.holding = holding
        self.epoch = epoch
        self.sent = 0

    def fail(self, why: str) -> None:
        """Say that there is no answer, unless there was one."""
        if not self.future.done():
            self.future.set_exception(LedgerUnavailable(why, unknown=self.sent > 0))


def session_in(line: bytes) -> int:
    """Return the session of the hold id in the line of a hold or a check."""
    return int.from_bytes(line[_SESSION], "big")


class Waiting:
    """
    Lines that wait for a tick.

    Attributes:
        holds: Those that ask for a hold or a check, in their order.
        settles: All others, in theirs.
        pressed: Settlements are sent now, with a hold or without one.
    """

    __slots__ = ("_memory_full", "holds", "pressed", "settles")

    def __init__(self) -> None:
        self.holds: deque[Ask] = deque()
        self.settles: deque[Ask] = deque()
        self.pressed = False
        self._memory_full = False

    @property
    def due(self) -> bool:
        """Whether a tick should go now."""
        return bool(self.holds) or self.pressed or self._memory_full

    def take(self, epoch: int) -> list[Ask]:
        """
        Choose the lines of the next tick: settlements first, then holds of one session.

        Settlements alone are sent when they have waited a moment: usually a hold comes first.
        """
        if not self.due:
            return []
        holds_first = 0 if self._memory_full else min(len(self.holds), LEAST_HOLDS)
        asks: list[Ask] = []
        while self.settles and len(asks) < MAX_LINES - holds_first:
            ask = self.settles.popleft()
            if ask.epoch is not None and ask.epoch != epoch:
                ask.fail("another epoch has begun")
            elif not ask.future.done():
                asks.append(ask)
        self.pressed = bool(self.settles)
        if self._memory_full:
            self._memory_full = False
            if asks:
                return asks
        self._take_holds(asks)
        return asks

    def _take_holds(self, asks: list[Ask]) -> None:
        holds = self.holds
        session: bytes | None = None
        while holds and len(asks) < MAX_LINES:
            ask = holds[0]
            if not ask.future.done():
                line = ask.line
                if line[0] == HOLD:
                    if session is None:
                        session = line[_SESSION]
                    elif line[_SESSION] != session:
                        break  # ids of another session go with their own head
                asks.append(ask)
            holds.popleft()

    def again(self, asks: list[Ask]) -> None:
        """Put lines back to the front, in their order; who gave up meanwhile is left out."""
        waiting = [ask for ask in asks if not ask.future.done()]
        self.settles.extendleft(ask for ask in reversed(waiting) if not ask.holding)
        self.holds.extendleft(ask for ask in reversed(waiting) if ask.holding)
        self.pressed = bool(self.settles)

    def memory_full(self, asks: list[Ask]) -> None:
        """Put settlements back that went out beside holds: the next tick has them alone."""
        self.settles.extendleft(ask for ask in reversed(asks) if not ask.holding)
        self._memory_full = True

    def expire(self, now: float) -> None:
        """Tell holds that have waited long enough, and forget those at the front."""
        for ask in self.holds:
            expire(ask, now)
        while self.holds and self.holds[0].future.done():
            self.holds.popleft()

    def fail(self, why: str) -> None:
        """Tell all of them that there will be no answer."""
        for ask in (*self.settles, *self.holds):
            ask.fail(why)


def expire(ask: Ask, now: float) -> None:
    """Tell a hold that has waited long enough, counted from the sweep that meets it first."""
    if not ask.holding:
        return
    if not ask.since:
        ask.since = now
    elif now - ask.since >= HOLD_LIMIT_S:
        ask.fail("no answer from the ledger in time")
