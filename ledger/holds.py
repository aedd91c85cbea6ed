"""
Holds: credits reserved for as long as a block of code runs, then captured or given back.

    async with holds.hold(order) as held:
        ...                                   # the work that is paid for
        held.capture(amount, Reason.DELIVERED, status=200)

A block that decides nothing gives everything back. Leaving it awaits nothing: the settler
owns the settlement from then on, so a client that hangs up cannot keep it from happening.
"""

import asyncio
import logging
from types import TracebackType
from typing import Final, Literal, NamedTuple, NoReturn

from ledger.asks import Answer
from ledger.errors import (
    AboveWindow,
    AccountFrozen,
    BadKey,
    Claimed,
    InsufficientCredits,
    KeyCapped,
    LedgerBusy,
    LedgerUnavailable,
    PlanChanged,
    RateLimited,
    ScopeMissing,
)
from ledger.facts import MAX_AMOUNT, MAX_DETAIL_BYTES
from ledger.hold_order import HoldOrder, line_of
from ledger.ids import HoldIds, hold_text
from ledger.limits import PERIODS
from ledger.lines import observed_line, renew_line
from ledger.ports import Clock
from ledger.reaches import Reaches
from ledger.reasons import Reason
from ledger.settlement import Settlement
from ledger.settler import Loads, Settler
from ledger.shard import Shard

log = logging.getLogger(__name__)

GRANTED: Final = (b"HELD", b"FREE")
_CLAIMED: Final[dict[bytes, Literal["running", "done", "mismatch", "ask"]]] = {
    b"RUNNING": "running",
    b"DONE": "done",
    b"MISMATCH": "mismatch",
    b"ASK": "ask",
}
RENEW_SWEEP_S: Final = 1.0
MAX_STATUS: Final = 65_535
MOST_LEARNED: Final = 3
"""Credits limited to routes in a new way may come while those of before are learned."""

LONGEST_HOLD_MS: Final = 24 * 3_600_000
"""A stream that outlives this is not renewed any more: its hold expires."""


class Passed(NamedTuple):
    """
    A check that passed: what is available, and how the limits stand.

    Two words for each limit: what is left, and seconds until all of it is back.
    """

    available: int
    standings: list[bytes]


class Asked(NamedTuple):
    """
    A hold that was asked for already: see `QuickHold`.

    known: how many reaches were known then. answer: what was said, or will be.
    """

    order: HoldOrder
    hold_id: bytes
    deadline_ms: int
    epoch: int
    known: int
    answer: "asyncio.Future[Answer]"


class Held:
    """A hold that was granted. The first of `capture` and `void` counts."""

    __slots__ = (
        "_decided",
        "_holds",
        "_order",
        "available",
        "deadline_ms",
        "epoch",
        "free",
        "id",
        "q",
        "since_ms",
        "standings",
    )

    def __init__(
        self, holds: "Holds", order: HoldOrder, hold_id: bytes, answer: Answer, deadline_ms: int
    ) -> None:
        self._holds = holds
        self._order = order
        self._decided = False
        self.since_ms = deadline_ms - order.lifetime_ms
        self.id = hold_id
        self.free = answer.words[0] == b"FREE"
        self.available = int(answer.words[1])
        self.standings = answer.words[2:]
        self.deadline_ms = deadline_ms
        self.epoch = answer.epoch
        self.q = answer.q

    @property
    def text(self) -> str:
        """The id as it is shown outside."""
        return hold_text(self.id)

    @property
    def ceiling(self) -> int:
        """The most that can be captured; nothing where an allowance paid (`free`)."""
        return 0 if self.free else self._order.ceiling

    def capture(self, amount: int, reason: int, status: int = 0, detail: bytes = b"") -> None:
        """
        Take `amount` units and give the rest back; awaits nothing.

        What is above the ceiling cannot be collected; the caller records it in `detail`.
        """
        if amount < 0:
            raise ValueError(f"a capture of {amount}")
        self._decide(min(amount, self.ceiling), reason, status, detail)

    def void(self, reason: int, status: int = 0, detail: bytes = b"") -> None:
        """Give everything back; awaits nothing."""
        self._decide(0, reason, status, detail)

    def renew(self) -> None:
        """Move the deadline to a lifetime from now. Long blocks are renewed without this."""
        self._holds.renew(self)

    def leave(self) -> None:
        """End the block: what is undecided is given back."""
        self._decide(0, Reason.GATEWAY_ERROR, 0, b"")

    def _decide(self, captured: int, reason: int, status: int, detail: bytes) -> None:
        if self._decided:
            return
        self._decided = True
        if len(detail) > MAX_DETAIL_BYTES:
            # The money matters more than the remark.
            log.error("charge %s: a detail of %d bytes is left out", self.text, len(detail))
            detail = b""
        self._holds.settle(
            self,
            self._order,
            captured=captured,
            reason=reason,
            status=min(status, MAX_STATUS),
            detail=detail,
        )


