"""
Compare Farebox with its peers, in one run.

    python -m bench                 all figures, about ten minutes; saved in bench/results
    python -m bench --quick         shorter rounds, nothing saved: for a look while changing code
    python -m bench --only farebox nginx+lua --connections 32
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.machine import described
from bench.measures.cpu import measure
from bench.peers import PEERS, Peer
from bench.peers.nginx import lua_missing
from bench.processes import memory_bytes
from bench.report import Report
from bench.stage import stage
from bench.upstream import nginx_missing
from bench.wrk import missing

RESULTS = Path(__file__).parent / "results"


async def run(
    report: Report, names: list[str], *, rounds: int, seconds: int, connections: list[int]
) -> None:
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(stage())
        peers = {name: await stack.enter_async_context(PEERS[name](shared)) for name in names}
        idle = {name: memory_bytes(peer.pids) for name, peer in peers.items()}
        served = dict.fromkeys(names, 0)
        for count in (32, *connections):
            warm = not report.cpu and not any(served.values())
            print(f"{'warming up' if warm else f'{count} connections'} ...", file=sys.stderr)
            found = await measure(
                peers,
                shared.upstream,
                connections=count,
                rounds=1 if warm else rounds,
                seconds=1 if warm else seconds,
            )
            for name, seen in found.items():
                served[name] += seen.forwarded
            if not warm:
                report.cpu[count] = found
        for name, peer in peers.items():
            report.figures[f"memory of {name}, idle and afterwards"] = _megabytes(idle[name], peer)
            if peer.charged is not None:
                charged = await asyncio.to_thread(peer.charged)
                report.charged[name] = served[name], charged
            if peer.stored_bytes is not None:
                stored = await asyncio.to_thread(peer.stored_bytes)
                each = stored / max(served[name], 1)
                report.figures["bytes of Postgres per charge, indexes included"] = f"{each:.0f}"


def _megabytes(idle: int, peer: Peer) -> str:
    return f"{idle / 1e6:.0f} MB, {memory_bytes(peer.pids) / 1e6:.0f} MB"


def main() -> int:
    asked = _options().parse_args()
    lacking = missing() or nginx_missing()
    if lacking:
        print(lacking, file=sys.stderr)
        return 2
    report = Report(described())
    names = asked.only or list(PEERS)
    if "nginx+lua" in names and (reason := lua_missing()):
        report.missing.append(f"nginx+lua: {reason}")
        names.remove("nginx+lua")
    rounds, seconds = (2, 3) if asked.quick else (3, 6)
    connections = asked.connections or ([32] if asked.quick else [32, 256, 1])
    asyncio.run(run(report, names, rounds=rounds, seconds=seconds, connections=connections))
    print(report.text())
    if not asked.quick and not asked.only:
        print(f"\nSaved: {report.save(RESULTS)}")
    return 0


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench")
    options.add_argument("--quick", action="store_true", help="short rounds, nothing saved")
    options.add_argument("--only", nargs="+", choices=PEERS, metavar="PEER", help=", ".join(PEERS))
    options.add_argument("--connections", nargs="+", type=int, help="32 256 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
