"""
The settler: every hold gets its ending, whatever happens to the request, Redis or the epoch.

It is given a settlement and awaits nothing while taking it. It asks Redis until the answer
is definite, and keeps what it captured until Postgres itself shows the charge closed: only
then can no loss of Redis take it back. Settling again is harmless, so whoever is in doubt
asks again.

    put ── SETTLE ─┬─ DONE ──────────────── kept ── Postgres shows it closed ── forgotten
                   │                          └─ not closed for a while, or a new epoch: again
                   ├─ refused, no answer ── again, later
                   └─ NOHOLD, EXPIRED ───── load the account, read charge and epoch in Postgres
                        ├─ captured, void, late ── forgotten
                        ├─ open ────────────────── SETTLE again
                        ├─ expired, or absent ──── LATE: book what can be taken, write off the rest
                        │        (all of it, where another hold has its Idempotency-Key by now)
                        └─ absent, but Postgres has not come so far ── read again, later
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Container, Coroutine
from math import inf
from typing import Final, Protocol

from ledger.asks import Answer
from ledger.books import ChargeState
from ledger.claims import Claim, There
from ledger.errors import LedgerError, LedgerUnavailable, NotFound
from ledger.ids import hold_text
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.reaches import Reaches
from ledger.settlement import Settlement
from ledger.shard import Shard

log = logging.getLogger(__name__)

AWAY: Final[tuple[type[Exception], ...]] = (LedgerError, *OUTAGE)

STEP_S: Final = 0.05
FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 2.0
CONFIRM_S: Final = 1.0
"""One query for all that is kept; a charge is usually in Postgres well before."""

CONFIRM_DRAINING_S: Final = 0.1
SETTLE_AGAIN_S: Final = 5.0
"""Kept for so long without Postgres showing it closed: ask Redis again, doubling up to a minute."""

LONGEST_SETTLE_AGAIN_S: Final = 60.0
IDS_AT_ONCE: Final = 1_000
NEWEST: Final = 1_000
MANY: Final = NEWEST + IDS_AT_ONCE
"""Each that is kept takes memory: from so many on Postgres is asked with each step, but not about
the newest, which are hardly posted yet."""

LOOKS_AT_ONCE: Final = 64
"""Settlements looked up in Postgres at the same time; after a new epoch all of them come."""


class _Sent:
    """A settlement on its way: tells the settler the answer in the turn that brings it."""

    __slots__ = ("_answered", "_known", "_over", "_settlement")

    def __init__(self, answered: "Answered", settlement: Settlement, known: int = 0) -> None:
        self._answered = answered
        self._settlement = settlement
        self._known = known
        self._over = False

    def done(self) -> bool:
        """Whether it was told."""
        return self._over

    def set_result(self, answer: Answer | LedgerUnavailable) -> None:
        """Tell the settler."""
        self._over = True
        try:
            self._answered(self._settlement, answer, self._known)
        except Exception:
            # The answers behind it belong to others.
            log.critical("an answer of the shard met an unexpected error", exc_info=True)

    set_exception = set_result


Answered = Callable[[Settlement, Answer | LedgerUnavailable, int], None]


class Loads(Protocol):
    """What brings an account into the running epoch: `ledger.loader.Loader`."""

    async def load(self, account: int) -> None:
        """Return when the account is in Redis."""


class Settler:
    """Takes settlements and sees each of them through."""

    def __init__(
        self,
        shard: Shard,
        loader: Loads,
        reaches: Reaches,
        *,
        charge_state: Callable[[bytes], Awaitable[tuple[int, int | None, int]]],
        closed_of: Callable[[list[bytes]], Awaitable[Container[bytes]]],
        claim_of: Callable[[Claim], Awaitable[There]],
        clock: Clock,
        chance: random.Random,
    ) -> None:
        """
        Build a settler; `start` sets it to work.

        Args:
            shard: Where the holds are.
            loader: Brings accounts into the running epoch.
            reaches: Which limited credits a route may use.
            charge_state: Of a hold id, in one statement: Postgres' epoch, the charge's
                state (None: no row), and the last fact posted in that epoch.
            closed_of: Which of these ids Postgres shows captured, void or late. Not
                expired: work was done for these, so they are still to be booked.
            claim_of: What Postgres has of an Idempotency-Key.
            clock: Where time comes from.
            chance: Spreads retries.

        """
        self._shard = shard
        self._loader = loader
        self._reaches = reaches
        self._charge_state = charge_state
        self._closed_of = closed_of
        self._claim_of = claim_of
        self._clock = clock
        self._chance = chance
        self._asked: dict[bytes, Settlement] = {}  # a line is on its way
        self._waiting: dict[bytes, Settlement] = {}  # for a retry, or to be looked up
        self._kept: list[Settlement] = []  # booked in Redis, not yet seen in Postgres
        self._wake = asyncio.Event()
        self._confirm_s = CONFIRM_S
        self._confirmed_at = -inf
        self._away = False  # Postgres, when it was asked last about what is kept
        self._now = 0.0  # of the last step, or when something was kept again
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._confirming: asyncio.Task[None] | None = None

    @property
    def unsettled(self) -> int:
        """How many have no definite answer yet."""
        return len(self._asked) + len(self._waiting)

    @property
    def unconfirmed(self) -> int:
        """How many are booked in Redis and not yet seen in Postgres."""
        return len(self._kept)

    def start(self) -> None:
        """Begin to look after what does not settle at once. A repeat is harmless."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="settler")

    def put(self, settlement: Settlement) -> None:
        """Take a settlement and send it with the next tick; await nothing. Never refused."""
        if settlement.epoch != self._shard.epoch and settlement.epoch:
            settlement.look = True
            self._wait(settlement, 0.0)
        else:
            self._send(settlement)

    async def drain(self, limit_s: float) -> int:
        """
        Wait until everything is settled and confirmed, at most so long.

        Returns:
            How many settlements are still without a definite answer; 0 is fine. What is
            only unconfirmed then is safe unless Redis loses it now.

        """
        until = self._clock.monotonic() + limit_s
        self._confirm_s, self._confirmed_at = CONFIRM_DRAINING_S, -inf
        self._wake.set()
        while (self.unsettled or self._kept) and self._clock.monotonic() < until:
            await self._clock.sleep(STEP_S / 2)
        self._confirm_s = CONFIRM_S
        if self.unsettled or self._kept:
            log.warning(
                "the settler stops with %d unsettled and %d unconfirmed",
                self.unsettled,
                len(self._kept),
            )
        return self.unsettled

    async def aclose(self) -> None:
        """Stop looking after things; drain first. A repeat is harmless."""
        tasks = [task for task in (self._task, self._looking, self._confirming) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    def _send(self, settlement: Settlement) -> None:
        self._asked[settlement.hold_id] = settlement
        try:
            self._shard.tell(settlement.line(), _Sent(self._answered, settlement))
        except LedgerUnavailable:
            self._wait(settlement)

    def _send_late(self, settlement: Settlement, epoch: int) -> None:
        """Book it late. Only in the epoch that Postgres was read in: another asks it again."""
        self._asked[settlement.hold_id] = settlement
        line = settlement.late(self._reaches.block(settlement.order.route, epoch))
        sent = _Sent(self._answered, settlement, self._reaches.known)
        settlement.unlearned = None
        try:
            self._shard.tell(line, sent, epoch=epoch, claim=settlement.claim)
        except LedgerUnavailable:
            self._wait(settlement)

    def _answered(
        self, settlement: Settlement, answer: Answer | LedgerUnavailable, known: int
    ) -> None:
        if isinstance(answer, LedgerUnavailable):
            self._wait(settlement)
            return
        match answer.words:
            case [b"DONE", outcome, captured]:
                self._booked(settlement, outcome, int(captured), answer.epoch)
            case [b"NOHOLD" | b"NOACCOUNT"]:
                settlement.look, settlement.expired = True, False
                self._wait(settlement, 0.0)
            case [b"EXPIRED"]:
                settlement.look = settlement.expired = True
                self._wait(settlement, 0.0)
            case [b"NEWREACH"]:
                settlement.look, settlement.unlearned = True, known
                self._wait(settlement)
            case [b"ASK", _]:  # of the hold that has its key, Postgres knows more by now
                settlement.look = True
                self._wait(settlement)
            case [b"TOOMUCH", held]:
                log.error(
                    "%s: %d is more than was held", self._name(settlement), settlement.captured
                )
                settlement.captured = int(held)
                self._send(settlement)
            case [b"BADLINE"]:
                log.critical("%s: its line is refused, it is given up", self._name(settlement))
                self._asked.pop(settlement.hold_id, None)
            case words:
                # BUSY: the window opens again. CORRUPT: somebody has to look; the hold stays.
                log.warning("%s: %s", self._name(settlement), b" ".join(words).decode())
                self._wait(settlement)

    def _booked(self, settlement: Settlement, outcome: bytes, captured: int, epoch: int) -> None:
        self._asked.pop(settlement.hold_id, None)
        if settlement.captured == 0:
            return  # what is given back twice or not at all is found by the deadline
        if outcome not in (b"c", b"l"):
            log.error(
                "%s: %d units were delivered, but it had ended as %s",
                self._name(settlement),
                settlement.captured,
                outcome.decode(),
            )
            return
        if captured != settlement.captured and outcome == b"c":
            log.error("%s: captured %d before", self._name(settlement), captured)
        if not self._kept:
            self._now = self._clock.monotonic()
            self._wake.set()
        again_s = SETTLE_AGAIN_S
        if settlement.attempts:
            again_s = min(again_s * 2 ** min(settlement.attempts, 4), LONGEST_SETTLE_AGAIN_S)
        settlement.due = self._now + again_s
        settlement.booked_in = epoch
        self._kept.append(settlement)

    def _wait(self, settlement: Settlement, delay_s: float | None = None) -> None:
        self._asked.pop(settlement.hold_id, None)
        if delay_s is None:
            delay_s = min(FIRST_RETRY_S * 2 ** min(settlement.attempts, 10), LONGEST_RETRY_S)
            delay_s *= 0.5 + self._chance.random()
            settlement.attempts += 1
        settlement.due = self._clock.monotonic() + delay_s
        self._waiting[settlement.hold_id] = settlement
        self._wake.set()

    async def _run(self) -> None:
        while True:
            if not (self._waiting or self._kept):
                self._wake.clear()
                await self._wake.wait()
            self._step()
            await self._clock.sleep(STEP_S)

    def _step(self) -> None:
        """Begin what is due. What asks Postgres is a task, so its outage delays no settlement."""
        now = self._now = self._clock.monotonic()
        due = [settlement for settlement in self._waiting.values() if settlement.due <= now]
        for settlement in due:
            if not settlement.look:
                del self._waiting[settlement.hold_id]
                self._send(settlement)
        looks = [settlement for settlement in due if settlement.look][:LOOKS_AT_ONCE]
        if looks and (self._looking is None or self._looking.done()):
            self._looking = self._spawn(self._look_all(looks))
        if self._confirming is None or self._confirming.done():
            kept = len(self._kept)
            if kept and now - self._confirmed_at >= self._confirm_s:
                self._confirmed_at = now
                self._confirming = self._spawn(self._confirm(kept))
            elif kept >= MANY and not self._away:
                older = kept - NEWEST
                self._confirming = self._spawn(self._confirm(older - older % IDS_AT_ONCE))

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_say_if_failed)
        return task

    async def _look_all(self, settlements: list[Settlement]) -> None:
        await asyncio.gather(*(self._look_up(settlement) for settlement in settlements))

    async def _look_up(self, settlement: Settlement) -> None:
        """Ask Postgres what became of a hold that Redis does not have open."""
        # Loaded first: it brings an open hold back, and what it finds cannot be older.
        before = self._shard.epoch
        try:
            if settlement.unlearned is not None:
                await self._reaches.learn(settlement.unlearned, before)
            await self._loader.load(settlement.order.account)
            epoch, state, last_q = await self._charge_state(settlement.hold_id)
            if settlement.claim is not None:
                settlement.there = await self._claim_of(settlement.claim)
        except NotFound as error:
            log.warning("%s: %s; it is given up", self._name(settlement), error)
            self._waiting.pop(settlement.hold_id, None)
            return
        except AWAY as error:
            log.warning("%s: %s: %s", self._name(settlement), type(error).__name__, error)
            self._wait(settlement)
            return
        there = settlement.there
        same = there is None or there.epoch == epoch
        if same and before in (0, epoch) and self._shard.epoch == epoch:
            self._go_on(settlement, epoch, state, last_q)
        else:
            self._wait(settlement)  # an epoch began meanwhile: everything anew

    def _go_on(self, settlement: Settlement, epoch: int, state: int | None, last_q: int) -> None:
        """Decide from what Postgres says, see the picture at the top of the file."""
        if state == ChargeState.OPEN:
            if settlement.expired:
                self._wait(settlement)  # the fact that closed it is not posted yet
            else:
                settlement.look = False
                self._wait(settlement, 0.0 if settlement.attempts == 0 else None)
                settlement.attempts += 1
        elif state not in (None, ChargeState.EXPIRED) or settlement.captured == 0:
            self._waiting.pop(settlement.hold_id, None)
            if settlement.captured and state == ChargeState.VOID:
                log.error("%s: delivered, but Postgres has a void", self._name(settlement))
        elif state is None and epoch == settlement.epoch and last_q < settlement.q:
            self._wait(settlement)  # Postgres has not come so far
        else:
            self._waiting.pop(settlement.hold_id, None)
            self._send_late(settlement, epoch)

    async def _confirm(self, oldest: int) -> None:
        """Forget what Postgres shows closed; settle again what it should show by now."""
        try:
            for first in range(0, oldest, IDS_AT_ONCE):
                asked = self._kept[: min(oldest - first, IDS_AT_ONCE)]
                closed = await self._closed_of([each.hold_id for each in asked])
                left = [
                    each
                    for each in asked
                    if each.hold_id not in closed and not self._is_again(each)
                ]
                # Nothing else takes any out, so these still stand before what was kept meanwhile.
                del self._kept[: len(asked)]
                self._kept += left
                if len(left) == len(asked):
                    break  # Postgres has not come so far: those behind these are newer
            self._away = False
        except AWAY as error:
            self._away = True
            log.warning("settlements cannot be confirmed: %s: %s", type(error).__name__, error)

    def _is_again(self, settlement: Settlement) -> bool:
        """Settle it again, if it should be in Postgres by now or an epoch began without it."""
        lost = settlement.booked_in != self._shard.epoch
        if settlement.due > self._clock.monotonic() and not lost:
            return False
        settlement.attempts += 1
        settlement.look = lost
        self._wait(settlement, 0.0)
        return True

    def _name(self, settlement: Settlement) -> str:
        return f"charge {hold_text(settlement.hold_id)} of account {settlement.order.account}"


def _say_if_failed(task: "asyncio.Task[None]") -> None:
    """Return an error nobody expected; what was being done is due again with the next step."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the settler met an unexpected error", exc_info=error)
