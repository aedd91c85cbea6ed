"""One call of the tick script on its way: its lines out, its answers given to those who asked."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ledger.asks import HOLD, Answer, Ask, session_in
from ledger.claims import Claim
from ledger.link import Link
from ledger.redis_errors import RedisError
from ledger.scripts import SETTLING, Reply
from ledger.standing import Standing


class Shard(Protocol):
    """Whose tick it is."""

    def answered(self, tick: "Tick", raw: Any, /) -> None:
        """Deal with the reply."""

    def unanswered(self, tick: "Tick", error: RedisError, /) -> None:
        """Deal with an error instead of one."""

    def over(self, tick: "Tick", unexpected: Exception | None = None, /) -> None:
        """Go on; `unexpected` is what went wrong while it was dealt with."""


class Tick:
    """
    The lines of one tick on their way, and what their reply leads to.

    Attributes:
        dropped: Nobody wants to hear the reply any more.
    """

    __slots__ = ("_shard", "asks", "dropped", "link", "standing")

    def __init__(self, shard: Shard, link: Link, standing: Standing, asks: list[Ask]) -> None:
        self._shard = shard
        self.link = link
        self.standing = standing
        self.asks = asks
        self.dropped = False

    def done(self) -> bool:
        """Whether nobody wants to hear the reply."""
        return self.dropped

    def set_result(self, raw: Any) -> None:
        """Give out the answers."""
        self._deal(self._shard.answered, raw)

    def set_exception(self, error: RedisError) -> None:
        """Deal with the error."""
        self._deal(self._shard.unanswered, error)

    def _deal(self, how: Callable[["Tick", Any], None], said: Any) -> None:
        try:
            how(self, said)
        except Exception as unexpected:  # noqa: BLE001 - the shard says so
            self._shard.over(self, unexpected)
        else:
            self._shard.over(self)


class Lines(NamedTuple):
    """
    What a tick says.

    script: with holds the one that is refused first when memory is full. session: of the holds.
    """

    script: str
    lines: list[bytes]
    session: int
    claims: list[Claim]


def lines_of(asks: list[Ask]) -> Lines:
    """Gather the lines of a tick that goes out now."""
    lines: list[bytes] = []
    claims: list[Claim] = []
    session = 0
    for ask in asks:
        ask.sent += 1
        lines.append(ask.line)
        if ask.claim is not None:
            claims.append(ask.claim)
    for line in reversed(lines):
        if line[0] == HOLD:
            session = session_in(line)
            break
    # Those that hold or check come last, see `ledger.asks.Waiting.take`.
    script = "tick" if asks[-1].holding else SETTLING
    return Lines(script, lines, session, claims)


def give_out(tick: Tick, reply: Reply) -> bool:
    """
    Tell everybody who asked; return whether the connection's own session is there still.

    From the last to the first: those that hold stand last, and a client waits for them.
    """
    q, epoch = reply.q, tick.standing.epoch
    in_session = True
    for ask, said in zip(reversed(tick.asks), reversed(reply.answers), strict=True):
        words: list[Any]
        if isinstance(said, bytes):
            words = said.split()
            if said == b"NEWID" and session_in(ask.line) == tick.standing.session:
                in_session = False
        else:  # a number alone says that a line did what nearly all do
            words = [b"HELD", said] if ask.holding else [b"DONE", b"c", said]
        future = ask.future
        if not future.done():
            future.set_result(Answer(words, q, epoch, ask.sent > 1))
    return in_session
