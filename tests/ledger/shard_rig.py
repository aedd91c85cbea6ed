"""A shard on a real server, verified by a small stand-in for Postgres."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.account_record import AccountRecord
from ledger.books import ChargeState
from ledger.errors import LedgerUnavailable
from ledger.facts import Control, HoldFact, LateFact, SettleFact, WholeCapture
from ledger.journal import read_meta, read_tail
from ledger.keys import Keys
from ledger.lines import (
    control_args,
    load_begin_args,
    load_end_args,
    open_args,
    session_args,
)
from ledger.link import Link, LinkLost, RedisError, Replied
from ledger.ports import SystemClock
from ledger.reaches import Reaches
from ledger.records import KeyRecord
from ledger.scripts import SETTLING, Scripts
from ledger.shard import Shard
from ledger.standing import Standing
from tests.ledger.command_words import words_in

ACCOUNT, KEY, TYPE = 12, 7, 1
CLOCK = SystemClock()


class WrittenReaches(Reaches):
    """Reaches as a test writes them down."""

    def __init__(self) -> None:
        self.written: dict[int, list[str]] = {}
        self.asked: list[int] = []
        super().__init__(self._above)

    async def _above(self, beyond: int) -> dict[int, list[str]]:
        self.asked.append(beyond)
        return {number: names for number, names in self.written.items() if number > beyond}


_STATES = {"c": ChargeState.CAPTURED, "v": ChargeState.VOID, "x": ChargeState.EXPIRED}


@dataclass
class Verifier:
    """Says which epoch counts, and opens it and a session in it."""

    keys: Keys
    scripts: Scripts
    epoch: int = 1
    window: int = 100_000
    sessions: int = 0
    verified: int = 0
    fenced: list[str] = field(default_factory=list)
    refuse: bool = False

    async def verify(self, link: Link) -> Standing:
        if self.refuse:
            raise LedgerUnavailable("not now")
        self.verified += 1
        await self.open(link)
        self.sessions += 1
        await self.run(link, "session", session_args(self.sessions))
        return Standing(self.epoch, self.sessions)

    async def fence(self, link: Link, why: str) -> None:
        self.fenced.append(why)
        self.epoch += 1

    async def open(self, link: Link) -> None:
        args = open_args(self.epoch, 10_000, [(TYPE, 0, self.window)], 0)
        await self.run(link, "open", args)

    async def run(self, link: Link, name: str, args: list[bytes]) -> None:
        await self.scripts.run(link, name, self.keys, self.epoch, args, clock_ms=CLOCK.now_ms())


class Flaky:
    """A link whose replies, or whole calls, can be made to vanish."""

    def __init__(self, link: Link, scripts: Scripts) -> None:
        self._link = link
        self._of_ticks = {scripts["tick"].sha, scripts[SETTLING].sha}
        self.lose_reply = False
        self.lose_call = False
        self.ticks: list[int] = []
        self.gate: asyncio.Event | None = None
        self._telling: set[asyncio.Future[None]] = set()

    @property
    def closed(self) -> bool:
        return self._link.closed

    def close(self) -> None:
        self._link.close()

    async def call(self, *args: Any) -> Any:
        if args[1] not in self._of_ticks:
            return await self._link.call(*args)
        self.ticks.append(len(args) - 4 - args[2])
        if self.gate is not None:
            await self.gate.wait()
        if self.lose_call:
            self.close()
            raise LinkLost("played: never arrived")
        reply = await self._link.call(*args)
        if self.lose_reply:
            self.close()
            raise LinkLost("played: reply lost")
        return reply

    def ask(self, taker: Replied, command: bytes) -> None:
        """As `Link.ask`, by way of `call`."""
        name, sha, keys, *more = words_in(command)
        task = asyncio.ensure_future(self._tell(taker, name, sha.decode(), int(keys), *more))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, taker: Replied, *args: Any) -> None:
        try:
            reply = await self.call(*args)
        except RedisError as error:
            if not taker.done():
                taker.set_exception(error)
        else:
            if not taker.done():
                taker.set_result(reply)


class ShardRig:
    """Shard, verifier and a Postgres made of the journal itself."""

    def __init__(self, url: str, namespace: str) -> None:
        self.url = url
        self.keys = Keys(namespace)
        self.scripts = Scripts()
        self.verifier = Verifier(self.keys, self.scripts)
        self.links: list[Flaky] = []
        self.shard = Shard(0, self.keys, self.connect, self.verifier, CLOCK, scripts=self.scripts)
        self.loads: list[int] = []
        self.grants = [(9, 1_000)]
        self.side: Link | None = None
        self.connect_fails = False

    async def connect(self) -> Link:
        if self.connect_fails:
            raise OSError("played: no server")
        link = Flaky(await Link.connect(self.url, clock=CLOCK), self.scripts)
        self.links.append(link)
        return link  # type: ignore[return-value]

    async def start(self) -> None:
        self.side = await Link.connect(self.url, clock=CLOCK)
        await self.shard.ready()

    @property
    def link(self) -> Flaky:
        return self.links[-1]

    async def stop(self) -> None:
        await self.shard.aclose()
        if self.side is not None:
            self.side.close()

    async def load(self, account: int) -> None:
        """What a loader does, for an account with one key and some grants."""
        self.loads.append(account)
        token = b"token"
        if (
            await self.shard.run("load_begin", load_begin_args(account, token), account=account)
        ) == [b"LOADED"]:
            return
        controls = [
            Control("g", cseq, TYPE, lot, amount, 100)
            for cseq, (lot, amount) in enumerate(self.grants, start=1)
        ]
        args = load_end_args(
            self.shard.epoch,
            account,
            token,
            record=AccountRecord(1, 0, 0, ()),
            keys=[(KEY, KeyRecord(1, account, 3))],
            holds=[],
            controls=controls,
        )
        assert await self.shard.run("load_end", args, account=account) == [b"LOADED"]

    async def control(self, account: int, control: Control) -> list[bytes]:
        return await self.shard.run("control", control_args(account, [control]))

    async def facts(self, epoch: int | None = None) -> list[Any]:
        assert self.side is not None
        entries = await read_tail(self.side, self.keys, epoch or self.shard.epoch, 0, 10_000)
        return [fact for entry in entries for fact in entry.facts]

    async def open_holds(self) -> int:
        assert self.side is not None
        meta = await read_meta(self.side, self.keys)
        assert meta is not None
        return meta.open_holds

    async def states(self) -> dict[bytes, ChargeState]:
        """What Postgres would show if it had posted the whole journal of this epoch."""
        states: dict[bytes, ChargeState] = {}
        for fact in await self.facts():
            match fact:
                case HoldFact():
                    states[fact.hold_id] = ChargeState.OPEN
                case SettleFact():
                    states[fact.hold_id] = _STATES[fact.outcome]
                case WholeCapture():
                    states[fact.hold_id] = ChargeState.CAPTURED
                case LateFact():
                    states[fact.hold_id] = ChargeState.LATE
        return states


async def until(happened: Callable[[], Any], limit_s: float = 5.0) -> None:
    """Wait for something that other tasks bring about; fail if it does not come."""
    async with asyncio.timeout(limit_s):
        while True:
            found = happened()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)
