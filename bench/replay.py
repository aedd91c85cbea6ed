"""
How long a replay of recorded charges takes, against reading the same rows and doing nothing.

    python -m bench.replay                      1,000,000 charges of 10,000 accounts in one day
    python -m bench.replay --charges 100000

An embedded Postgres in a temporary folder. Half of the charges have a fixed price, a quarter a
unit of the request, a quarter tokens of the answer; all of them get a new price. Memory is the
most that this process had, after a tenth of the charges and after all of them.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.machine import described
from gateway.operations.desk import Desk
from gateway.operations.replay_answer import Replay, ReplayQuery
from gateway.operations.replays import replay
from gateway.stores import EmbeddedPostgres
from ledger import credit_types, partitions, price_versions, replays
from ledger.charges import id_at
from ledger.database import Database
from ledger.migrations import migrate

ACCOUNTS = 10_000
DAY_US = 86_400_000_000
NOW = datetime.now(UTC)
SINCE = NOW - timedelta(days=1)
FILE = """
version: 1
upstreams: {{ api: {{ url: "http://127.0.0.1:9" }} }}
routes:
  - {{ path: /fixed, upstream: api, price: {fixed} }}
  - path: /search
    upstream: api
    price: {{ flat: 1, per: [{{ query: n, unit: 10, cost: {unit} }}], max: 50 }}
  - path: /chat
    upstream: api
    price: {{ hold: 500, settle: {{ response: /n, unit: 1000, cost: {token} }} }}
"""
OLD, NEW = FILE.format(fixed=1, unit=1, token=3), FILE.format(fixed=2, unit=2, token=4)

# One charge after the other through the day; what each measured follows from its number.
FILL = """
INSERT INTO charges (id, account_id, held, captured, opened_q, opened_epoch, closed_q, closed_epoch, price_version,
                     rule, credit_type_id, state, reason, status, units, measured, duration_ms, balance_after, closed_at)
SELECT int8send($1::bigint + n * ($2::bigint / $3::bigint)) || '\\x00000001'::bytea, 1 + (n * 7919) % $4, 500, c.amount,
       n, 1, n, 1, 1, c.rule, 1, 2, 1, 200, c.units, c.measured, 12, 1000, now()
  FROM generate_series(0, $3::bigint - 1) n,
       LATERAL (SELECT (ARRAY[0, 1, 0, 2])[n % 4 + 1] AS rule) r,
       LATERAL (SELECT r.rule,
                       CASE r.rule WHEN 0 THEN 1 WHEN 1 THEN 1 + (n % 490 + 9) / 10 ELSE ((n * 7919) % 100003 * 3 + 999) / 1000 END AS amount,
                       CASE r.rule WHEN 1 THEN jsonb_build_array(n % 490) END AS units,
                       CASE r.rule WHEN 2 THEN jsonb_build_array((n * 7919) % 100003) END AS measured) c
"""  # noqa: E501


async def filled(database: Database, count: int) -> None:
    """Make the accounts, the version and its charges."""
    async with database.connection() as connection:
        await credit_types.register(connection, {"credits": 0})
        await price_versions.publish(connection, OLD, [], actor="bench")
        await partitions.ensure(connection, NOW)
        await connection.execute(
            "INSERT INTO accounts (external_id, plan)"
            " SELECT 'user-' || n, (ARRAY['', 'gold'])[n % 2 + 1] FROM generate_series(1, $1) n",
            ACCOUNTS,
        )
        begin = int.from_bytes(id_at(SINCE)[:8])
        await connection.execute(FILL, begin, DAY_US, count, ACCOUNTS, timeout=600)
        await connection.execute("VACUUM ANALYZE charges", timeout=600)


async def read(database: Database) -> int:
    """Read the same rows, as a replay does, and do nothing with them."""
    count = 0
    async with database.transaction(isolation="repeatable_read") as connection:
        await partitions.hold_still(connection)
        async for rows in replays.recorded(connection, SINCE, NOW):
            count += len(rows)
    return count


async def replayed(database: Database, span: timedelta = timedelta(days=1)) -> Replay:
    desk: Any = SimpleNamespace(ledger=SimpleNamespace(database=database))
    query = ReplayQuery.model_validate({"from": SINCE, "to": SINCE + span})
    found: Desk = desk
    return await replay(found, NEW, query, now=NOW, most=None)


async def timed(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[float, float, Any]:
    """Seconds by the clock and of this process's CPU, and what came of it."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = await work()
    return time.perf_counter() - clock, time.process_time() - cpu, result


def memory_mb() -> float:
    """The most this process has had so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 if sys.platform != "darwin" else 1024 * 1024)


async def measure(url: str, count: int) -> None:
    await migrate(url)
    database = await Database.connect(url, most=2)
    try:
        seconds, _, _ = await timed(lambda: filled(database, count))
        print(f"{count} charges made in {seconds:.1f} s")
        await read(database)  # both from warm memory
        tenth = await replayed(database, timedelta(days=0.1))
        early = memory_mb()
        reading = await timed(lambda: read(database))
        repricing = await timed(lambda: replayed(database))
    finally:
        await database.close()
    answer: Replay = repricing[2]
    assert reading[2] == answer.charges == answer.repriced == count
    (total,) = answer.totals
    rows = [
        ("reading the rows", reading),
        ("replaying them", repricing),
    ]
    for name, (clock, cpu, _) in rows:
        print(f"{name:18} {clock:6.2f} s, {cpu:6.2f} s of CPU, {cpu / count * 1e6:5.2f} us each")
    print(f"ratio              {repricing[0] / reading[0]:6.2f} by the clock")
    print(
        f"memory             {early:6.1f} MB after {tenth.charges}, {memory_mb():.1f} MB after all"
    )
    print(f"sum                {total.before} -> {total.after}; {answer.accounts_changed} accounts")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.replay")
    options.add_argument("--charges", type=int, default=1_000_000)
    asked = options.parse_args()
    for name, value in described().items():
        if name in {"machine", "python", "load before"}:
            print(f"{name}: {value}")
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as name:
        server = EmbeddedPostgres(Path(name), settings={"fsync": "off"})
        server.start()
        try:
            asyncio.run(measure(server.url(), asked.charges))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
