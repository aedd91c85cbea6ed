"""
One simulated shop: gateways, stewards, a till, two stores, and what goes wrong with them.

The gateways and stewards are the product's own `Ledger`. The world knows what was served, which
is what `checks.py` judges by, and tells its story when asked.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeAlias
from zlib import crc32

from ledger import charges, controls
from ledger.asks import Answer
from ledger.books import ChargeState
from ledger.database import Database
from ledger.election import Election
from ledger.errors import LedgerError, LedgerUnavailable, Refused
from ledger.facts import NEVER
from ledger.hold_order import HoldOrder
from ledger.holds import Asked
from ledger.keys import Keys
from ledger.ledger import Ledger, LedgerOptions
from ledger.limits import ALL_ROUTES, Limit, limits_block, window_id
from ledger.outage import OUTAGE
from ledger.quick_hold import QuickHold
from ledger.reasons import Reason
from ledger.records import Meta
from ledger.scripts import SETTLING, Scripts
from ledger.steward import Steward
from tests.simulation import audit_statements
from tests.simulation.loop import START_S, PlayedClock, PlayedLoop, Process, current_process
from tests.simulation.postgres import Postgres
from tests.simulation.servers import Network, Routes, Server
from tests.simulation.statements import STATEMENTS, tables
from tests.simulation.store import Store

CREDITS = 1
ROAD = b"road"
QUOTA, ALLOWANCE = window_id("Q", "month"), window_id("A", "day")
ROUTES = ("search", "query")
LIMITED_TO = ((), ("search",), (), ("query",), ("search", "query"), (), ("query", "gone"))
"""To which routes a grant is limited, by its amount; nothing: to none."""

LIMITS = limits_block(
    [
        Limit("e", ALL_ROUTES, b"F...", "F", 30),
        Limit("a", ALL_ROUTES, QUOTA, "Q", 1_000),
        Limit("k", ROAD, ALLOWANCE, "A", 2),
    ]
)
PAID = (ChargeState.CAPTURED, ChargeState.LATE)
OPTIONS = LedgerOptions(postgres_url="", redis_url="redis://played")
KEYS = Keys(OPTIONS.namespace, OPTIONS.shard)
JOBS = (
    "posting",
    "control push",
    "due grants",
    "overdue holds",
    "due lots",
    "windows",
    "old epochs",
    "tidying",
    "reconciliation",
    "audit of batches",
)
"""Of the steward; the others look after tables that have no part in this."""

OFTEN_S = 2.0
"""Between two audits, which take their minute elsewhere: a world lasts seconds."""

RETRY_S = 0.2


@dataclass
class Plan:
    """What one seed is about."""

    gateways: int
    stewards: int
    accounts: int
    window: int
    lifetime_ms: int
    chaos_s: float
    requests_per_s: float
    faults_per_s: float
    bad_weather: bool

    @classmethod
    def drawn(cls, chance: random.Random) -> "Plan":
        return cls(
            gateways=chance.choice((2, 2, 3)),
            stewards=chance.choice((1, 1, 2)),
            accounts=chance.choice((1, 2, 3)),
            window=chance.choice((40, 100, 300, 1_000)),
            lifetime_ms=chance.choice((1_500, 3_000, 8_000)),
            chaos_s=chance.uniform(4, 12),
            requests_per_s=chance.choice((10, 20, 40)),
            faults_per_s=chance.choice((0.4, 1, 2.5)),
            bad_weather=chance.random() < 0.4,
        )


@dataclass
class Served:
    """Work that an upstream did, and what is known of the gateway it did it for."""

    account: int
    gateway: "Member"
    cost: int
    fate: str = "open"
    """At the end: open while the gateway lives, else confirmed, kept, or in flight when it died."""
    booked_in: int = 0


@dataclass
class Setback:
    """
    Postgres lost these endings, up to fact `last_q` of an epoch whose journal may tell them again.

    final: It cannot: Postgres lost the epoch too, or Redis lost the journal before it was read.
    """

    epoch: int
    last_q: int
    endings: set[bytes]
    final: bool


@dataclass(eq=False)
class Member:
    """A gateway or a steward: a process with a ledger of its own."""

    kind: str
    process: Process
    clock: PlayedClock
    ledger: Ledger | None = None
    requests: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def busy(self) -> bool:
        if any(not request.done() for request in self.requests) or self.ledger is None:
            return True
        return bool(self.ledger.settler.unsettled or self.ledger.settler.unconfirmed)


Work: TypeAlias = Callable[["World", Member], Coroutine[Any, Any, None]]


class Post:
    """Stands for the election, which only saves work: all who want to be steward are."""

    def __init__(self, clock: PlayedClock) -> None:
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def still_elected(self) -> bool:
        return True


class World:
    """Everything of one run."""

    def __init__(self, seed: int, scripts: Scripts, *, tell: bool = False) -> None:
        self.seed = seed
        self.chance = random.Random(f"{seed} faults")
        self.plan = Plan.drawn(random.Random(f"{seed} plan"))
        self.loop = PlayedLoop()
        self.scripts = scripts
        self.story: list[str] | None = [] if tell else None
        self.findings: list[str] = []
        self.stats: Counter[str] = Counter()
        self.divergences: Counter[int] = Counter()
        self.served: dict[bytes, Served] = {}
        self.held: dict[bytes, str] = {}
        self.limited: set[bytes] = set()
        self.quick: set[bytes] = set()
        """Holds that a quota counted."""
        self.members: list[Member] = []
        self.dead: list[Member] = []
        self.grants: list[tuple[int, int]] = []
        self.sold: dict[str, tuple[int, int]] = {}
        self.orders: dict[str, tuple[int, Callable[[Any], Any]]] = {}
        self.setbacks: list[Setback] = []
        self.poisoned = self.corrupted = False
        self.under_way = 0
        self.healed = False
        self.names: Counter[str] = Counter()
        self.digest = 0
        self.network = Network(self.loop, random.Random(f"{seed} network"))
        self.postgres = Postgres(
            self.loop, random.Random(f"{seed} postgres"), STATEMENTS, tables(), self.wrong
        )
        self.routes = Routes(self.network, self.new_server(Store()))
        self.till = Process("till")
        self._furnish()

    @property
    def master(self) -> Server:
        return self.routes.master

    def say(self, text: str, who: str | None = None) -> None:
        """Tell what happens, if anybody listens."""
        if self.story is not None:
            process = current_process()
            name = who or (process.name if process else "world")
            self.story.append(f"{self.loop.time():9.4f}  {name:<10} {text}")

    def wrong(self, what: str) -> None:
        """Note that an invariant does not hold."""
        self.findings.append(what)
        self.say(f"WRONG: {what}")

    def new_server(self, store: Store) -> Server:
        self.names["redis"] += 1
        server = Server(f"redis{self.names['redis']}", self.loop, self.scripts, self.chance, store)
        server.watch = self._watch
        server.meta_key = KEYS.meta.encode()
        return server

    def join(self, kind: str, work: Work | None = None) -> Member:
        """Start a gateway, a steward, or somebody whose work is given."""
        self.names[kind] += 1
        process = Process(f"{kind}{self.names[kind]}")
        member = Member(kind, process, PlayedClock(self.loop))
        self.members.append(member)
        if work is None:
            work = World._serve if kind == "gateway" else World._keep
        self.loop.spawn(process, work(self, member))
        return member

    def kill(self, member: Member) -> None:
        """SIGKILL: nothing of it runs any more; what it had sent may still arrive."""
        member.process.dead = True
        self.members.remove(member)
        self.dead.append(member)
        self.say(f"is killed {self._last_words(member)}", member.name)
        for server in [self.master, *self.routes.stale.values()]:
            for wire in [wire for wire in server.wires if wire.process is member.process]:
                wire.cut("its process died")
        self.loop.later(self.loop.time() + 0.001, self.postgres.hang_up, member.process)

    def went_back(self, commits: int, *, sequences: bool) -> None:
        """Let Postgres lose its last commits, and the till ask again for what is not there."""
        before, ended = self.postgres.tables["shards"][0], self._ended()
        lost = self.postgres.fail_over(commits, sequences=sequences)
        after = self.postgres.tables["shards"][0]
        same = before["epoch"] == after["epoch"]
        final = not same or self.divergences[after["epoch"]] > 0
        self.setbacks.append(
            Setback(after["epoch"], before["last_q"], ended - self._ended(), final)
        )
        if not same:
            self.gives_up(before["epoch"])
        self.poisoned = True
        self.say(
            f"loses {lost} commits: from fact {before['epoch']}-{before['last_q']} to "
            f"{after['epoch']}-{after['last_q']}",
            "postgres",
        )
        asked = {source_id for _, source_id in self.postgres.tables["control_requests"]}
        for source_id in [name for name in self.sold if name not in asked]:
            account, order = self.orders[source_id]
            granted = self.sold[source_id]
            self.loop.spawn(self.till, self._order(account, order, source_id, granted, 1.0))

    def gives_up(self, last: int = 0) -> None:
        """
        Note that nothing of the epochs from Postgres' own on will be read any more.

        Args:
            last: The last of them, if it is later than the one Redis is in.

        """
        meta, first = self.master.meta(), self.postgres.tables["shards"][0]["epoch"]
        for lost in range(first, max(first, last, 0 if meta is None else meta.epoch) + 1):
            self.diverges(lost)

    def diverges(self, epoch: int) -> None:
        """Note that what this epoch booked from some point on may have no future."""
        self.divergences[epoch] += 1
        shard = self.postgres.tables["shards"][0]
        for setback in self.setbacks:
            if setback.epoch == epoch == shard["epoch"] and shard["last_q"] < setback.last_q:
                setback.final = True

    def next_name(self, kind: str) -> str:
        """Return a name that was not used yet."""
        self.names[kind] += 1
        return f"{kind}{self.names[kind]}"

    def _ended(self) -> set[bytes]:
        rows = self.postgres.tables["charges"]
        return {hold for hold in self.served if hold in rows and rows[hold]["state"] in PAID}

    def some(self, kind: str) -> Member | None:
        """One of those that run, by chance."""
        members = [member for member in self.members if member.kind == kind and member.ledger]
        return self.chance.choice(members) if members else None

    def alive(self, kind: str) -> list[Member]:
        return [member for member in self.members if member.kind == kind]

    def request(self) -> None:
        """Let a client ask one of the gateways for something."""
        gateway = self.some("gateway")
        if gateway is None or gateway.process.paused:
            return
        account = self.chance.randint(1, self.plan.accounts)
        ceiling = self.chance.randint(1, 12)
        cost = self.chance.choice((0, ceiling, ceiling, self.chance.randint(1, ceiling)))
        long = self.chance.choice((0.005, 0.05, 0.3, 1.5))
        task = self.loop.spawn(
            gateway.process,
            self._request(gateway, account, ceiling, cost, self.chance.random() * long),
        )
        gateway.requests.append(task)
        if self.chance.random() < 0.1:
            self.loop.later(self.loop.time() + self.chance.random() * 0.2, self._hang_up, task)

    def sell(self) -> None:
        """Let the till order something: a grant, a clawback, a refund, a freeze, a plan."""
        self.names["sale"] += 1
        source_id = f"sale{self.names['sale']}"
        account = self.chance.randint(1, self.plan.accounts)
        kind = self.chance.choice(
            ("grant",) * 6 + ("claw", "claw", "refund", "refund", "freeze", "plan")
        )
        order: Callable[[Any], Any]
        granted = (account, 0)
        if kind == "grant":
            amount = self.chance.randint(5, 60)
            granted = (account, amount)
            order = self._add(account, self._new_grant(amount), source_id)
        elif kind == "claw":
            grant = self.chance.choice([(account, 0), *self.grants])
            claw = controls.Clawback(CREDITS, self.chance.randint(1, 40), grant[1])
            order = self._add(grant[0], claw, source_id)
            account = grant[0]
        elif kind == "freeze":
            order = self._add(account, controls.Freeze(frozen=True), source_id)
            thaw = self._add(account, controls.Freeze(frozen=False), f"{source_id}-end")
            self.loop.spawn(self.till, self._order(account, thaw, f"{source_id}-end", granted, 0.8))
        elif kind == "plan":
            order = self._add(account, controls.PlanPut(self.chance.randint(0, 2)), source_id)
        else:
            captured = [
                row["id"] for row in self.postgres.tables["charges"].values() if row["captured"]
            ]
            if not captured:
                return
            hold = self.chance.choice(captured)
            account = self.postgres.tables["charges"][hold]["account_id"]

            async def order(connection: Any) -> Any:
                return await charges.refund(
                    connection, hold, amount=None, reference="again", actor="till"
                )

            source_id = f"{hold.hex()}:again"
        self.loop.spawn(self.till, self._order(account, order, source_id, granted))

    def _furnish(self) -> None:
        """Credit type, price, accounts with a key and some credits, in Postgres."""
        rows = self.postgres.tables
        rows["credit_types"][CREDITS] = {"id": CREDITS, "window_units": self.plan.window}
        for rule, route in enumerate(ROUTES):
            rows["price_rules"][1, rule] = {"version": 1, "rule": rule, "route": route}
        for number in range(1, self.plan.accounts + 1):
            rows["accounts"][number] = {
                "id": number, "external_id": "abc"[number - 1], "name": "", "email": "", "plan": "",
                "shard": 0, "status": 1, "aseq": 0, "cseq_head": 0, "cseq_applied": 0,
                "created_at": audit_statements.MADE_AT, "updated_at": audit_statements.MADE_AT,
            }  # fmt: skip
            rows["api_keys"][number] = {
                "id": number, "account_id": number, "scopes": 3, "status": 1, "expires_ms": NEVER,
            }  # fmt: skip
            first = controls.Grant(CREDITS, self.chance.choice((20, 200, 1_000)))
            add, granted = self._add(number, first, f"first{number}"), (number, first.amount)
            self.loop.spawn(self.till, self._order(number, add, f"first{number}", granted))

    async def _serve(self, member: Member) -> None:
        member.ledger = self.new_ledger(member)
        member.ledger.settler.start()

    async def _keep(self, member: Member) -> None:
        member.ledger = self.new_ledger(member)
        member.ledger.settler.start()
        election: Election = Post(member.clock)  # type: ignore[assignment]
        steward = member.ledger.steward()
        steward._election = election
        steward._jobs = tuple(
            replace(job, every_s=min(job.every_s, OFTEN_S)) if job.name in JOBS[-2:] else job
            for job in steward._jobs
            if job.name in JOBS
        )
        await Steward.run(steward)

    def new_ledger(self, member: Member) -> Ledger:
        """Build a ledger for a process."""
        chance = random.Random(f"{self.seed} {member.name}")
        return Ledger(OPTIONS, Database(self.postgres), member.clock, chance)

    async def _request(
        self, gateway: Member, account: int, ceiling: int, cost: int, long_s: float
    ) -> None:
        assert gateway.ledger is not None
        rule = int(ceiling % 3 == 0)
        order = HoldOrder(
            account,
            account,
            CREDITS,
            ceiling,
            1,
            rule,
            lifetime_ms=self.plan.lifetime_ms,
            limits=LIMITS if cost % 2 else b"",
            route=ROUTES[rule],
        )
        self.stats["requests"] += 1
        asked = None
        if cost % 3 == 1:
            asked = self._ask_quickly(gateway, order)
            quickly = asked is not None and cost % 2
            if quickly and await self._quick(gateway, asked, min(cost, ceiling), long_s):
                return
        try:
            async with gateway.ledger.holds.hold(order, asked) as held:
                self.held[held.id] = gateway.name
                if order.limits:
                    self.limited.add(held.id)
                self.say(f"holds {ceiling} of account {account}: {self.short(held.id)}")
                await asyncio.sleep(long_s)
                if not cost:
                    held.void(Reason.STATUS, 500)
                    return
                self.served[held.id] = Served(account, gateway, min(cost, held.ceiling))
                self.stats["served"] += 1
                try:
                    await asyncio.sleep(0.002)
                except asyncio.CancelledError:
                    held.capture(cost, Reason.CLIENT_GONE, 200)
                    raise
                self.say(f"captures {cost} of {self.short(held.id)}")
                held.capture(cost, Reason.DELIVERED, 200)
        except (Refused, LedgerUnavailable) as refused:
            self.stats[type(refused).__name__] += 1
            self.say(f"refuses {ceiling} of account {account}: {refused}")

    def _ask_quickly(self, gateway: Member, order: HoldOrder) -> Asked | None:
        """As the gateway's fast path does: asked in one step, and perhaps left to the usual way."""
        assert gateway.ledger is not None
        quick, now_us = QuickHold(order), gateway.clock.now_us()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        hold_id = gateway.ledger.quick_holds.ask(quick, answer, now_us)
        if hold_id is None:
            return None
        self.stats["asked quickly"] += 1
        epoch, deadline_ms = gateway.ledger.quick_holds.epoch, now_us // 1000 + order.lifetime_ms
        return Asked(order, hold_id, deadline_ms, epoch, quick.known, answer)

    async def _quick(self, gateway: Member, asked: Asked, cost: int, long_s: float) -> bool:
        """Serve by a quick hold; False where its answer is for the usual way to deal with."""
        assert gateway.ledger is not None
        try:
            answer = await asyncio.shield(asked.answer)
        except LedgerUnavailable:
            return False
        except asyncio.CancelledError:
            gateway.ledger.quick_holds.give_back(asked.order, asked.hold_id, asked.epoch)
            raise
        if answer.words[0] != b"HELD":
            return False
        hold_id, account = asked.hold_id, asked.order.account
        self.held[hold_id] = gateway.name
        if asked.order.limits:
            self.limited.add(hold_id)
        self.quick.add(hold_id)
        self.say(f"holds {asked.order.ceiling} of account {account} quickly: {self.short(hold_id)}")
        reason = Reason.DELIVERED
        self.served[hold_id] = Served(account, gateway, cost)
        self.stats["served"] += 1
        try:
            await asyncio.sleep(long_s)
        except asyncio.CancelledError:
            reason = Reason.CLIENT_GONE
        self.say(f"captures {cost} of {self.short(hold_id)}")
        self.quick.discard(hold_id)
        gateway.ledger.quick_holds.settle(
            asked.order, hold_id, answer, captured=cost, reason=reason, status=200
        )
        return True

    def _hang_up(self, request: asyncio.Task[None]) -> None:
        request.cancel()

    def _new_grant(self, amount: int) -> controls.Grant:
        now = datetime.fromtimestamp(START_S + self.loop.time(), UTC)
        ends = self.chance.choice((None, None, self.chance.uniform(1, 6)))
        begins = self.chance.choice((None, None, None, self.chance.uniform(0.2, 3)))
        return controls.Grant(
            CREDITS,
            amount,
            kind=self.chance.choice(("purchase", "promotion")),
            priority=self.chance.choice((10, 100)),
            effective_at=None if begins is None else now + timedelta(seconds=begins),
            expires_at=None
            if ends is None
            else now + timedelta(milliseconds=int(1_000 * (ends + (begins or 0)))),
            routes=LIMITED_TO[amount % len(LIMITED_TO)],
        )

    def _add(self, account: int, control: controls.Control, source_id: str) -> Callable[[Any], Any]:
        async def add(connection: Any) -> Any:
            added = await controls.add(connection, account, control, "till", source_id, "till")
            if isinstance(control, controls.Grant) and not added.repeated:
                self.grants.append((account, added.object_id))
            return added

        return add

    async def _order(
        self,
        account: int,
        order: Callable[[Any], Any],
        source_id: str,
        granted: tuple[int, int],
        delay_s: float = 0.0,
    ) -> None:
        """As whoever takes payments does: again until it is known to be done, and once more."""
        self.under_way += 1
        try:
            await asyncio.sleep(delay_s)
            for again in range(self.chance.choice((1, 1, 2))):
                if again:
                    await asyncio.sleep(self.chance.random() * 2)
                await self._order_once(order, source_id, granted)
            gateway = self.some("gateway")
            if gateway is not None and gateway.ledger and self.chance.random() < 0.5:
                self.loop.spawn(gateway.process, self._push(gateway.ledger, account))
        finally:
            self.under_way -= 1

    async def _order_once(
        self, order: Callable[[Any], Any], source_id: str, granted: tuple[int, int]
    ) -> None:
        database = Database(self.postgres)
        while True:
            try:
                async with database.transaction() as connection:
                    done = await order(connection)
                self.sold[source_id] = granted
                self.orders[source_id] = (granted[0], order)
                self.say(f"{source_id}: {done}")
                return
            except Refused as refused:
                self.say(f"{source_id}: refused, {refused}")
                self.sold.pop(source_id, None)  # too late to ask again for what Postgres lost
                return
            except OUTAGE:
                await asyncio.sleep(RETRY_S)

    async def _push(self, ledger: Ledger, account: int) -> None:
        try:
            await ledger.pusher.push(account)
        except LedgerError as error:
            self.say(f"cannot push: {error}")

    def _last_words(self, member: Member) -> str:
        """What the dying process knew decides what may be lost."""
        if member.kind != "gateway" or member.ledger is None:
            return ""
        settler, fates = member.ledger.settler, Counter[str]()
        kept = {settlement.hold_id: settlement for settlement in settler._kept}
        for hold, served in self.served.items():
            if served.gateway is not member:
                continue
            if hold in kept:
                served.fate, served.booked_in = "kept", kept[hold].booked_in
            elif (
                hold in settler._asked
                or hold in settler._waiting
                or hold in member.ledger.holds._open
                or hold in self.quick
            ):
                served.fate = "in flight"
            else:
                served.fate = "confirmed"
            fates[served.fate] += 1
        return ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))

    def _watch(
        self, server: Server, script: str, args: list[bytes], reply: Any, before: bytes | None
    ) -> None:
        """See what every script did; the window is an invariant of each of them."""
        self.stats["scripts"] += 1
        words = b" ".join(part if isinstance(part, bytes) else b"%d" % part for part in reply)
        self.digest = crc32(b"%.6f %s" % (self.loop.time(), words), self.digest)
        if script in ("tick", SETTLING):
            self._window(server, before)
        if self.story is None:
            return
        lines = [self._told(line) for line in args[1:]] if "tick" in script else []
        self.say(f"{script} {'; '.join(lines)} -> {words.decode('latin-1')}", server.name)

    def _window(self, server: Server, before: bytes | None) -> None:
        after = server.store.data.get(server.meta_key)
        if after == before or before is None or not isinstance(after, bytes):
            return
        for new, old in zip(Meta.unpack(after).types, Meta.unpack(before).types, strict=True):
            used = new.held - new.posted
            if used > new.window and used > old.held - old.posted:
                self.wrong(f"{used} are held and not posted, with a window of {new.window}")
            if not 0 <= new.posted <= new.returned <= new.held:
                self.wrong(f"more came back than was held: {new}")

    def _told(self, line: bytes) -> str:
        kind = line[:1].decode()
        if kind == "S":
            return f"settle {self.short(line[9:21])} {int.from_bytes(line[3:9], 'little')}"
        if kind in "HK":
            return f"{'hold' if kind == 'H' else kind} {self.short(line[3:15])}"
        hold = self.short(line[1:13])
        if kind == "L":
            return f"late {hold} {int.from_bytes(line[28:34], 'little')}"
        return f"{'renew' if kind == 'R' else kind} {hold}"

    def short(self, hold: bytes) -> str:
        """A hold's name in the story: microseconds since the beginning, and the session."""
        return (
            f"{int.from_bytes(hold[:8], 'big') - START_S * 1_000_000}/"
            f"{int.from_bytes(hold[8:], 'big')}"
        )


def state_of(row: dict[str, Any] | None) -> ChargeState | None:
    return None if row is None else ChargeState(row["state"])
