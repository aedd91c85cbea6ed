"""
Run seeds, tell the story of one, or see which removed mechanisms are noticed.

    python -m tests.simulation --seeds 20000 --from 1 --minutes 20
    python -m tests.simulation --seed 123 --story
    python -m tests.simulation --mutants --seeds 500

Ends with status 1 if an invariant did not hold, or a mutant that should have been noticed
was not.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial

from ledger.scripts import Scripts
from tests.simulation.faults import FAULTS
from tests.simulation.mutants import MUTANTS, applied
from tests.simulation.run import Outcome, simulate

AT_ONCE = 10
"""Seeds handed to a process together."""


def main() -> int:
    asked = _options().parse_args()
    if asked.mutants:
        return _mutants(asked.first, asked.seeds, asked.processes, asked.name)
    if asked.seed is not None:
        return _one(asked.seed, asked.name, tell=asked.story)
    return _many(asked.first, asked.seeds, asked.processes, asked.minutes)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.simulation")
    options.add_argument("--seeds", type=int, default=100, help="how many, at most")
    options.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    options.add_argument("--minutes", type=float, default=20, help="begin no seed after this")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seed", type=int, help="only this one")
    options.add_argument("--story", action="store_true", help="tell what happens in it")
    options.add_argument("--mutants", action="store_true", help="remove a mechanism at a time")
    options.add_argument("--name", help="only this mutant")
    return options


def _one(seed: int, name: str | None, *, tell: bool) -> int:
    if name is None:
        outcome = simulate(seed, tell=tell)
    else:
        [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
        with applied(mutant) as scripts:
            outcome = simulate(seed, scripts=scripts, tell=tell)
    print("\n".join(outcome.story))
    print("\n".join(outcome.findings) or "Nothing is wrong.")
    print(f"Seed {seed}, digest {outcome.digest:08x}")
    return bool(outcome.findings)


def _many(first: int, seeds: int, processes: int, minutes: float) -> int:
    began, stats, bad = time.monotonic(), Counter[str](), 0
    with multiprocessing.Pool(processes) as pool:
        in_time = partial(_in_time, began + 60 * minutes)
        for outcome in pool.imap_unordered(in_time, range(first, first + seeds), AT_ONCE):
            if outcome is None:
                continue
            worst = max(stats["worst_double_fault"], outcome.stats["worst_double_fault"])
            stats += outcome.stats
            stats["worst_double_fault"] = worst
            if outcome.findings:
                bad += 1
                print(f"seed {outcome.seed}: {'; '.join(outcome.findings[:3])}", flush=True)
    print(_table(stats, bad, time.monotonic() - began))
    return bool(bad)


def _in_time(end: float, seed: int) -> Outcome | None:
    """Run a seed, unless it is too late to begin one."""
    return None if time.monotonic() > end else simulate(seed)


def _table(stats: Counter[str], bad: int, seconds: float) -> str:
    rows = [
        ("seeds", stats["seeds"]),
        ("seeds with a violation", bad),
        ("simulated hours", round(stats["seconds"] / 3_600, 1)),
        ("requests", stats["requests"]),
        ("served", stats["served"]),
        ("script calls", stats["scripts"]),
        ("epochs begun", stats["epochs"]),
        ("faults", stats["faults"]),
        *((f"  {fault.__name__.replace('_', ' ')}", stats[fault.__name__]) for fault in FAULTS),
        ("late captures", stats["late"]),
        ("units served", stats["units_served"]),
        ("units lost while the gateway lived", stats["units_lost_alive"]),
        ("units lost with the gateway, in flight", stats["units_lost_in_flight"]),
        ("units lost with gateway and Redis", stats["units_lost_in_double_faults"]),
        ("  most of them in one epoch", stats["worst_double_fault"]),
        ("units written off for lack of balance", stats["units_written_off"]),
        ("seconds", round(seconds)),
    ]
    return "\n".join(f"{name:<42}{value:>12,}" for name, value in rows)


def _mutants(first: int, seeds: int, processes: int, name: str | None) -> int:
    missed = 0
    for mutant in MUTANTS:
        if name not in (None, mutant.name):
            continue
        # A pool of its own: its processes are born with the mechanism removed.
        with multiprocessing.Pool(processes, _become, (mutant.name,)) as pool:
            outcomes = pool.imap(_as_mutant, range(first, first + seeds), AT_ONCE)
            caught = next((outcome for outcome in outcomes if outcome.findings), None)
        missed += caught is None and mutant.expected
        print(_line(mutant.name, caught, first, seeds), flush=True)
    return bool(missed)


_MUTATED: list[Scripts] = []
_KEPT = ExitStack()


def _become(name: str) -> None:
    """Make this process a mutant, for as long as it lives."""
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    _MUTATED.append(_KEPT.enter_context(applied(mutant)))


def _as_mutant(seed: int) -> Outcome:
    return simulate(seed, scripts=_MUTATED[0])


def _line(name: str, caught: Outcome | None, first: int, seeds: int) -> str:
    if caught is None:
        return f"{name:<32} not in {seeds:>6}"
    # That something never ends is what most findings lead to; the others say more.
    telling = [finding for finding in caught.findings if not finding.startswith("no rest")]
    return f"{name:<32} {caught.seed - first + 1:>6}  {(telling or caught.findings)[0]}"


if __name__ == "__main__":
    sys.exit(main())
