"""Memory of a worker: when it has just begun, and after a million charged requests."""

import asyncio

from bench.found import Count, Found, Table
from bench.peers.farebox import gateway, peer, price_file
from bench.processes import memory_bytes, open_files
from bench.run import Run
from bench.stage import stage
from bench.turns import REST_S
from bench.wrk import load

CONNECTIONS, SLICE_S = 32, 10
REQUESTS, QUICK_REQUESTS = 1_000_000, 50_000
MOST_SLICES = 200
"""A machine that is too slow for its million ends here, and says how far it came."""


async def memory(run: Run) -> Found:
    """Send a million requests, and look at the worker after each slice."""
    wanted = QUICK_REQUESTS if run.quick else REQUESTS
    async with (
        stage(run.folder) as shared,
        gateway(run.folder, price_file(shared.upstream.url)) as (served, key),
    ):
        ours = peer(served, key)
        idle = memory_bytes(ours.pids)
        table = Table("Memory of the worker", ("after requests", "resident", "open files"))
        table.lines.append(("0", _mb(idle), str(open_files(ours.pids))))
        done = errors = slices = 0
        begun = shared.upstream.answered()
        while done < wanted and slices < MOST_SLICES:
            seen = await asyncio.to_thread(
                load, ours.url, connections=CONNECTIONS, seconds=SLICE_S, headers=key
            )
            done, errors, slices = done + seen.requests, errors + seen.errors, slices + 1
            now = memory_bytes(ours.pids)
            table.lines.append((f"{done:,}", _mb(now), str(open_files(ours.pids))))
            run.say(f"{done:,} of {wanted:,} requests, {_mb(now)}")
        await asyncio.sleep(REST_S)
        forwarded = shared.upstream.answered() - begun - 1
        assert ours.charged is not None
        taken = await asyncio.to_thread(ours.charged)
        settled = memory_bytes(ours.pids)
    slack = slices * CONNECTIONS
    return Found(
        said=f"Resident memory of one worker (what it shares with others included) before the"
        f" first request and after {done:,} on {CONNECTIONS} connections at a time.",
        tables=[_thinned(table)],
        figures={"memory idle": idle / 1e6, "memory growth": (settled - idle) / 1e6},
        counts=[
            Count(
                f"units charged, of requests that reached the backend ({slack} may be under way"
                " when wrk leaves)",
                forwarded,
                taken,
                slack,
            ),
            Count("answers that were errors", 0, errors),
        ],
        notes=[] if done >= wanted else [f"only {done:,} of {wanted:,} requests were made"],
    )


def _thinned(table: Table, most: int = 8) -> Table:
    """Keep the first line, the last, and some between."""
    step = max(1, len(table.lines) // most)
    kept = [line for n, line in enumerate(table.lines[:-1]) if n % step == 0 or n == 1]
    return Table(table.title, table.heads, [*kept, table.lines[-1]])


def _mb(number: int) -> str:
    return f"{number / 1e6:.1f} MB"
