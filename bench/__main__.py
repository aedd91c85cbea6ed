"""
Compare Farebox with its peers, and each figure with what it must be, in one run.

    python -m bench                     all rows, about 20 minutes; kept in bench/results
    python -m bench --quick             shorter rounds, nothing kept: while changing code
    python -m bench --rows sse redis    only these rows
    python -m bench --rows cpu --only farebox nginx+lua --connections 32
    python -m bench --awake             no core falls asleep meanwhile: see bench/awake.py
    python -m bench --readme            the newest kept table into README.md and bench/README.md

Ends with status 1 where something counted wrong or a row failed; a missed target is only said.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.awake import awake
from bench.machine import described
from bench.measures import ROWS
from bench.peers import PEERS
from bench.peers.nginx import lua_missing
from bench.report import Report, write_into
from bench.run import Run
from bench.upstream import nginx_missing
from bench.wrk import missing as wrk_missing

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCUMENTS = (HERE.parent / "README.md", HERE / "README.md")


def main() -> int:
    """Measure what was asked for, show it, and keep it if it is a whole run."""
    asked = _options().parse_args()
    if asked.readme:
        print(write_into(DOCUMENTS, RESULTS))
        return 0
    report = Report(described())
    whole = not (asked.quick or asked.only or asked.rows or asked.connections or asked.awake)
    names = asked.rows or [name for name in ROWS if not (asked.quick and ROWS[name].is_long)]
    peers = asked.only or list(PEERS)
    if "nginx+lua" in peers and (reason := lua_missing()):
        report.missing.append(f"nginx+lua: {reason}")
        peers.remove("nginx+lua")
    connections = asked.connections or ([32] if asked.quick else [32, 256, 1])
    with awake(os.sched_getaffinity(0) if asked.awake else ()):
        failed = asyncio.run(
            _measured(report, names, quick=asked.quick, peers=peers, connections=connections)
        )
    print(report.text())
    if whole:
        print(f"\nKept: {report.save(RESULTS)}")
    return 0 if report.is_right and not failed else 1


async def _measured(
    report: Report,
    names: Sequence[str],
    *,
    quick: bool,
    peers: Sequence[str],
    connections: Sequence[int],
) -> bool:
    """Measure rows one after the other; one that fails is told of and stops no other."""
    failed = False
    lacking = wrk_missing() or nginx_missing()
    for name in names:
        if ROWS[name].needs_nginx and lacking:
            report.missing.append(f"{name}: {lacking}")
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
            run = Run(Path(folder), quick=quick, peers=peers, connections=connections)
            try:
                report.rows[name] = await ROWS[name].measure(run)
            except Exception as error:  # noqa: BLE001 - minutes of other rows are not thrown away
                traceback.print_exc()
                report.missing.append(f"{name}: it failed with {type(error).__name__}: {error}")
                failed = True
    return failed


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench")
    options.add_argument("--quick", action="store_true", help="short rounds, nothing is kept")
    options.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    options.add_argument("--only", nargs="+", choices=PEERS, metavar="PEER", help=", ".join(PEERS))
    options.add_argument("--connections", nargs="+", type=int, metavar="N", help="32 256 1")
    options.add_argument("--awake", action="store_true", help="no core sleeps; nothing is kept")
    options.add_argument("--readme", action="store_true", help="the newest table into documents")
    return options


if __name__ == "__main__":
    sys.exit(main())
