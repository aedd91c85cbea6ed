"""
What a charged request costs Redis, with the whole protocol, beside the two scripts of nginx + Lua.

Four clients, each with one call under way, as four workers have: a tick of eight settlements and
eight holds, written by `ledger.lines` and run by the ledger's own scripts. What posting says to
Redis is said by the steward's own poster, of which only the way to Postgres is left out. The peer's
scripts get the same load: as many accounts, drawn at random; eight holds, one call each, and the
eight settlements before in one.

Counted is the CPU time of the server's main thread, on a core that stays awake and that the
clients keep off; the append-only file is on, synced each second.
"""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import redis

from bench.awake import apart
from bench.found import Count, Found, Table, together
from bench.peers.nginx import PLENTY, install, key_hash
from bench.processes import thread_cpu_s
from bench.run import Run
from gateway.stores import EmbeddedRedis, find_redis
from ledger.account_record import ACTIVE, AccountRecord, Lot, Pool, account_field
from ledger.facts import NEVER, SettleFact, WholeCapture
from ledger.ids import HoldIds
from ledger.journal import Reading
from ledger.journal_entry import FIRST_CHAIN, Entry
from ledger.keys import Keys
from ledger.lines import (
    Rate,
    hold_line,
    load_begin_args,
    load_end_args,
    open_args,
    session_args,
    settle_line,
)
from ledger.link import Link
from ledger.ports import SystemClock
from ledger.poster import Poster, whole_batch
from ledger.reasons import Reason
from ledger.records import KeyRecord, Meta
from ledger.scripts import SETTLING, Scripts
from ledger.shards import ShardRow

CLOCK = SystemClock()
EPOCH, TYPE, SHARD = 1, 1, 0
CLIENTS = 4
REQUESTS_PER_TICK = 8
REQUESTS = 16_000
"""Of one round: half a second, so that a round of each kind has the machine in the same mood."""

ACCOUNTS, LOTS, LOT_UNITS = 1_000, 3, 10_000_000
KEY_OF_ACCOUNT = 1_000_000
RATE = Rate(interval_us=1_000, burst_us=60_000_000)
"""A limit that is kept for every key, and that nobody reaches."""

WHOLE_SHARE = 0.25
"""Of metered requests; the others give something back."""

DETAIL = b'{"m":[],"ms":12}'
SAID = (
    "CPU of the server's main thread per request, on a core of its own that stays awake: hold,"
    " settlement, what posting reads and acknowledges, append-only file synced each second; beside"
    " the two scripts of nginx + Lua (hold each, settlements in eights), which give none of the"
    " guarantees."
)
WINDOW = 10**12
JOURNAL_CAP = 10**7


@dataclass
class Shop:
    """One shard in a Redis, with accounts in it, and what was done to them."""

    keys: Keys
    scripts: Scripts
    held: int = 0
    settled: int = 0
    captured: int = 0

    async def run(self, link: Link, name: str, args: list[bytes], **more: int) -> list[Any]:
        """Run a script in the shard's epoch; it must answer OK."""
        reply = await self.scripts.run(
            link, name, self.keys, EPOCH, args, clock_ms=CLOCK.now_ms(), **more
        )
        assert reply.word == "OK", reply
        return reply.answers

    async def open(self, link: Link) -> None:
        """Open the shard and load the accounts, each with a key and three lots."""
        await self.scripts.load(link)
        await self.run(link, "open", open_args(EPOCH, JOURNAL_CAP, [(TYPE, 0, WINDOW)], 0))
        for account in range(1, ACCOUNTS + 1):
            lots = tuple(Lot(account * 10 + n, 100, NEVER, LOT_UNITS) for n in range(LOTS))
            await self.run(link, "load_begin", load_begin_args(account, b"t"), account=account)
            args = load_end_args(
                EPOCH,
                account,
                b"t",
                record=AccountRecord(ACTIVE, 0, 0, (Pool(TYPE, 0, 0, lots),)),
                keys=[(KEY_OF_ACCOUNT + account, KeyRecord(ACTIVE, account, 3))],
                holds=[],
                controls=[],
            )
            await self.run(link, "load_end", args, account=account)


