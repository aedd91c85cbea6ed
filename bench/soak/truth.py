"""What was charged, as Postgres shows it, beside what was earned, and what the audits find."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import asyncpg

from bench.soak.samples import metrics
from ledger.books import ChargeState
from tests.served import FAREBOX, Served

QUIET_LIMIT_S = 90
"""After the last client: what lingers does so for 30 s at most, and posting may be behind."""

AUDIT_LIMIT_S = 1_800

_CHARGED = """
SELECT r.path, sum(c.captured)::bigint AS captured
  FROM charges c JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
 GROUP BY r.path
"""
_UNFINISHED = "SELECT count(*) FROM charges WHERE state = ANY($1::smallint[])"


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    what: str
    holds: bool
    seen: str


async def quiet(served: Served) -> Check:
    """Wait until nothing is held, unsettled or unposted any more."""
    names = (
        "farebox_worker_gauge unsettled",
        "farebox_worker_gauge lingering",
        "farebox_open_requests",
        "farebox_open_holds",
        "farebox_unposted_facts",
    )
    loop = asyncio.get_running_loop()
    limit = loop.time() + QUIET_LIMIT_S
    while True:
        told = await asyncio.to_thread(metrics, served)
        left = {name: told[name] for name in names if told[name]}
        if not left or loop.time() > limit:
            break
        await asyncio.sleep(0.5)
    return Check("no request, hold or settlement is left", not left, str(left or "none"))


async def back_to(count: Callable[[], int], most: int, what: str) -> Check:
    """Wait until a count has fallen again."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + QUIET_LIMIT_S
    while (now := count()) > most and loop.time() < limit:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(0.5)
    return Check(what, now <= most, f"{now}, {most} are allowed")


async def books(served: Served, earned: Mapping[str, int]) -> list[Check]:
    """Compare what was charged with what was earned, by path; and see that all has an end."""
    connection = await asyncpg.connect(served.running.postgres_url)
    try:
        rows = await connection.fetch(_CHARGED)
        unfinished = await connection.fetchval(_UNFINISHED, [ChargeState.OPEN, ChargeState.EXPIRED])
    finally:
        await connection.close()
    charged = {row["path"]: row["captured"] for row in rows if row["captured"]}
    wrong = {
        path: (charged.get(path, 0), earned.get(path, 0))
        for path in charged.keys() | earned.keys()
        if charged.get(path, 0) != earned.get(path, 0)
    }
    total = f"{sum(charged.values()):,} units"
    return [
        Check("charged = earned by what the backend got", not wrong, str(wrong or total)),
        Check("every charge has an end", not unfinished, f"{unfinished} open or expired"),
    ]


async def audit(served: Served, command: str) -> Check:
    """Run `farebox verify` or `farebox reconcile` beside the gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    process = await asyncio.create_subprocess_exec(
        *FAREBOX,
        command,
        cwd=served.folder,
        env={**kept, "FAREBOX_DATA": str(served.folder / "data"), **served.variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(AUDIT_LIMIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode().strip().splitlines()
    seen = lines[-1] if lines else ""
    return Check(f"farebox {command} finds nothing wrong", process.returncode == 0, seen)
