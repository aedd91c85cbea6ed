"""
An order that is asked for again and again, by who takes the answer in the turn that brings it.

A hold's line is the same for each request of a caller on a route, but for its id and deadline: it
is written once. What is not the usual answer is for `Holds` to deal with; see `Asked`.
"""

from typing import Final

from ledger.asks import Answer, Taker
from ledger.errors import LedgerUnavailable
from ledger.facts import MAX_AMOUNT
from ledger.hold_order import HoldOrder, line_of
from ledger.holds import Holds
from ledger.ids import HOLD_ID_BYTES
from ledger.reaches import Reaches
from ledger.settlement import Settlement
from ledger.settler import Settler
from ledger.shard import Shard

_NO_ID: Final = bytes(HOLD_ID_BYTES)
_ID: Final = slice(3, 3 + HOLD_ID_BYTES)
_DEADLINE: Final = slice(42, 48)


class QuickHold:
    """
    One order, its line as far as it is always the same.

    Attributes:
        order: What is asked for; it has no claim.
        lifetime_ms: The order's.
        epoch: That the line was written for.
        known: How many reaches were known then.
    """

    __slots__ = ("_after", "_before", "_head", "epoch", "known", "lifetime_ms", "order")

    def __init__(self, order: HoldOrder) -> None:
        if order.claim is not None or not 1 <= order.ceiling <= MAX_AMOUNT:
            raise ValueError("an order that cannot be asked for in one step")
        self.order = order
        self.lifetime_ms = order.lifetime_ms
        self.known = -1
        self.epoch = -1
        self._head = self._before = self._after = b""

    def write(self, reaches: Reaches, epoch: int) -> None:
        """Write the line for an epoch, with the reaches that are known in it."""
        order = self.order
        self.known, self.epoch = reaches.known, epoch
        block = reaches.block(order.route, epoch) if reaches.known else b""
        line = line_of(order, _NO_ID, 0, reaches=block)
        self._head = line[: _ID.start]
        self._before = line[_ID.stop : _DEADLINE.start]
        self._after = line[_DEADLINE.stop :]

    def line(self, reaches: Reaches, epoch: int, hold_id: bytes, deadline_ms: int) -> bytes:
        """Return the line with this id and deadline."""
        if self.known != reaches.known or self.epoch != epoch:
            self.write(reaches, epoch)
        deadline = deadline_ms.to_bytes(6, "little")
        return b"".join((self._head, hold_id, self._before, deadline, self._after))


class QuickHolds:
    """Asks for quick holds, and hands their endings to the settler."""

    def __init__(self, holds: Holds, shard: Shard, settler: Settler, reaches: Reaches) -> None:
        self._holds = holds
        self._shard = shard
        self._settler = settler
        self._reaches = reaches

    def ask(self, quick: QuickHold, taker: Taker, now_us: int) -> bytes | None:
        """
        Ask for the hold at this moment of the clock; return its id, or None where none is asked.

        It lives for the order's lifetime from now, and nobody renews it. `taker` is told what
        `Shard.hold` answers; it sees to the ending of what was granted.
        """
        shard = self._shard
        standing = shard.standing
        if standing is None:
            return None
        hold_id = self._holds.ids.mint_at(now_us, standing.session)
        deadline_ms = now_us // 1000 + quick.lifetime_ms
        try:
            shard.ask(quick.line(self._reaches, standing.epoch, hold_id, deadline_ms), taker)
        except LedgerUnavailable:
            return None
        return hold_id

    def settle(
        self,
        order: HoldOrder,
        hold_id: bytes,
        answer: Answer,
        *,
        captured: int,
        reason: int,
        status: int,
    ) -> None:
        """Hand the ending of a hold that `answer` granted to the settler; await nothing."""
        self._settler.put(
            Settlement(
                hold_id,
                order,
                answer.epoch,
                answer.q,
                captured,
                reason,
                status,
            )
        )

    def give_back(self, order: HoldOrder, hold_id: bytes, epoch: int) -> None:
        """See to it that a hold comes back that was asked for, granted or not; await nothing."""
        self._holds.give_back(order, hold_id, epoch)
