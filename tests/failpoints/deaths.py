"""Asks farms for deaths, several at once, and gathers what came of them."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import Any

from tests.failpoints.source import ROOT

TRIES = 6
"""What depends on who is quicker is not reached every time."""

LATER_HITS = 4
"""Repeats die at the first to the fourth time that the point is passed."""


@dataclass(frozen=True, slots=True)
class Death:
    """
    One point, one death, and what was found afterwards; `wrong` is empty if all was well.

    died: False where the point was never passed, as those may be that depend on who is quicker.
    """

    point: str
    scenario: str
    wrong: str = ""
    operations: int = 0
    lost: int = 0
    probe_ms: int = 0
    died: bool = True

    @property
    def area(self) -> str:
        module = self.point.split()[1].partition(":")[0]
        if not module.startswith("ledger."):
            return module.partition(".")[0]
        part = module.removeprefix("ledger.")
        return next((area for area, parts in _AREAS.items() if part in parts), "ledger, gateways")


_AREAS = {
    "ledger, epochs and rebuilding": {"fence", "rebuild", "shards", "losses", "snapshot", "loader"},
    "ledger, steward and posting": {
        "audit", "audit_jobs", "books_store", "election", "findings", "journal", "meanwhile",
        "partitions", "poster", "posting", "pusher", "seals", "steward", "sweeper",
    },
    "ledger, controls and accounts": {
        "accounts", "api_keys", "charges", "control_rows", "controls", "credit_types", "dead_facts",
        "grants", "price_versions",
    },
}  # fmt: skip


class Farm:
    """One process that raises the others; see `tests.failpoints.farm`."""

    def __init__(self, stores: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.failpoints.farm", *stores],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def farms(stores: Sequence[str], count: int) -> Iterator["Queue[Farm]"]:
    """So many farms for as long as the block runs."""
    every = [Farm(stores) for _ in range(count)]
    free: Queue[Farm] = Queue()
    for farm in every:
        free.put(farm)
    try:
        yield free
    finally:
        for farm in every:
            farm.end()


def die_at(
    stores: Sequence[str], points: Iterable[tuple[str, str]], *, seed: int, repeat: int = 0
) -> list[Death]:
    """Die once at each of these points, in the scenario beside it."""
    chance = random.Random(f"{seed} {repeat}")
    # On one stage scenarios follow each other as chance wants, so that they meet what others left.
    shuffled = [(point, name, chance.randint(1, LATER_HITS)) for point, name in points]
    chance.shuffle(shuffled)
    with farms(stores, os.cpu_count() or 2) as free, ThreadPoolExecutor() as threads:

        def die(asked: tuple[str, str, int]) -> Death:
            point, scenario, hit = asked
            farm = free.get()
            try:
                death = _die(farm, point, scenario, hit if repeat else 1)
                if death.wrong:
                    print(f"\n{point} ({scenario}): {death.wrong}", flush=True)
                return death
            finally:
                free.put(farm)

        return list(threads.map(die, shuffled))


def record(stores: Sequence[str], scenario: str) -> dict[str, Any]:
    """Play a scenario to its end without a death; returns the points passed, and how long it took."""
    with farms(stores, 1) as free:
        return recorded(free.get(), scenario)


def recorded(farm: Farm, scenario: str, *, fresh: bool = False) -> dict[str, Any]:
    """As `record`, by a farm that is there. `fresh`: where no other scenario left anything."""
    answer = farm.ask(scenario=scenario, alone=True, fresh=fresh)
    if answer["first"]["status"] != 0:
        raise RuntimeError(f"{scenario}, without any death: {answer['first']['said']}")
    value: dict[str, Any] = answer["first"]["value"]
    return value


def _die(farm: Farm, point: str, scenario: str, hit: int) -> Death:
    for _ in range(TRIES):
        answer = farm.ask(scenario=scenario, point=point, hit=hit)
        first, after = answer["first"], answer["after"]
        if answer["died"]:
            break
        if first["status"] != 0:
            return Death(point, scenario, f"ended by itself:\n{first['said']}")
        hit = 1
    else:
        return Death(point, scenario, died=False)
    if after["status"] != 0:
        return Death(point, scenario, f"the next one:\n{after['said']}")
    found = after["value"]
    return Death(point, scenario, "", found["operations"], found["lost"], found["probe_ms"])
