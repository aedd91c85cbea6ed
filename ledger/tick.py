"""One call of the tick script on its way: its lines out, its answers given to those who asked."""

import asyncio
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

    def answered(self, tick: "Tick", raw: Any) -> bool:
        """Deal with the reply; True: the next tick may follow."""

    def unanswered(self, tick: "Tick", error: RedisError) -> bool:
        """Deal with an error instead of one."""


class Tick:
    """
    The lines of one tick on their way, and what their reply leads to.

    Attributes:
        over: True when the next tick may follow; False: look again after a while.
    """

    __slots__ = ("_shard", "asks", "link", "over", "standing")

    def __init__(self, shard: Shard, link: Link, standing: Standing, asks: list[Ask]) -> None:
        self._shard = shard
        self.link = link
        self.standing = standing
        self.asks = asks
        self.over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(self) -> bool:
        """Whether it is over, or its shard is closed."""
        return self.over.done()

    def set_result(self, raw: Any) -> None:
        """Give out the answers; an error nobody expected ends the pump, which says so."""
        try:
            self.over.set_result(self._shard.answered(self, raw))
        except Exception as error:  # noqa: BLE001 - see above
            self.over.set_exception(error)

    def set_exception(self, error: RedisError) -> None:
        """Deal with the error."""
        try:
            self.over.set_result(self._shard.unanswered(self, error))
        except Exception as unexpected:  # noqa: BLE001 - see above
            self.over.set_exception(unexpected)


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
