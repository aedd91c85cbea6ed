"""One call of the tick script on its way: its lines out, its answers given to those who asked."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ledger.asks import HOLD, SESSION, Answer, Ask
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
    session, holding = b"", False
    for ask in asks:
        ask.sent += 1
        line = ask.line
        lines.append(line)
        if ask.claim is not None:
            claims.append(ask.claim)
        if ask.holding:
            holding = True
            if line[0] == HOLD:
                session = line[SESSION]
    script = "tick" if holding else SETTLING
    return Lines(script, lines, int.from_bytes(session, "big"), claims)


def words_of(line: bytes, answer: bytes | int) -> list[Any]:
    """Return the words of an answer; a number alone says that a line did what nearly all do."""
    if isinstance(answer, bytes):
        return answer.split()
    return [b"HELD", answer] if line[0] == HOLD else [b"DONE", b"c", answer]


def give_out(tick: Tick, reply: Reply, renamed: Callable[[], None]) -> None:
    """Tell everybody who asked; `renamed` hears that the connection's own session is no more."""
    own_session = tick.standing.session.to_bytes(4, "big")
    q, epoch = reply.q, tick.standing.epoch
    for ask, answer in zip(tick.asks, reply.answers, strict=True):
        if answer == b"NEWID" and ask.line[SESSION] == own_session:
            renamed()
        future = ask.future
        if not future.done():
            future.set_result(Answer(words_of(ask.line, answer), q, epoch, ask.sent > 1))
