"""The ledger's parts on real stores, put together by hand so that a test can swap one."""

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from ledger import accounts, api_keys, controls, credit_types, grants
from ledger.asks import Answer
from ledger.database import Database
from ledger.fence import Fence
from ledger.ids import HoldIds
from ledger.journal import Reading, read_meta
from ledger.keys import Keys
from ledger.lines import dials_args, hold_line, settle_line
from ledger.link import Link
from ledger.loader import Loader
from ledger.ports import Clock, SystemClock
from ledger.poster import Poster
from ledger.pusher import Pusher
from ledger.records import Meta
from ledger.scripts import Scripts
from ledger.shard import Shard
from ledger.shards import JOURNAL_CAP, ShardRow, read
from ledger.snapshot import read_snapshot
from ledger.sweeper import Sweeper

MINUTE_MS = 60_000
WINDOW = 1_000_000


@dataclass
class Parts:
    """One process' parts; several of them on the same stores are several processes."""

    database: Database
    redis_url: str
    namespace: str
    clock: Clock = field(default_factory=SystemClock)
    fence_class: type[Fence] = Fence
    loader_chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.keys = Keys(self.namespace, 0)
        self.scripts = Scripts()
        self.fence = self.new_fence()
        self.shard = Shard(0, self.keys, self.connect, self.fence, self.clock)
        self.loader = Loader(
            self.shard, partial(read_snapshot, self.database), self.clock, self.loader_chance
        )
        self.reading = Reading(self.connect)
        self.pusher = Pusher(self.database, self.shard, self.loader, self.reading, self.clock)
        self.poster = Poster(self.database, self.shard, self.reading, self.new_fence(), self.clock)
        self.sweeper = Sweeper(self.database, self.shard, self.loader, self.reading, self.clock)
        self.ids = HoldIds(self.clock)

    def new_fence(self) -> Fence:
        return self.fence_class(self.database, self.keys, self.scripts, self.clock)

    async def connect(self) -> Link:
        return await Link.connect(self.redis_url, clock=self.clock)

    async def row(self) -> ShardRow:
        async with self.database.connection() as connection:
            return await read(connection, 0)

    async def meta(self) -> Meta | None:
        return await read_meta(await self.reading.link(), self.keys)

    async def post_all(self) -> None:
        """Post until Postgres is where Redis is."""
        while await self.poster.step() or self.poster.behind:
            pass

    async def customer(self, units: int = 100) -> "Customer":
        """An account with a key and, if any, this many units; loaded."""
        async with self.database.connection() as connection:
            credit_type = (await credit_types.register(connection, {"credits": 0}))["credits"]
            account = await accounts.create(connection, actor="test")
            key = await api_keys.create(
                connection, account.id, actor="test", random_bytes=secrets.token_bytes
            )
        customer = Customer(self, account.id, key.key.id, credit_type)
        if units:
            await customer.grant(units)
        assert await self.pusher.push(account.id) == "applied"
        await self.shard.run("dials", dials_args(JOURNAL_CAP, [(credit_type, WINDOW)]))
        return customer

    async def close(self) -> None:
        await self.loader.aclose()
        await self.shard.aclose()
        self.reading.close()


@dataclass
class Customer:
    parts: Parts
    account: int
    key: int
    credit_type: int

    def seen_by(self, parts: Parts) -> "Customer":
        """The same customer, served by another process."""
        return Customer(parts, self.account, self.key, self.credit_type)

    async def grant(self, units: int, **more: object) -> int:
        """Order a grant; return its number. It is not pushed."""
        grant = controls.Grant(self.credit_type, units, **more)  # type: ignore[arg-type]
        async with self.parts.database.connection() as connection:
            added = await grants.give(connection, self.account, grant, actor="test", reference=None)
        return added.object_id

    async def hold(
        self, units: int, lifetime_ms: int = MINUTE_MS, reaches: bytes = b""
    ) -> tuple[bytes, Answer]:
        """Ask for a hold; load the account or take a new session's id where need be."""
        for _ in range(3):
            standing = await self.parts.shard.ready()
            hold = self.parts.ids.mint(standing.session)
            answer = await self.parts.shard.hold(self.line(hold, units, lifetime_ms, reaches))
            if answer.words[0] == b"NOACCOUNT":
                await self.parts.loader.load(self.account)
            elif answer.words[0] != b"NEWID":
                break
        return hold, answer

    def line(
        self, hold: bytes, units: int, lifetime_ms: int = MINUTE_MS, reaches: bytes = b""
    ) -> bytes:
        return hold_line(
            hold,
            account=self.account,
            key=self.key,
            credit_type=self.credit_type,
            ceiling=units,
            version=1,
            rule=0,
            deadline_ms=self.parts.clock.now_ms() + lifetime_ms,
            reaches=reaches,
        )

    async def held(self, units: int, lifetime_ms: int = MINUTE_MS) -> bytes:
        hold, answer = await self.hold(units, lifetime_ms)
        assert answer.words[0] == b"HELD", answer
        return hold

    async def settle(self, hold: bytes, units: int, reason: int = 1) -> list[bytes]:
        return (await self.parts.shard.settle(settle_line(hold, units, reason, 200))).words

    async def spend(self, units: int) -> None:
        assert (await self.settle(await self.held(units), units))[0] == b"DONE"

    async def balance(self) -> accounts.Balance:
        """What Postgres has."""
        async with self.parts.database.connection() as connection:
            [balance] = await accounts.balances(connection, self.account)
        return balance


@asynccontextmanager
async def opened(
    database_url: str, redis_url: str, namespace: str, fence_class: type[Fence] = Fence
) -> AsyncIterator[Parts]:
    database = await Database.connect(database_url)
    parts = Parts(database, redis_url, namespace, fence_class=fence_class)
    try:
        yield parts
    finally:
        await parts.close()
        await database.close()
