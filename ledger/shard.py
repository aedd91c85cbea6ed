"""
One shard as a gateway sees it: one verified connection, one tick under way at a time.

Lines that arrive while a tick is under way go into the next one, so batches grow with
load by themselves. A tick whose reply is lost is asked again with the same lines: in the
same epoch every line answers a repeat as it did the first time, in a later one a hold is
answered NEWID, a settlement looks for the hold that was restored, and a late capture,
which Postgres must be asked about first, is not sent at all.

"Verified" belongs to a connection. Any sign that the server behind it changed (guard
words, NOSCRIPT, READONLY...) ends it, and the next one is verified anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

import asyncpg

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
from ledger.claims import Claim
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.keys import Keys
from ledger.link import Link, LinkFull, LinkLost, RedisError
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.redis_errors import (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)
from ledger.scripts import HEAD, Reply, Scripts, evalsha, keys_of, read_reply
from ledger.standing import Standing, Verifier
from ledger.tick import Tick, give_out, lines_of

log = logging.getLogger(__name__)

VERIFY_LIMIT_S: Final = 60.0
"""A fence posts what it can save first; a store that takes longer than this is away."""

SETTLE_WAIT_S: Final = 0.001
"""How long a settlement waits for a hold to go with: a tick costs Redis more than its lines."""

SWEEP_S: Final = 0.1
FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 1.0

STORE_ERRORS: Final[tuple[type[Exception], ...]] = (
    LedgerError,
    asyncpg.PostgresError,
    *OUTAGE,
)
"""What a store that is away, or half there, raises while a connection is verified."""


NOT_THE_SAME_SERVER: Final = (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
)
"""Refusals, before anything ran, of a server that is not what it was when it was verified."""


class Shard:
    """Lines in, answers out; one connection is kept and verified behind it."""

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
        self._connect = connect
        self._verifier = verifier
        self._clock = clock
        self._scripts = scripts or Scripts()
        self._link: Link | None = None
        self._standing: Standing | None = None
        self._doubt: str | None = None
        self._last = Standing(0, 0)
        self._watermark = 0
        self._waiting = Waiting()
        self._under_way: list[Ask] = []
        self._waiters: list[tuple[asyncio.Future[None], float]] = []
        self._wake = asyncio.Event()
        self._away = False
        self._pump: asyncio.Task[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._pressing: asyncio.TimerHandle | None = None
        self._loop = cast("asyncio.AbstractEventLoop", None)  # known with the first line

    @property
    def epoch(self) -> int:
        """The epoch verified last; 0 before the first."""
        return self._last.epoch

    @property
    def session(self) -> int:
        """The session of the connection verified last; 0 before the first."""
        return self._last.session

    @property
    def standing(self) -> Standing | None:
        """What the connection that is verified right now stands for."""
        link = self._link
        return self._standing if link is not None and not link.closed else None

    @property
    def watermark(self) -> int:
        """The highest fact number seen in this epoch."""
        return self._watermark

    @property
    def verified(self) -> bool:
        """Whether there is a verified connection right now."""
        return self._standing is not None and self._link is not None and not self._link.closed

    async def ready(self, limit_s: float = HOLD_LIMIT_S) -> Standing:
        """
        Return what the connection stands for, once there is a verified one.

        Raises:
            LedgerUnavailable: Not within `limit_s`.

        """
        if not self.verified:
            self._start()  # first: a closed shard refuses, and would leave the waiter behind
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((waiter, self._clock.monotonic() + limit_s))
            await waiter
        return self._last

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
        if self._waiting.holds >= MAX_WAITING:
            raise LedgerUnavailable("too many requests wait for the ledger")
        if self._pump is None or self._sweep is None:
            self._start()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.add(
            Ask(line, future, since=self._clock.monotonic(), holding=True, claim=claim)
        )
        self._wake.set()
        return future

    def ask(self, line: bytes, taker: Taker) -> None:
        """
        Queue one hold line as `hold` does; `taker` gets the answer, or the error, with the tick's.

        Raises:
            LedgerUnavailable: Too many wait, or the shard is closed.

        """
        if self._waiting.holds >= MAX_WAITING:
            raise LedgerUnavailable("too many requests wait for the ledger")
        if self._pump is None or self._sweep is None:
            self._start()
        self._waiting.add(Ask(line, taker, since=self._clock.monotonic(), holding=True))
        self._wake.set()

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
        self._queue(line, future, epoch)
        return future

    def tell(
        self, line: bytes, taker: Taker, *, epoch: int | None = None, claim: Claim | None = None
    ) -> None:
        """
        Queue a line as `settle` does; `taker` gets its answer, or the error, with the tick's.

        Raises:
            LedgerUnavailable: The shard is closed.

        """
        self._queue(line, taker, epoch, claim)

    def _queue(
        self,
        line: bytes,
        answer: "Taker | asyncio.Future[Answer]",
        epoch: int | None,
        claim: Claim | None = None,
    ) -> None:
        if self._pump is None or self._sweep is None:
            self._start()
        self._waiting.add(Ask(line, answer, since=0.0, holding=False, epoch=epoch, claim=claim))
        if self._waiting.settles >= MAX_LINES:
            self._press()
        elif self._pressing is None:
            self._pressing = self._loop.call_later(SETTLE_WAIT_S, self._press)

    def _press(self) -> None:
        """See that settlements are sent now, with a hold or without one."""
        if self._pressing is not None:
            self._pressing.cancel()
            self._pressing = None
        self._waiting.pressed = True
        self._wake.set()

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
        standing = await self.ready()
        if epoch not in (None, standing.epoch):
            raise LedgerUnavailable("another epoch has begun")
        link = self._link
        if link is None:
            raise LedgerUnavailable("the connection was lost again")
        command = self._command(name, standing, args, account=account)
        try:
            reply = read_reply(await link.call(*command))
        except (LinkLost, LinkFull) as error:
            raise LedgerUnavailable(str(error), unknown=isinstance(error, LinkLost)) from error
        except RedisError as error:
            if isinstance(error, NOT_THE_SAME_SERVER):
                self._drop(link)
            raise LedgerUnavailable(str(error)) from error
        if reply.word != "OK":
            self._guarded(link, reply.word)
            raise LedgerUnavailable(f"the shard answered {reply.word}")
        self._saw(standing, reply)
        return reply.answers

    async def aclose(self) -> None:
        """Stop; what waits is told LedgerUnavailable. A repeat is harmless."""
        self._closed = True
        for timer in (self._sweep, self._pressing):
            if timer is not None:
                timer.cancel()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._link is not None:
            self._drop(self._link)
        for ask in self._under_way:
            ask.fail("the ledger is closing")
        self._waiting.fail("the ledger is closing")
        for waiter, _ in self._waiters:
            if not waiter.done():
                waiter.set_exception(LedgerUnavailable("the ledger is closing"))

    def _start(self) -> None:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        loop = self._loop = asyncio.get_running_loop()
        if self._pump is None:
            self._pump = loop.create_task(self._run(), name=f"shard {self.number}")
            self._pump.add_done_callback(self._stopped)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_S, self._look)
        self._wake.set()

    def _stopped(self, pump: asyncio.Task[None]) -> None:
        """Say loudly what nobody expected; the next line starts the pump anew."""
        self._pump = None
        if not pump.cancelled() and (error := pump.exception()) is not None:
            log.critical("shard %d: the pump stopped", self.number, exc_info=error)
            if self._link is not None:
                self._drop(self._link)

    async def _run(self) -> None:
        """Tick as long as there is something to say, on a connection that is verified."""
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            try:
                link, standing = await self._connection()
                asks = self._waiting.take(standing.epoch)
                if not asks:
                    if not self._waiting.pressed:
                        self._wake.clear()
                    continue
                if await self._tick(link, standing, asks):
                    retry_s = FIRST_RETRY_S
                    continue
            except STORE_ERRORS as error:
                self._say_away(f"{type(error).__name__}: {error}")
                if self._link is not None:
                    self._drop(self._link)
            await self._clock.sleep(retry_s)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def _connection(self) -> tuple[Link, Standing]:
        """Return the connection; make and verify one first where there is none."""
        link, standing = self._link, self._standing
        if link is not None and standing is not None and not link.closed:
            return link, standing
        if link is None or link.closed:
            self._standing = None
            link = self._link = await self._connect()
        async with asyncio.timeout(VERIFY_LIMIT_S):
            await self._scripts.load(link)
            if self._doubt is not None:
                await self._verifier.fence(link, self._doubt)
                self._doubt = None
            standing = await self._verifier.verify(link)
        if standing.epoch != self._last.epoch:
            self._watermark = 0
        self._standing = self._last = standing
        if self._away:
            self._away = False
            log.warning("shard %d: verified again, in epoch %d", self.number, standing.epoch)
        for waiter, _ in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        return link, standing

    def _say_away(self, why: str) -> None:
        """Say once per outage that there is one: an attempt each second would fill the log."""
        log.log(logging.DEBUG if self._away else logging.WARNING, "shard %d: %s", self.number, why)
        self._away = True

    async def _tick(self, link: Link, standing: Standing, asks: list[Ask]) -> bool:
        """Send one tick and give out the answers; False: look again after a while."""
        said = lines_of(asks)
        command = self._command(
            said.script, standing, said.lines, session=said.session, claims=said.claims
        )
        self._under_way = asks
        tick = Tick(self, link, standing, asks)
        link.ask(tick, *command)
        return await tick.over

    def answered(self, tick: Tick, raw: Any) -> bool:
        """Give out the answers of a tick, in the turn that brings them."""
        link, standing, asks = tick.link, tick.standing, tick.asks
        self._under_way = []
        reply = read_reply(raw)
        if reply.word != "OK":
            for ask in asks:
                ask.sent -= 1  # the guard stands before everything: nothing was done
            return self._unguarded(link, asks, reply.word)
        self._saw(standing, reply)
        # The steward dropped the session as idle: to verify again opens another one.
        give_out(tick, reply, lambda: self._guarded(link, "NEWID"))
        return True

    def unanswered(self, tick: Tick, error: RedisError) -> bool:
        """Deal with an error instead of a reply."""
        if not isinstance(error, LinkLost):
            return self._refused(tick.link, tick.asks, error)
        self._say_away(f"a tick of {len(tick.asks)} lines: {error}")
        self._under_way = []
        self._waiting.again(tick.asks)
        self._drop(tick.link)
        return False

    def _unguarded(self, link: Link, asks: list[Ask], word: str) -> bool:
        """Deal with a guard word in answer to a tick."""
        if word == "SKEW":
            # No clock can be trusted: fail closed. The settler asks again by itself.
            for ask in asks:
                ask.fail("the clocks of gateway and Redis are more than 5 s apart")
            return False
        self._waiting.again(asks)
        self._guarded(link, word)
        return word != "FROZEN"  # somebody is at it: leave them a moment

    def _guarded(self, link: Link, word: str) -> None:
        """Stop trusting the connection because of a guard word."""
        if link is not self._link or word == "SKEW":
            return
        log.warning("shard %d: %s", self.number, word)
        self._standing = None
        if word in ("NOMETA", "REGRESS"):
            self._doubt = word
        self._wake.set()

    def _refused(self, link: Link, asks: list[Ask], error: RedisError) -> bool:
        """Deal with an error in answer to a tick: nothing was changed."""
        self._under_way = []
        for ask in asks:
            ask.sent -= 1
        if isinstance(error, NOT_THE_SAME_SERVER):
            self._say_away(str(error))
            self._waiting.again(asks)
            self._drop(link)
            return False
        if isinstance(error, OutOfMemoryError):
            self._waiting.memory_full(asks)
            asks = [ask for ask in asks if ask.holding]
        log.error("shard %d: %d lines refused: %s", self.number, len(asks), error)
        for ask in asks:
            ask.fail(str(error))
        return True

    def _command(
        self,
        name: str,
        standing: Standing,
        args: Sequence[bytes],
        *,
        session: int = 0,
        account: int | None = None,
        claims: Sequence[Claim] = (),
    ) -> tuple[str | bytes | int, ...]:
        head = HEAD.pack(standing.epoch, self._watermark, self._clock.now_ms(), session)
        keys = keys_of(self.keys, standing.epoch, account, claims)
        return evalsha(self._scripts[name], keys, head, args)

    def _saw(self, standing: Standing, reply: Reply) -> None:
        if standing.epoch == self._last.epoch and reply.q > self._watermark:
            self._watermark = reply.q

    def _drop(self, link: Link) -> None:
        """End a connection; the next one is verified anew."""
        link.close()
        if link is self._link:
            self._link = self._standing = None
            if not self._closed:
                self._wake.set()

    def _look(self) -> None:
        """Tell those who have waited long enough. One sweep for all of them."""
        self._sweep = None
        now = self._clock.monotonic()
        for ask in self._under_way:
            expire(ask, now)
        self._waiting.expire(now)
        still = []
        for waiter, until in self._waiters:
            if now >= until and not waiter.done():
                waiter.set_exception(LedgerUnavailable("no verified connection to Redis"))
            if not waiter.done():
                still.append((waiter, until))
        self._waiters = still
        if self._waiters or self._waiting.holds or self._under_way:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._look)
