"""
Posting: how many charges a second the steward's own `post` brings into Postgres, against COPY of
the very rows that it wrote.

Both take turns on one Postgres as Farebox runs it (synchronous commit), on one connection, in
transactions of the same charges. The journal is written by hand: 1,000 accounts of three grants
each, 32 requests under way, half of them captured whole and half in part.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

from bench.found import Count, Found, Table
from bench.run import Run
from gateway.stores import EmbeddedPostgres
from gateway.worker import spare_the_collector
from ledger import accounts, controls, credit_types, grants, partitions, price_versions, shards
from ledger.controls import Grant
from ledger.database import Connection, Database
from ledger.facts import Fact
from ledger.ids import hold_id
from ledger.journal_entry import Entry
from ledger.migrations import migrate
from ledger.ports import SystemClock
from ledger.poster import MOST_FACTS
from ledger.posting import Posted, post
from ledger.price_versions import Rule
from tests.ledger.journal import Journal
from tests.ledger.player import Player

ACCOUNTS, GRANTS, GRANT_UNITS = 1_000, 3, 10_000_000
UNDER_WAY = 32
FACTS_PER_ENTRY = 16
"""What a tick has under load: eight settlements and eight holds."""

CHARGES_PER_BATCH = MOST_FACTS // 2
BATCHES = 10
"""Per round and side."""


async def posting(run: Run) -> Found:
    """Post and copy in turns; the ratio of each round, and its median."""
    server = EmbeddedPostgres(run.folder / "posting")
    await asyncio.to_thread(server.start)
    try:
        await migrate(server.url())
        database = await Database.connect(server.url(), most=1)
        try:
            async with database.connection() as connection:
                return await _measured(connection, rounds=2 if run.quick else 25)
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(server.stop)


async def _measured(connection: Connection, rounds: int) -> Found:
    shop = await _open_shop(connection)
    await _post(connection, shop)  # warm: plans, caches
    spare_the_collector()  # as the steward does; for both sides
    copy = await _copied_table(connection)
    table = Table("Posting", ("round", "posted rows/s", "COPY rows/s", "posting is"))
    ratios, made = [], BATCHES * CHARGES_PER_BATCH
    for number in range(1, rounds + 1):
        made += BATCHES * CHARGES_PER_BATCH
        posted = BATCHES * CHARGES_PER_BATCH / await _post(connection, shop)
        copied = BATCHES * CHARGES_PER_BATCH / await _copy(connection, copy)
        ratios.append(posted / copied)
        table.lines.append((str(number), f"{posted:,.0f}", f"{copied:,.0f}", f"{ratios[-1]:.2f} x"))
    ended = await connection.fetchval("SELECT count(*) FROM charges WHERE state = 2")
    taken = await connection.fetchval("SELECT sum(captured) FROM charges")
    return Found(
        said="Charges per second, hold and settlement each, through the steward's posting (fold,"
        " balances, double-entry lines, seals), against COPY of the rows that it wrote into a"
        " table of the same columns, checks, indexes and partitions; one connection, transactions"
        f" of {CHARGES_PER_BATCH} charges, {ACCOUNTS:,} accounts at random.",
        tables=[table],
        figures={"posting": median(ratios)},
        counts=[
            Count("charges captured", made - len(shop.open), ended),
            Count("units captured", shop.captured, int(taken)),
        ],
    )


class _Shop:
    """Accounts with credits, and the journal of what they ask for."""

    def __init__(self, players: list[Player], journal: Journal) -> None:
        self._players = players
        self._journal = journal
        self._chance = random.Random(7)
        self._n = SystemClock().now_us()
        self.open: list[tuple[Player, bytes, int]] = []
        self.captured = 0

    def batches(self, count: int) -> Iterator[list[Entry]]:
        """Yield batches of `CHARGES_PER_BATCH` holds and as many settlements."""
        for _ in range(count):
            facts = [fact for _ in range(CHARGES_PER_BATCH) for fact in self._request()]
            yield [
                self._journal.entry(*facts[at : at + FACTS_PER_ENTRY])
                for at in range(0, len(facts), FACTS_PER_ENTRY)
            ]

    def _request(self) -> Iterator[Fact]:
        """End the oldest request, if as many as may be are under way, and begin one."""
        if len(self.open) >= UNDER_WAY:
            player, ended, price = self.open.pop(0)
            amount = price if self._chance.random() < 0.5 else self._chance.randint(1, price - 1)
            self.captured += amount
            yield player.settle(ended, amount, detail=b'{"m":[],"ms":12}')
        self._n += 150
        begun, price = hold_id(self._n, 1), self._chance.randint(2, 50)
        player = self._chance.choice(self._players)
        yield player.hold(begun, price)
        self.open.append((player, begun, price))


async def _open_shop(connection: Connection) -> _Shop:
    """Make the accounts, grant, and post the grants."""
    await credit_types.register(connection, {"credits": 0})
    rule = Rule(0, "hello", "/hello", ["GET"], "credits", {"flat": 2})
    await price_versions.publish(connection, "version: 1", [rule], actor="bench")
    await shards.advance(connection, 0, 0, "a redis")
    await partitions.ensure(connection, datetime.now(UTC))
    journal = Journal()
    players = []
    for _ in range(ACCOUNTS):
        account = await accounts.create(connection, actor="bench")
        player = Player(account.id)
        for _ in range(GRANTS):
            await grants.give(connection, account.id, Grant(1, GRANT_UNITS), actor="bench")
        lines = await controls.pending(connection, account.id)
        entry = journal.entry(*(player.control(line) for line in lines))
        assert isinstance(await post(connection, 0, [entry]), Posted)
        players.append(player)
    return _Shop(players, journal)


async def _post(connection: Connection, shop: _Shop) -> float:
    """Post batches, each written just before, as the steward reads them; returns its seconds."""
    seconds = 0.0
    for batch in shop.batches(BATCHES):
        began = time.perf_counter()
        outcome = await post(connection, 0, batch)
        seconds += time.perf_counter() - began
        assert isinstance(outcome, Posted), outcome
        assert not outcome.dead
    return seconds


async def _copied_table(connection: Connection) -> str:
    """Make a table like that of the charges, for the other side; partitioned as it is."""
    await connection.execute(
        "CREATE TABLE copied (LIKE charges INCLUDING ALL) PARTITION BY RANGE (id);"
        "CREATE TABLE copied_default PARTITION OF copied DEFAULT"
    )
    return "copied"


async def _copy(connection: Connection, table: str) -> float:
    """Copy the newest charges, in as many transactions; returns the seconds of these."""
    await connection.execute(f"TRUNCATE {table}")
    seconds = 0.0
    for number in reversed(range(BATCHES)):
        rows = await connection.fetch(
            "SELECT * FROM charges WHERE state <> 1 ORDER BY id DESC LIMIT $1 OFFSET $2",
            CHARGES_PER_BATCH,
            number * CHARGES_PER_BATCH,
        )
        columns = list(rows[0].keys())
        records = [tuple(row) for row in reversed(rows)]
        began = time.perf_counter()
        async with connection.transaction():
            await connection.copy_records_to_table(table, records=records, columns=columns)
        seconds += time.perf_counter() - began
    return seconds