class HoldBlock:
    """The `async with` around a charged request."""

    __slots__ = ("_asked", "_held", "_holds", "_order")

    def __init__(self, holds: "Holds", order: HoldOrder, asked: Asked | None) -> None:
        self._holds = holds
        self._order = order
        self._asked = asked

    async def __aenter__(self) -> Held:
        self._held = await self._holds.open(self._order, self._asked)
        return self._held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # No await here: a cancelled task would never get past it.
        self._held.leave()


class Holds:
    """Opens holds on one shard."""

    def __init__(
        self, shard: Shard, settler: Settler, loader: Loads, reaches: Reaches, clock: Clock
    ) -> None:
        self._shard = shard
        self._reaches = reaches
        self._settler = settler
        self._loader = loader
        self._clock = clock
        self.ids = HoldIds(clock)
        self._open: dict[bytes, tuple[Held, HoldOrder]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def hold(self, order: HoldOrder, asked: Asked | None = None) -> HoldBlock:
        """
        Reserve `order.ceiling` units (at least 1) for as long as the block runs.

        `asked`: the same order was asked for already; that answer counts.

        What costs nothing may be held where it has limits: it uses up quotas. What an allowance
        pays for is held at price 0 (`Held.free`).

        Raises (on entering; nothing is held then and the block does not run):
            InsufficientCredits, AccountFrozen, BadKey, ScopeMissing, RateLimited, KeyCapped,
                Claimed, LedgerBusy, AboveWindow
            PlanChanged: The account is on another plan than the order was priced by.
            NotFound: Postgres has no such account.
            LedgerUnavailable: No answer in time. If it was granted all the same, the
                settler gives it back.
        """
        return HoldBlock(self, order, asked)

    async def open(self, order: HoldOrder, asked: Asked | None = None) -> Held:
        """Ask for a hold without a block; the caller must see to `Held.leave`."""
        if asked is not None:
            order = asked.order  # what is held by now is what can be captured
        if not (0 if order.limits else 1) <= order.ceiling <= MAX_AMOUNT:
            raise ValueError(f"a hold of {order.ceiling}: price 0 is checked, not held")
        hold_id, deadline_ms, answer = await self._ask(order, only_check=False, asked=asked)
        if answer.words[0] not in GRANTED:
            _refuse(order, answer)
        held = Held(self, order, hold_id, answer, deadline_ms)
        self._open[hold_id] = (held, order)
        if self._sweep is None:
            self._arm()
        return held

    async def check(self, order: HoldOrder) -> int:
        """
        Check key, scope and rate for a request that costs nothing; the ceiling is ignored.

        Returns:
            What is available in the pool of the credit type.

        Raises:
            The same as `hold`, but for InsufficientCredits, KeyCapped, AboveWindow and LedgerBusy.

        """
        return (await self.pass_free(order)).available

    async def pass_free(self, order: HoldOrder) -> Passed:
        """Do as `check`, and say how the limits stand as well."""
        _, _, answer = await self._ask(order, only_check=True)
        if answer.words[0] != b"PASS":
            _refuse(order, answer)
        return Passed(int(answer.words[1]), answer.words[2:])

    def observe(
        self,
        charge_id: bytes,
        *,
        account: int,
        key: int,
        credit_type: int,
        amount: int,
        version: int,
        rule: int,
        status: int,
        detail: bytes = b"",
    ) -> None:
        """
        Record a request that was priced and not charged; await nothing.

        `charge_id` is the caller's, 12 bytes as `HoldIds` mints them: the client was told it long
        before. It is no hold, so no session has to know it; the first of two with one id counts.
        Under pressure, and without a connection, an observation is dropped: it moves no balance.
        """
        line = observed_line(
            charge_id,
            account=account,
            key=key,
            credit_type=credit_type,
            amount=min(amount, MAX_AMOUNT),
            version=version,
            rule=rule,
            status=min(status, MAX_STATUS),
            detail=detail,
        )
        self._tell(line)

    def renew(self, held: Held) -> None:
        """Move a hold's deadline to a lifetime from now; await nothing."""
        found = self._open.get(held.id)
        if found is not None:
            held.deadline_ms = self._clock.now_ms() + found[1].lifetime_ms
            self._tell(renew_line(held.id, held.deadline_ms))

    def settle(
        self,
        held: Held,
        order: HoldOrder,
        *,
        captured: int,
        reason: int,
        status: int,
        detail: bytes,
    ) -> None:
        """Hand a decided hold to the settler; await nothing."""
        self._open.pop(held.id, None)
        self._settler.put(
            Settlement(held.id, order, held.epoch, held.q, captured, reason, status, detail)
        )

    async def _ask(
        self, order: HoldOrder, *, only_check: bool, asked: Asked | None = None
    ) -> tuple[bytes, int, Answer]:
        """Ask once; once more with another id if the session or the account was not there."""
        loaded = renamed = False
        learned = 0
        claim, there = (None, None) if order.claim is None or only_check else order.claim
        while True:
            future: asyncio.Future[Answer] | None = None
            if asked is not None:
                _, hold_id, deadline_ms, epoch, known, future = asked
                asked = None
            else:
                if not self._shard.verified:
                    await self._shard.ready()
                # From here to the line's place in the queue there is no await: ids go out rising.
                hold_id = self.ids.mint(self._shard.session)
                epoch = self._shard.epoch
                if there is not None and there.epoch != epoch:
                    raise Claimed("ask")  # what Redis knew of the key is in Postgres only by now
                deadline_ms = self._clock.now_ms() + order.lifetime_ms
                known = self._reaches.known
                line = line_of(
                    order,
                    hold_id,
                    deadline_ms,
                    reaches=self._reaches.block(order.route, epoch) if known else b"",
                    claim=there.block(claim) if there is not None and claim is not None else b"",
                    only_check=only_check,
                )
            try:
                answer = await (future or self._shard.hold(line, claim))
            except LedgerUnavailable as error:
                if error.unknown and not only_check:
                    self.give_back(order, hold_id, epoch)
                raise
            except asyncio.CancelledError:
                if not only_check:
                    self.give_back(order, hold_id, epoch)
                raise
            match answer.words[0]:
                case b"NOACCOUNT" if not loaded:
                    loaded = True
                    await self._loader.load(order.account)
                case b"NEWID" | b"GONE":
                    if answer.resent:
                        self.give_back(order, hold_id, epoch)
                    if renamed:
                        raise LedgerUnavailable("the session was lost twice")
                    renamed = True
                case b"NEWREACH" if learned < MOST_LEARNED:
                    learned += 1
                    await self._reaches.learn(known, epoch)
                case _:
                    return hold_id, deadline_ms, answer

    def give_back(self, order: HoldOrder, hold_id: bytes, epoch: int) -> None:
        """See to it that a hold nobody will use comes back before its deadline."""
        self._settler.put(Settlement(hold_id, order, epoch, 0, 0, Reason.GATEWAY_ERROR))

    def _tell(self, line: bytes) -> None:
        try:
            future = self._shard.settle(line)
        except LedgerUnavailable:
            return
        future.add_done_callback(_forget)

    def _arm(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(RENEW_SWEEP_S, self._renew_due)

    def _renew_due(self) -> None:
        """Renew what has used up half of its lifetime. One sweep for all open holds."""
        self._sweep = None
        now_ms = self._clock.now_ms()
        for held, order in self._open.values():
            left_ms = held.deadline_ms - now_ms
            if left_ms < order.lifetime_ms / 2 and now_ms - held.since_ms < LONGEST_HOLD_MS:
                self.renew(held)
        if self._open:
            self._arm()


def _refuse(order: HoldOrder, answer: Answer) -> NoReturn:
    """Raise what a refusal means."""
    match answer.words:
        case [b"INSUFFICIENT", available, *stand]:
            raise InsufficientCredits(order.ceiling, int(available), order.credit_type, stand)
        case [b"TOOLARGE", b"0"]:
            raise LedgerUnavailable("no new holds are taken: a finding waits for a person")
        case [b"TOOLARGE", window]:
            raise AboveWindow(order.ceiling, int(window), order.credit_type)
        case [b"LIMITED", after_ms, *number]:
            raise RateLimited(int(after_ms), int(number[0]) if number else 0)
        case [b"CAPPED", after_ms, credit_type, per]:
            raise KeyCapped(int(after_ms), int(credit_type), PERIODS[int(per)])
        case [b"PLAN", number]:
            raise PlanChanged(int(number))
        case [b"RUNNING" | b"DONE" | b"MISMATCH" | b"ASK" as word, owner]:
            raise Claimed(_CLAIMED[word], bytes.fromhex(owner.decode()))
        case [b"BLOCKED"]:
            raise AccountFrozen("the account is frozen")
        case [b"BADKEY"]:
            raise BadKey("the key is unknown, revoked or expired")
        case [b"SCOPE"]:
            raise ScopeMissing("the key may not do this")
        case [b"BUSY"]:
            raise LedgerBusy("too much credit is not yet in Postgres")
        case words:
            said = b" ".join(words).decode()
            log.error("account %d: a hold was answered %s", order.account, said)
            raise LedgerUnavailable(f"the shard answered {said}")


def _forget(done: "asyncio.Future[Answer]") -> None:
    """Take note of an answer nobody acts on, so that asyncio does not complain."""
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("a line was not taken: %s", error)
