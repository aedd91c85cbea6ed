"""
Chaos on real processes, as long as you like.

    python -m tests.chaos --seed 7 --faults 200 --requests 50000
    python -m tests.chaos --faults 5 --only "kill -9 of a worker"

FAREBOX_FAULTS, FAREBOX_REQUESTS, FAREBOX_GATEWAYS and FAREBOX_LONGEST (seconds) are what is taken
where no flag says it. Prints the story, then a table. Status 1: something was wrong, and the folder with what all
processes said is kept and named.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.run import Size, Told, planned, play, stage, tell_all


def main() -> int:
    asked = _options().parse_args()
    size = Size(
        seed=asked.seed if asked.seed is not None else secrets.randbelow(1_000_000),
        faults=asked.faults,
        requests=asked.requests,
        gateways=asked.gateways,
        clients=asked.clients,
        longest_s=asked.longest,
    )
    folder = Path(tempfile.mkdtemp(prefix="farebox-chaos-"))
    try:
        told = asyncio.run(_interruptible(folder, size, set(asked.only)))
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
        print(f"\nseed {size.seed}; what was said is in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(table(told))
    tell_all(told, size.seed)
    return 0


async def _interruptible(folder: Path, size: Size, only: set[str]) -> Told:
    """SIGTERM ends it as Ctrl-C does: with everything that was started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with stage(folder, size) as at:
        return await play(at, planned(size, at.crowd.gateways, only))


def table(told: Told) -> str:
    lines = [f"{'':58} faults  requests  lost  slowest probe"]
    lines += [
        f"{kind:58} {row.faults:6}  {row.requests:8}  {row.lost:4}  {row.slowest_probe_s:11.1f} s"
        for kind, row in sorted(told.rows.items())
    ]
    faults = sum(row.faults for row in told.rows.values())
    lines.append(f"{'all':58} {faults:6}  {told.requests:8}  written off: {told.written_off}")
    return "\n".join(lines)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.chaos")
    options.add_argument("--seed", type=int, help="plans the faults; drawn if not given")
    options.add_argument("--faults", type=int, default=_size("FAULTS", 200))
    options.add_argument(
        "--requests", type=int, default=_size("REQUESTS", 50_000), help="served at least"
    )
    options.add_argument("--gateways", type=int, default=_size("GATEWAYS", 2))
    options.add_argument("--clients", type=int, default=20)
    options.add_argument(
        "--longest", type=int, default=_size("LONGEST", 12), help="seconds of one fault"
    )
    options.add_argument(
        "--only", action="append", default=[], choices=sorted(FAULTS), metavar="KIND"
    )
    return options


def _size(name: str, otherwise: int) -> int:
    return int(os.environ.get(f"FAREBOX_{name}", otherwise))


if __name__ == "__main__":
    sys.exit(main())