class Client:
    """A worker's connection: a session, and the holds that its next tick settles."""

    def __init__(self, shop: Shop, link: Link, session: int) -> None:
        self._shop = shop
        self._link = link
        self._session = session
        self._ids = HoldIds(CLOCK)
        self._chance = random.Random(session)
        self._open: list[tuple[bytes, int]] = []

    async def work(self, ticks: int, *, metered: bool) -> None:
        """Tick so often, and settle what is left."""
        await self._shop.run(self._link, "session", session_args(self._session))
        for _ in range(ticks):
            await self._tick(REQUESTS_PER_TICK, metered=metered)
        await self._tick(0, metered=metered)

    async def _tick(self, holds: int, *, metered: bool) -> None:
        settles = [self._settle(*one, metered=metered) for one in self._open]
        self._open = [
            (self._ids.mint(self._session), self._chance.randint(2, 50)) for _ in range(holds)
        ]
        lines = [*settles, *(self._hold(*one) for one in self._open)]
        answers = await self._shop.run(
            self._link, "tick" if holds else SETTLING, lines, session=self._session
        )
        done = [isinstance(answer, int) for answer in answers]  # held, or captured so much
        self._shop.settled += sum(done[: len(settles)])
        self._shop.held += sum(done[len(settles) :])

    def _hold(self, hold_id: bytes, price: int) -> bytes:
        account = self._chance.randint(1, ACCOUNTS)
        return hold_line(
            hold_id,
            account=account,
            key=KEY_OF_ACCOUNT + account,
            credit_type=TYPE,
            ceiling=price,
            version=1,
            rule=0,
            deadline_ms=CLOCK.now_ms() + 60_000,
            rate=RATE,
        )

    def _settle(self, hold_id: bytes, price: int, *, metered: bool) -> bytes:
        whole = not metered or self._chance.random() < WHOLE_SHARE
        amount = price if whole else self._chance.randint(1, price - 1)
        self._shop.captured += amount
        return settle_line(hold_id, amount, Reason.DELIVERED, 200, DETAIL)


@dataclass
class Acknowledged:
    """How much posting told Redis at once."""

    facts: int = 0
    calls: int = 0

    @property
    def per_call(self) -> float:
        """In the mean."""
        return self.facts / max(self.calls, 1)


class PosterWithoutPostgres(Poster):
    """The steward's poster: all that it asks of Redis and tells it is its own."""

    def __init__(self, shop: Shop, link: Link, acknowledged: Acknowledged) -> None:
        reading = Reading(lambda: _given(link))
        shard = ShardOfPoster(shop, link)
        super().__init__(None, shard, reading, None, CLOCK)  # type: ignore[arg-type]
        self._acknowledged = acknowledged

    async def _look(self) -> ShardRow:
        self._row = self._row or ShardRow(SHARD, EPOCH, "", 0, FIRST_CHAIN, (), 0)
        return self._row

    async def _post(self, _link: Link, row: ShardRow, tail: list[Entry]) -> int:
        batch = whole_batch(tail)
        facts = [fact for entry in batch for fact in entry.facts]
        ended = [fact.hold_id for fact in facts if isinstance(fact, SettleFact | WholeCapture)]
        self._closed += ended
        self._row = replace(row, last_q=batch[-1].last_q, last_chain=batch[-1].chain)
        self.behind = max(self.behind - len(facts), 0)
        self._acknowledged.facts += len(facts)
        self._acknowledged.calls += 1
        return len(facts)


class ShardOfPoster:
    """What the poster asks of a shard: its keys, and the script that acknowledges."""

    number = SHARD

    def __init__(self, shop: Shop, link: Link) -> None:
        self.keys = shop.keys
        self._shop = shop
        self._link = link

    async def run(self, name: str, args: list[bytes]) -> list[bytes]:
        return await self._shop.run(self._link, name, args)


async def redis_cpu(run: Run) -> Found:
    """Run prototype, fixed price and metered in turns; figures are those of an installed server."""
    rounds = 4 if run.quick else 25
    found = []
    for number, program in enumerate(_programs()):
        server = EmbeddedRedis(run.folder / f"redis-cpu{number}", program=program)
        await asyncio.to_thread(server.start)
        try:
            run.say(_named(server))
            with apart(server.pid):
                found.append(await _compare(server, rounds))
        finally:
            await asyncio.to_thread(server.stop)
    figures = found[0]
    for other in found[1:]:
        figures.tables += other.tables
        figures.counts = together([*figures.counts, *other.counts])
    return figures


def _programs() -> list[Path]:
    """Return the server that this machine has installed, and the one that comes with us."""
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    brought = find_redis()
    return [brought] if installed is None else list(dict.fromkeys([Path(installed), brought]))


def _named(server: EmbeddedRedis) -> str:
    """Name a server and its allocator: making strings is much of what a script costs."""
    with redis.Redis.from_url(server.url) as client:
        info = client.info()
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else None
    return f"{name or 'Redis ' + info['redis_version']}, {info['mem_allocator']}"


class Round(NamedTuple):
    """CPU microseconds per request, and what was counted."""

    us: float
    counts: list[Count]


