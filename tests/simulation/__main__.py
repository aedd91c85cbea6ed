"""
Run seeds, tell the story of one, or see which removed mechanisms are noticed.

    python -m tests.simulation --seeds 20000 --from 1 --minutes 20
    python -m tests.simulation --seed 123 --story
    python -m tests.simulation --mutants --seeds 500 --write docs/safety.md

FAREBOX_SEEDS and FAREBOX_MINUTES say how many where the command does not.
Ends with status 1 if an invariant did not hold, or a mutant that should have been noticed
was not.
"""

import argparse
import multiprocessing
import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ledger.scripts import Scripts
from tests.simulation.figures import Total, Tried, write
from tests.simulation.mutants import MUTANTS, Mutant, applied
from tests.simulation.run import Outcome, simulate

AT_ONCE = 10
"""Seeds handed to a process together."""

CHUNKS = 100
"""Handed to one process before it makes room for a new one, and its memory is free again."""


def main() -> int:
    asked = _options().parse_args()
    if asked.mutants:
        return _mutants(asked)
    if asked.seed is not None:
        return _one(asked.seed, asked.name, tell=asked.story)
    return _many(asked.first, asked.seeds, asked.processes, asked.minutes)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.simulation")
    seeds, minutes = os.getenv("FAREBOX_SEEDS", "100"), os.getenv("FAREBOX_MINUTES", "20")
    options.add_argument("--seeds", type=int, default=seeds, help="how many, at most")
    options.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    options.add_argument("--minutes", type=float, default=minutes, help="begin no seed after this")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seed", type=int, help="only this one")
    options.add_argument("--story", action="store_true", help="tell what happens in it")
    options.add_argument("--mutants", action="store_true", help="remove a mechanism at a time")
    options.add_argument("--name", help="only this mutant")
    options.add_argument("--write", type=Path, help="a document with the marks of their table")
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
    began, total, bad = time.monotonic(), Total(), 0
    with multiprocessing.Pool(processes, maxtasksperchild=CHUNKS) as pool:
        in_time = partial(_in_time, began + 60 * minutes)
        for outcome in pool.imap_unordered(in_time, range(first, first + seeds), AT_ONCE):
            if outcome is None:
                continue
            total.add(outcome)
            if outcome.findings:
                bad += 1
                print(f"seed {outcome.seed}: {'; '.join(outcome.findings[:3])}", flush=True)
    print(total.text(bad, time.monotonic() - began))
    if not bad:
        total.tell()
    return bool(bad)


def _in_time(end: float, seed: int) -> Outcome | None:
    """Run a seed, unless it is too late to begin one."""
    return None if time.monotonic() > end else simulate(seed)


def _mutants(asked: argparse.Namespace) -> int:
    rows, until = [], time.monotonic() + 60 * asked.minutes
    for mutant in sorted(MUTANTS, key=lambda mutant: not mutant.expected):
        if asked.name not in (None, mutant.name):
            continue
        rows.append(_try(mutant, asked, until))
        print(rows[-1].text(), flush=True)
    if missed := [row.mutant.name for row in rows if not row.noticed and row.mutant.expected]:
        print(f"Not noticed: {', '.join(missed)}")
        return 1
    for row in rows:
        row.tell()
    if asked.write:
        write(asked.write, rows)
    return 0


def _try(mutant: Mutant, asked: argparse.Namespace, until: float) -> Tried:
    """Run seeds without one mechanism until a world notices, or none is left."""
    tried = 0
    # A pool of its own: its processes are born with the mechanism removed.
    with multiprocessing.Pool(asked.processes, _become, (mutant.name,)) as pool:
        seeds = range(asked.first, asked.first + asked.seeds)
        for tried, outcome in enumerate(pool.imap(_as_mutant, seeds, AT_ONCE), 1):
            if outcome.findings:
                # That something never ends is what most lead to; the others say more.
                telling = [one for one in outcome.findings if not one.startswith("no rest")]
                return Tried(mutant, tried, (telling or outcome.findings)[0])
            if time.monotonic() > until:
                break
    return Tried(mutant, tried, "")


_MUTATED: list[Scripts] = []
_KEPT = ExitStack()


def _become(name: str) -> None:
    """Make this process a mutant, for as long as it lives."""
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    _MUTATED.append(_KEPT.enter_context(applied(mutant)))


def _as_mutant(seed: int) -> Outcome:
    return simulate(seed, scripts=_MUTATED[0])


if __name__ == "__main__":
    sys.exit(main())
