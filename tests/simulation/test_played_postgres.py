"""The Postgres of the simulator answers as the real one: what a run asked is asked there again."""

import asyncio
import os
import random
from collections import Counter
from typing import Any
from unittest.mock import patch

import asyncpg

from ledger import charges, credit_types, dead_facts, findings, losses
from ledger.database import Database, prepare
from ledger.findings import Finding
from ledger.scripts import Scripts
from tests.simulation import faults
from tests.simulation.audit_statements import MADE_AT
from tests.simulation.run import simulate
from tests.simulation.statements import STATEMENTS
from tests.simulation.world import Plan, World

SEED = int(os.environ.get("FAREBOX_REPLAYED_SEED", "40"))
"""A rich one: facts that break rules, accounts released, endings overtaken."""

MOST_NEVER_ASKED = 12
"""What only a failover asks, which cannot be replayed, and what is rare."""

STANDING_STILL = (
    faults.kill_gateway,
    faults.kill_steward,
    faults.pause,
    faults.pause_stewards,
    faults.stumble,
    faults.relapse,
    faults.postgres_failover,
)
"""Left out here: connections are lent one after the other, and most of these would keep theirs."""

OTHER_TIMES = ("now", "at", "created_at", "updated_at")
"""Columns that have the server's own time."""

FURNITURE = """
INSERT INTO credit_types (id, name, scale, window_units) VALUES (1, 'credits', 0, 1000);
INSERT INTO price_texts (sha256, text) VALUES (decode(repeat('00', 32), 'hex'), '');
INSERT INTO price_versions (version, sha256, source, actor)
VALUES (1, decode(repeat('00', 32), 'hex'), 'file', 'test');
INSERT INTO price_rules (version, rule, route, path, methods, credit_type, price)
VALUES (1, 0, 'search', '/search', '{GET}', 'credits', '{}'),
       (1, 1, 'query', '/query', '{GET}', 'credits', '{}');
INSERT INTO accounts (id, external_id) OVERRIDING SYSTEM VALUE VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO api_keys (id, account_id, name, prefix, sha256, scopes, expires_ms)
OVERRIDING SYSTEM VALUE
SELECT n, n, '', repeat('k', 12), decode(repeat('0' || n, 32), 'hex'), 3, 281474976710655
  FROM generate_series(1, 3) n;
"""

ONE_TIME = """
ALTER TABLE controls ALTER created_at SET DEFAULT '{0}';
ALTER TABLE grants ALTER created_at SET DEFAULT '{0}'
"""
"""Seals read when an order was made; both servers say the same."""


def test_the_statements_answer_as_on_a_real_server(database_url: str) -> None:
    """Row for row, transaction by transaction, from the first order to the last audit."""
    calmer = {fault: often for fault, often in faults.FAULTS.items() if fault not in STANDING_STILL}
    with patch.object(faults, "FAULTS", calmer | {faults.corrupt_account: 4}):
        outcome = simulate(SEED, record=True)
    assert outcome.findings == []
    window = Plan.drawn(random.Random(f"{SEED} plan")).window
    asked = asyncio.run(_replay(database_url, window, outcome.statements))
    never = [text for text in STATEMENTS if text not in asked]
    assert len(never) <= MOST_NEVER_ASKED, never


def test_what_worlds_seldom_ask_answers_as_on_a_real_server(database_url: str) -> None:
    """Findings and what they do, and what is read before something is given up."""
    world = World(SEED, Scripts())
    world.postgres.log = []
    world.loop.run_until_complete(_ask_seldom(world))
    asked = asyncio.run(_replay(database_url, world.plan.window, world.postgres.log))
    assert asked[findings._SQL.record] == 9
    world.loop.close()


async def _ask_seldom(world: World) -> None:
    await asyncio.sleep(5)  # the first orders are made meanwhile
    seen = [
        Finding("account-history", 1, "a pool is not what it was"),
        Finding("account-history", 1, "a pool is not what it was"),
        Finding("keys_equal", 2, "key 2"),
        Finding("keys_equal", None, "nobody's"),
    ]
    async with Database(world.postgres).connection() as connection:
        await findings.record(connection, seen)
        await credit_types.windows(connection)
        await findings.record(connection, [Finding("batch-chain", None, "broken"), *seen])
        await credit_types.windows(connection)
        await credit_types.raise_windows(connection, {1: 5, 7: 5})
        await credit_types.raise_windows(connection, {1: 10**9})
        await credit_types.chosen_windows(connection)
        await credit_types.set_windows(connection, {1: world.plan.window, 7: 5})
        await credit_types.chosen_windows(connection)
        await connection.fetch(losses._SQL.balances, [1, 2])
        await connection.fetch(losses._SQL.charges, [bytes(12)], bytes(12), bytes(12))
        await charges.ended_of(connection, [bytes(12)])
        await dead_facts.blame(connection, 1)


async def _replay(url: str, window: int, statements: list[Any]) -> Counter[str]:
    connection = await asyncpg.connect(url)
    try:
        await prepare(connection)
        await connection.execute(FURNITURE)
        await connection.execute(ONE_TIME.format(MADE_AT))
        await connection.execute("UPDATE credit_types SET window_units = $1", window)
        return await _ask_all(connection, statements)
    finally:
        await connection.close()


async def _ask_all(connection: Any, statements: list[Any]) -> Counter[str]:
    asked: Counter[str] = Counter()
    open_transactions: list[Any] = []
    for what, text, args, rows in statements:
        if what == "BEGIN":
            transaction = connection.transaction(isolation=text)
            await transaction.start()
            open_transactions.append(transaction)
        elif what == "COMMIT":
            await open_transactions.pop().commit()
        elif what == "UNDO":
            await open_transactions.pop().rollback()
        elif what == "ROLLBACK":
            while open_transactions:
                await open_transactions.pop().rollback()
        else:
            asked[text] += 1
            assert _comparable(await _ask(connection, text, args)) == _comparable(rows), (
                text,
                args,
            )
    return asked


async def _ask(connection: Any, text: str, args: tuple[Any, ...]) -> list[Any]:
    if text.startswith("COPY"):
        records, columns = args
        await connection.copy_records_to_table(text.split()[1], records=records, columns=columns)
        return []
    found: list[Any] = await connection.fetch(text, *args)
    return found


def _comparable(rows: list[Any]) -> list[Any]:
    """Rows without the names that expressions get, in one order."""
    return sorted(
        ([value for name, value in row.items() if name not in OTHER_TIMES] for row in rows),
        key=repr,
    )