async def _compare(server: EmbeddedRedis, rounds: int) -> Found:
    acknowledged = Acknowledged()
    kinds: dict[str, Callable[[int], Awaitable[Round]]] = {
        "two scripts": lambda _: _two_scripts(server, REQUESTS),
        "fixed price": lambda n: _protocol(server, f"fixed{n}", REQUESTS, acknowledged),
        "metered": lambda n: _protocol(server, f"metered{n}", REQUESTS, acknowledged, metered=True),
    }
    us: dict[str, list[float]] = {kind: [] for kind in kinds}
    counts: list[Count] = []
    for number in range(rounds):
        for kind, work in kinds.items():
            found = await work(number)
            us[kind].append(found.us)
            counts += [count._replace(what=f"{kind}, {count.what}") for count in found.counts]
    each = {kind: median(rounds_us) for kind, rounds_us in us.items()}
    ratios = {
        kind: median(
            ours / theirs for ours, theirs in zip(rounds_us, us["two scripts"], strict=True)
        )
        for kind, rounds_us in us.items()
    }
    heads = ("what", "CPU µs/request", "rounds", "of the two scripts")
    table = Table(f"Redis: {_named(server)}", heads)
    for kind, rounds_us in us.items():
        shown = f"{min(rounds_us):.1f} to {max(rounds_us):.1f}"
        table.lines.append((kind, f"{each[kind]:.1f}", shown, f"{ratios[kind]:.2f} x"))
    return Found(
        said=SAID,
        tables=[table],
        figures={
            "redis fixed": each["fixed price"],
            "redis metered": each["metered"],
            "redis fixed ratio": ratios["fixed price"],
            "redis metered ratio": ratios["metered"],
        },
        counts=together(counts),
        notes=[
            f"{2 * REQUESTS_PER_TICK} lines per tick",
            f"one acknowledgement for {acknowledged.per_call:.0f} facts in the mean",
        ],
    )


async def _protocol(
    server: EmbeddedRedis,
    namespace: str,
    requests: int,
    acknowledged: "Acknowledged",
    *,
    metered: bool = False,
) -> Round:
    shop = Shop(Keys(namespace), Scripts())
    links = [await Link.connect(server.url, clock=CLOCK) for _ in range(CLIENTS + 1)]
    try:
        await shop.open(links[-1])
        before = thread_cpu_s(server.pid)
        poster = PosterWithoutPostgres(shop, links[-1], acknowledged)
        posting = asyncio.create_task(poster.run())
        ticks = requests // CLIENTS // REQUESTS_PER_TICK
        clients = [Client(shop, link, n) for n, link in enumerate(links[:-1], 1)]
        await asyncio.gather(*(client.work(ticks, metered=metered) for client in clients))
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        while await poster.step():
            pass  # what is left
        us = (thread_cpu_s(server.pid) - before) / requests * 1e6
        return Round(us, _counted(server, shop, requests))
    finally:
        for link in links:
            link.close()


async def _given(link: Link) -> Link:
    return link


def _counted(server: EmbeddedRedis, shop: Shop, requests: int) -> list[Count]:
    """Compare what Redis shows with what was done, and clear it away."""
    with redis.Redis.from_url(server.url) as client:
        meta = Meta.unpack(client.get(shop.keys.meta))
        fields = [account_field(account) for account in range(1, ACCOUNTS + 1)]
        records = client.hmget(shop.keys.balances(EPOCH), fields)
        left = sum(AccountRecord.unpack(raw).pools[0].balance for raw in records)
        marks = client.hlen(shop.keys.holds(EPOCH))
        client.unlink(*shop.keys.of(EPOCH))
    [totals] = meta.types
    return [
        Count("requests held", requests, shop.held),
        Count("requests settled", requests, shop.settled),
        Count("units spent", shop.captured, ACCOUNTS * LOTS * LOT_UNITS - left),
        Count("units held and not yet posted as returned", 0, totals.held - totals.posted),
        Count("holds open or not yet forgotten", 0, meta.open_holds + marks),
    ]


async def _two_scripts(server: EmbeddedRedis, requests: int) -> Round:
    links = [await Link.connect(server.url, clock=CLOCK) for _ in range(CLIENTS)]
    with redis.Redis.from_url(server.url) as client:
        try:
            scripts = install(client, *_NAMED)
            calls = requests // CLIENTS // REQUESTS_PER_TICK
            before = thread_cpu_s(server.pid)
            work = [
                _hold_and_settle(link, scripts, calls, f"{number}-")
                for number, link in enumerate(links)
            ]
            await asyncio.gather(*work)
            us = (thread_cpu_s(server.pid) - before) / requests * 1e6
            spent = sum(PLENTY - int(left) for left in client.hmget("{b}balances", _NAMED))
            left = client.hlen("{b}holds")
        finally:
            for link in links:
                link.close()
    return Round(us, [Count("units spent", requests, spent), Count("holds open", 0, left)])


async def _hold_and_settle(link: Link, scripts: tuple[str, str], calls: int, prefix: str) -> None:
    hold, settle = scripts
    chance = random.Random(prefix)
    waiting: list[str] = []
    for number in range(calls + 1):
        sent = []
        if waiting:
            pairs = [word for one in waiting for word in (one, "1")]
            sent.append(link.send("EVALSHA", settle, 3, *_NAMES[1:], *pairs))
        waiting = []
        if number < calls:
            waiting = [f"{prefix}{number}-{n}" for n in range(REQUESTS_PER_TICK)]
        sent += [
            link.send("EVALSHA", hold, 4, *_NAMES, chance.choice(_KEYS), one, "1")
            for one in waiting
        ]
        await asyncio.gather(*sent)


_NAMES = ("{b}keys", "{b}balances", "{b}holds", "{b}journal")
_NAMED = [f"two{number}" for number in range(ACCOUNTS)]
_KEYS = [key_hash(name) for name in _NAMED]
