"""
One shard as a gateway sees it: lines in, answers out, one tick under way at a time.

Lines that arrive while a tick is under way go into the next one, so batches grow with
load by themselves. A tick whose reply is lost is asked again with the same lines: in the
same epoch every line answers a repeat as it did the first time, in a later one a hold is
answered NEWID, a settlement looks for the hold that was restored, and a late capture,
which Postgres must be asked about first, is not sent at all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from ledger.asks import (
    HOLD_LIMIT_S,
    MAX_LINES,
    MAX_WAITING,
    Answer,
    Ask,
    Taker,
    Waiting,
    expire,
)
from ledger.call_bytes import CallBytes
from ledger.claims import Claim
from ledger.errors import LedgerUnavailable
from ledger.keys import Keys
from ledger.link import Link, LinkFull, LinkLost, RedisError, packed
from ledger.ports import Clock
from ledger.redis_errors import (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)
from ledger.scripts import HEAD, Scripts, evalsha, keys_of, read_reply
from ledger.standing import Standing, Verifier
from ledger.tick import Tick, give_out, lines_of
from ledger.verified_link import VerifiedLink

log = logging.getLogger(__name__)

SETTLE_WAIT_S: Final = 0.001
"""How long a settlement waits for a hold to go with: a tick costs Redis more than its lines."""

SWEEP_S: Final = 0.1

NOT_THE_SAME_SERVER: Final = (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
)
"""Refusals, before anything ran, of a server that is not what it was when it was verified."""


class Shard:
    """Lines in, answers out; a verified connection is kept behind it."""

    def __init__(
        self,
        number: int,
        keys: Keys,
        connect: Callable[[], Awaitable[Link]],
        verifier: Verifier,
        clock: Clock,
        *,
        scripts: Scripts | None = None,
    ) -> None:
        self.number = number
        self.keys = keys
        self._clock = clock
        self._scripts = scripts or Scripts()
        self._connection = VerifiedLink(
            number, connect, verifier, clock, self._scripts, found=self._soon
        )
        self._waiting = Waiting()
        self._tick: Tick | None = None  # that is under way
        self._next_comes = False
        self._calls = CallBytes(keys, self._scripts)
        self._settling_since = 0.0  # the settlement that waits longest; time of the loop
        self._pressing: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = cast("asyncio.AbstractEventLoop", None)  # known with the first line

    @property
    def epoch(self) -> int:
        """The epoch verified last; 0 before the first."""
        return self._connection.last.epoch

    @property
    def session(self) -> int:
        """The session of the connection verified last; 0 before the first."""
        return self._connection.last.session

    @property
    def standing(self) -> Standing | None:
        """What the connection that is verified right now stands for."""
        verified = self._connection.now
        return verified.standing if verified is not None else None

    @property
    def watermark(self) -> int:
        """The highest fact number seen in this epoch."""
        return self._connection.watermark

    @property
    def verified(self) -> bool:
        """Whether there is a verified connection right now."""
        return self._connection.now is not None

    async def ready(self, limit_s: float = HOLD_LIMIT_S) -> Standing:
        """
        Return what the connection stands for, once there is a verified one.

        Raises:
            LedgerUnavailable: Not within `limit_s`.

        """
        if not self.verified:
            self._start()
        return await self._connection.ready(limit_s)

    def hold(self, line: bytes, claim: Claim | None = None) -> "asyncio.Future[Answer]":
        """
        Queue one hold or check line; `claim` is the one that stands in it.

        Returns:
            A future of the answer. Who cancels it before the line was sent keeps it from being
            sent; afterwards its outcome is unknown.
            LedgerUnavailable: No answer in time. `unknown` says whether it may have been
            granted all the same; who is told so voids the hold.

        Raises:
            LedgerUnavailable: Too many wait, or the shard is closed.

        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.ask(line, future, claim)
        return future

    def ask(
        self, line: bytes, taker: "Taker | asyncio.Future[Answer]", claim: Claim | None = None
    ) -> None:
        """
        Queue one hold line as `hold` does; `taker` gets the answer, or the error, with the tick's.

        Raises:
            LedgerUnavailable: Too many wait, or the shard is closed.

        """
        holds = self._waiting.holds
        if len(holds) >= MAX_WAITING:
            raise LedgerUnavailable("too many requests wait for the ledger")
        if self._sweep is None:
            self._start()
        holds.append(Ask(line, taker, holding=True, claim=claim))
        if self._tick is None and not self._next_comes:
            self._soon()

    def settle(self, line: bytes, *, epoch: int | None = None) -> "asyncio.Future[Answer]":
        """
        Queue a settle, late, renew or observed line; await nothing.

        Args:
            line: See `ledger.lines`.
            epoch: The only epoch it may be sent in; late lines need one.

        Returns:
            A future of the answer. It has no time limit: it waits while the shard is away.
            LedgerUnavailable: refused for now, or another epoch has begun.

        Raises:
            LedgerUnavailable: The shard is closed.

        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.tell(line, future, epoch=epoch)
        return future

    def tell(
        self,
        line: bytes,
        taker: "Taker | asyncio.Future[Answer]",
        *,
        epoch: int | None = None,
        claim: Claim | None = None,
    ) -> None:
        """
        Queue a line as `settle` does; `taker` gets its answer, or the error, with the tick's.

        Raises:
            LedgerUnavailable: The shard is closed.

        """
        if self._sweep is None:
            self._start()
        settles = self._waiting.settles
        settles.append(Ask(line, taker, holding=False, epoch=epoch, claim=claim))
        if len(settles) == 1:
            self._settling_since = self._loop.time()
            if self._pressing is None:
                self._pressing = self._loop.call_later(SETTLE_WAIT_S, self._press)
        elif len(settles) >= MAX_LINES:
            self._waiting.pressed = True
            self._soon()

    async def run(
        self,
        name: str,
        args: Sequence[bytes],
        *,
        account: int | None = None,
        epoch: int | None = None,
    ) -> list[bytes]:
        """
        Run another script under the guard; return its answers.

        Args:
            name: The script's file name without `.lua`.
            args: See `ledger.lines`.
            account: Whose load token the script uses.
            epoch: The only one it may run in; None: whichever is verified.

        Raises:
            LedgerUnavailable: No verified connection, or the guard refused, or (`unknown`)
                the connection was lost meanwhile.

        """
        await self.ready()
        verified = self._connection.now
        if verified is None:
            raise LedgerUnavailable("the connection was lost again")
        link, standing = verified.link, verified.standing
        if epoch not in (None, standing.epoch):
            raise LedgerUnavailable("another epoch has begun")
        keys = keys_of(self.keys, standing.epoch, account)
        command = evalsha(self._scripts[name], keys, self._head(standing), args)
        try:
            reply = read_reply(await link.call(*command))
        except (LinkLost, LinkFull) as error:
            raise LedgerUnavailable(str(error), unknown=isinstance(error, LinkLost)) from error
        except RedisError as error:
            if isinstance(error, NOT_THE_SAME_SERVER):
                self._connection.drop(link)
            raise LedgerUnavailable(str(error)) from error
        if reply.word != "OK":
            self._connection.distrust(link, reply.word)
            raise LedgerUnavailable(f"the shard answered {reply.word}")
        self._connection.saw(standing, reply.q)
        return reply.answers

    def stop(self) -> None:
        """Say nothing more to Redis, from this moment on; `aclose` tells those who wait."""
        self._closed = True
        for timer in (self._sweep, self._pressing):
            if timer is not None:
                timer.cancel()
        self._sweep = self._pressing = None
        if self._tick is not None:
            self._tick.dropped = True
        self._connection.stop()

    async def aclose(self) -> None:
        """Stop; what waits is told LedgerUnavailable. A repeat is harmless."""
        self.stop()
        await self._connection.aclose()
        if self._tick is not None:
            for ask in self._tick.asks:
                ask.fail("the ledger is closing")
        self._waiting.fail("the ledger is closing")

    def _start(self) -> None:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        self._loop = asyncio.get_running_loop()
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_S, self._look)

    def _soon(self) -> None:
        """See that a tick is sent when this turn has gathered its lines, or after the last."""
        if self._tick is None and not self._next_comes and not self._closed:
            self._next_comes = True
            self._loop.call_soon(self._next)

    def _press(self) -> None:
        """See that settlements that have waited their time are sent now, without a hold."""
        self._pressing = None
        if not self._waiting.settles:
            return
        wait_s = self._settling_since + SETTLE_WAIT_S - self._loop.time()
        if wait_s > 0:
            self._pressing = self._loop.call_later(wait_s, self._press)
        else:
            self._waiting.pressed = True
            self._soon()

    def _next(self) -> None:
        """Send what waits, on a connection that is verified."""
        self._next_comes = False
        if self._tick is not None or self._closed:
            return
        verified = self._connection.now
        if verified is None:
            self._connection.seek()  # and comes back here
            return
        asks = self._waiting.take(verified.standing.epoch)
        if asks:
            self._send(verified.link, verified.standing, asks)

    def _send(self, link: Link, standing: Standing, asks: list[Ask]) -> None:
        self._tick = tick = Tick(self, link, standing, asks)
        try:
            said = lines_of(asks)
            head = self._head(standing, said.session)
            if said.claims:
                keys = keys_of(self.keys, standing.epoch, claims=said.claims)
                command = packed(*evalsha(self._scripts[said.script], keys, head, said.lines))
            else:
                command = self._calls.of(said.script, standing.epoch, head, said.lines)
            link.ask(tick, command)
        except Exception as error:  # noqa: BLE001 - said loudly, and nobody waits for ever
            self.over(tick, error)

    def answered(self, tick: Tick, raw: Any) -> None:
        """Give out the answers of a tick, in the turn that brings them."""
        reply = read_reply(raw)
        if reply.word != "OK":
            self._unguarded(tick, reply.word)
            return
        self._connection.saw(tick.standing, reply.q)
        if not give_out(tick, reply):
            # The steward dropped the session as idle: to verify again opens another one.
            self._connection.distrust(tick.link, "NEWID")

    def unanswered(self, tick: Tick, error: RedisError) -> None:
        """Deal with an error instead of a reply."""
        if not isinstance(error, LinkLost):
            self._refused(tick, error)
            return
        self._connection.say_away(f"a tick of {len(tick.asks)} lines: {error}")
        self._waiting.again(tick.asks)
        self._connection.drop(tick.link)

    def over(self, tick: Tick, unexpected: Exception | None = None) -> None:
        """Let the next tick follow; loudly and on another connection after what nobody expected."""
        if unexpected is not None:
            log.critical("shard %d: a tick failed", self.number, exc_info=unexpected)
            self._connection.drop(tick.link)
            for ask in tick.asks:
                ask.fail("the answer was not understood")
        self._tick = None
        if self._waiting.due:
            self._soon()

    def _unguarded(self, tick: Tick, word: str) -> None:
        """Deal with a guard word in answer to a tick."""
        for ask in tick.asks:
            ask.sent -= 1  # the guard stands before everything: nothing was done
        if word == "SKEW":
            # No clock can be trusted: fail closed. The settler asks again by itself.
            for ask in tick.asks:
                ask.fail("the clocks of gateway and Redis are more than 5 s apart")
            return
        self._waiting.again(tick.asks)
        self._connection.distrust(tick.link, word)

    def _refused(self, tick: Tick, error: RedisError) -> None:
        """Deal with an error in answer to a tick: nothing was changed."""
        asks = tick.asks
        for ask in asks:
            ask.sent -= 1
        if isinstance(error, NOT_THE_SAME_SERVER):
            self._connection.say_away(str(error))
            self._waiting.again(asks)
            self._connection.drop(tick.link)
            return
        if isinstance(error, OutOfMemoryError):
            self._waiting.memory_full(asks)
            asks = [ask for ask in asks if ask.holding]
        log.error("shard %d: %d lines refused: %s", self.number, len(asks), error)
        for ask in asks:
            ask.fail(str(error))

    def _head(self, standing: Standing, session: int = 0) -> bytes:
        watermark = self._connection.watermark
        return HEAD.pack(standing.epoch, watermark, self._clock.now_ms(), session)

    def _look(self) -> None:
        """Tell those who have waited long enough. One sweep for all of them."""
        self._sweep = None
        now = self._clock.monotonic()
        if self._tick is not None:
            for ask in self._tick.asks:
                expire(ask, now)
        self._waiting.expire(now)
        self._connection.expire(now)
        if self._connection.waited_for or self._waiting.holds or self._tick is not None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._look)
