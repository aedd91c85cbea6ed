"""
A shop with traffic: what was served is written down beside the ledger, as the judge of it.

Served is what the upstream did. Afterwards collected must never be more, and less only where a
gateway died with what it knew.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ledger import accounts, api_keys, controls, credit_types, grants
from ledger.errors import InsufficientCredits, LedgerBusy, LedgerUnavailable
from ledger.hold_order import HoldOrder
from ledger.ledger import Ledger, LedgerOptions
from ledger.outage import OUTAGE
from ledger.reasons import Reason
from ledger.verify import verify

LIFETIME_MS = 5_000
QUIET_LIMIT_S = 60
WINDOW = 10_000_000


@dataclass
class Shop:
    """One account with a key, and what was served to it."""

    account: int
    key: int
    credit_type: int
    served: dict[bytes, int] = field(default_factory=dict)
    refused: int = 0
    lifetime_ms: int = LIFETIME_MS

    @property
    def served_units(self) -> int:
        return sum(self.served.values())

    def order(self, ceiling: int, lifetime_ms: int | None = None) -> HoldOrder:
        return HoldOrder(
            account=self.account,
            key=self.key,
            credit_type=self.credit_type,
            ceiling=ceiling,
            version=1,
            rule=0,
            lifetime_ms=lifetime_ms or self.lifetime_ms,
        )

    async def buy(self, ledger: Ledger, ceiling: int, cost: int, work_s: float = 0.0) -> bool:
        """One request: hold, work, capture. Whether it was served."""
        try:
            async with ledger.holds.hold(self.order(ceiling)) as held:
                await asyncio.sleep(work_s)
                self.served[held.id] = cost
                held.capture(cost, Reason.DELIVERED, status=200)
        except (InsufficientCredits, LedgerBusy, LedgerUnavailable):
            self.refused += 1
            return False
        return True

    async def keep_buying(self, ledger: Ledger, chance: random.Random) -> None:
        """Buy until cancelled; whatever is refused is tried again as another request."""
        while True:
            ceiling = chance.randint(1, 12)
            cost = ceiling if chance.random() < 0.3 else chance.randint(0, ceiling)
            if not await self.buy(ledger, ceiling, cost, chance.random() * 0.01):
                await asyncio.sleep(0.02)

    async def balance(self, ledger: Ledger) -> accounts.Balance:
        async with ledger.database.connection() as connection:
            [balance] = await accounts.balances(connection, self.account)
        return balance

    async def collected(self, ledger: Ledger) -> dict[bytes, int]:
        """What Postgres shows taken, by charge."""
        async with ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, captured + coalesce(written_off, 0) AS units FROM charges"
                " WHERE account_id = $1 AND state IN (2, 5)",
                self.account,
            )
        return {row["id"]: row["units"] for row in rows}

    async def grant(self, ledger: Ledger, units: int) -> None:
        async with ledger.database.connection() as connection:
            grant = controls.Grant(self.credit_type, units)
            await grants.give(connection, self.account, grant, actor="test", reference=None)


async def new_shop(ledger: Ledger, units: int) -> Shop:
    """Make an account with this many units; they can be spent when this returns."""
    async with ledger.database.connection() as connection:
        credit_type = (await credit_types.register(connection, {"credits": 0}))["credits"]
        account = await accounts.create(connection, actor="test")
        made = await api_keys.create(
            connection, account.id, actor="test", random_bytes=secrets.token_bytes
        )
    shop = Shop(account.id, made.key.id, credit_type)
    await ledger.windows.choose({credit_type: WINDOW})
    if units:
        await shop.grant(ledger, units)
    assert await ledger.pusher.push(account.id, limit_s=30) == "applied"
    return shop


@asynccontextmanager
async def running(options: LedgerOptions, workers: int = 2) -> AsyncIterator[list[Ledger]]:
    """So many workers, and a steward beside them."""
    ledgers = [await Ledger.open(options, role="worker") for _ in range(workers)]
    steward = await Ledger.open(options, role="steward")
    working = asyncio.create_task(steward.steward().run())
    try:
        yield ledgers
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        for ledger in (*ledgers, steward):
            await ledger.aclose()


async def quiet(ledgers: list[Ledger]) -> None:
    """
    Wait until everything is settled, confirmed, posted, and acknowledged.

    What was given back is not told twice, so if Redis lost that, the hold has to expire.
    """
    async with asyncio.timeout(QUIET_LIMIT_S):
        for ledger in ledgers:
            while ledger.settler.unsettled or ledger.settler.unconfirmed:
                await ledger.settler.drain(1)
        while True:
            try:
                await ledgers[0].shard.ready()
                await ledgers[0].sweeper.expire_holds()
                state = await ledgers[0].state()
            except OUTAGE:
                state = None
            if state is not None and (state.posted_q, state.open_holds) == (state.q, 0):
                return
            await asyncio.sleep(0.05)


async def assert_sound(ledger: Ledger) -> None:
    """All invariants: Postgres in itself, and Redis against Postgres."""
    async with ledger.database.connection() as connection:
        assert await verify(connection) == []
    assert await ledger.reconcile() == []
