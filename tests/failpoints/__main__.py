"""
Play all scenarios without a death, and write down which points they pass: `points.txt`.

    python -m tests.failpoints

Says which points nobody reaches. FAREBOX_TEST_POSTGRES_URL and FAREBOX_TEST_REDIS_URL name
servers; else they are started for this run.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import asyncpg

from billing.migrations import components
from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from ledger.migrations import migrate
from tests.failpoints import listed
from tests.failpoints.deaths import farms, recorded
from tests.failpoints.scenarios import SCENARIOS
from tests.failpoints.source import all_waits

PLAYED = int(os.environ.get("FAREBOX_PLAYED", "2"))
"""What is passed each time is what a death can be asked for; the first time nobody was there before."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="farebox-points-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres", settings={"fsync": "off"})
        redis = EmbeddedRedis(Path(folder) / "redis")
        postgres.start()
        redis.start()
        try:
            url = postgres.url("postgres")
            asyncio.run(_make(url))
            return _play([url, "template_points", redis.url])
        finally:
            redis.stop()
            postgres.stop()


async def _make(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE DATABASE template_points")
    await connection.close()
    await migrate(url.replace("/postgres?", "/template_points?", 1), components=components())


def _play(stores: list[str]) -> int:
    reached: dict[str, set[str]] = {}
    seconds: dict[str, float] = {}
    with farms(stores, 1) as free:
        farm = free.get()
        for name in SCENARIOS:
            played = [recorded(farm, name, fresh=not n) for n in range(PLAYED)]
            reached[name] = set.intersection(*(set(each["hits"]) for each in played))
            seconds[name] = min(each["seconds"] for each in played)
            print(f"{name}: {len(reached[name])} points, {seconds[name]:.2f} s", flush=True)
    listed.write(reached, seconds)
    passed = set().union(*reached.values())
    without = listed.excused()
    missing = [
        point
        for wait in all_waits()
        for point in wait.points
        if point not in passed and point not in without
    ]
    print(f"{len(passed)} points; {len(missing)} that nobody reaches", *missing, sep="\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
