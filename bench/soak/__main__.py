"""
Keep a gateway under load for long, with clients that vanish, and see whether anything leaks.

    python -m bench.soak                          half an hour at half of the measured peak
    python -m bench.soak --seconds 60 --json      a minute, as JSON
    python -m bench.soak --per-s 200 --workers 2  at a rate of one's own

It ends with 1 if a hold, a file descriptor or a unit is missing, or memory grows.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from bench.machine import described
from bench.soak.soak import HEAD, Found, Plan, soak

INTERRUPTED = 130


def main() -> int:
    asked = _options().parse_args()
    plan = Plan(
        seconds=asked.seconds or asked.minutes * 60,
        share=asked.share,
        per_s=asked.per_s,
        every_s=asked.every,
        workers=asked.workers,
        seed=asked.seed,
    )
    machine = described()
    print("; ".join(f"{name} {value}" for name, value in machine.items()), file=sys.stderr)
    print(HEAD, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="farebox-soak-") as folder:
        try:
            found = uvloop.run(_until_told(Path(folder), plan))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return INTERRUPTED
    if asked.json:
        told = {"machine": machine, "plan": asdict(plan), "holds": found.holds}
        print(json.dumps({**told, **asdict(found), "slopes": found.slopes()}, indent=1))
    else:
        print(text(found))
    return 0 if found.holds else 1


async def _until_told(folder: Path, plan: Plan) -> Found:
    """Soak; SIGTERM ends it in order, as Ctrl-C does: no gateway stays behind."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await soak(folder, plan, say=lambda line: print(line, file=sys.stderr, flush=True))


def text(found: Found) -> str:
    """Return what came out, for people."""
    slopes = ", ".join(f"{name} {slope:+.2f}" for name, slope in found.slopes().items())
    strays = ", ".join(f"{name}: {count:,}" for name, count in sorted(found.strays.items()))
    last = found.samples[-1] if found.samples else None
    reached = f", {last.requests / last.at_s:,.0f} reached the backend" if last else ""
    lines = [
        f"peak {found.peak_per_s:,.0f} requests/s, load {found.per_s:,.0f}{reached}",
        f"MB per million requests in the second half: {slopes}",
        f"strays: {strays}",
        *(
            f"{'yes' if check.holds else 'NO '}  {check.what}: {check.seen}"
            for check in found.checks
        ),
    ]
    return "\n".join(lines)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.soak")
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--seconds", type=float, help="instead of minutes")
    options.add_argument("--share", type=float, default=0.5, help="of the peak; 0.5")
    options.add_argument("--per-s", type=float, help="requests a second; no peak is measured")
    options.add_argument("--every", type=float, default=10, help="seconds between samples; 10")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--seed", type=int, default=1, help="of what strays do")
    options.add_argument("--json", action="store_true")
    return options


if __name__ == "__main__":
    sys.exit(main())
