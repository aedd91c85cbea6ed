"""
The list of points that is kept: which scenario dies where, in `points.txt`.

    [ledger: a charge]
    ledger.holds:HoldBlock.__aenter__: await self._holds.open()

A wait stands under the scenario that passes it soonest, or one point of it, as `before ...`, where
the other is never passed. `python -m tests.failpoints` plays all
scenarios and writes it anew; what none reaches stands in `unreached.py`, with why.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from tests.failpoints.source import Wait, all_waits
from tests.failpoints.unreached import UNREACHED

LIST = Path(__file__).parent / "points.txt"


def excused() -> frozenset[str]:
    """Points that nobody has to reach: on the list with a reason, or where only a fault leads."""
    named = {name for names in UNREACHED.values() for name in names}
    points = set()
    for wait in all_waits():
        for point in wait.points:
            if wait.handling or named & {wait.name, point, wait.module, _function(wait)}:
                points.add(point)
    return frozenset(points)


def read() -> dict[str, str]:
    """The scenario of each wait; of one point alone, where its other one is never passed."""
    found: dict[str, str] = {}
    scenario = ""
    for line in LIST.read_text("utf-8").splitlines():
        if line.startswith("["):
            scenario = line[1:-1]
        elif line:
            found[line] = scenario
    return found


def points_to_die_at() -> Iterator[tuple[str, str]]:
    """Every point that is not excused, and the scenario that dies there."""
    scenarios, without = read(), excused()
    for wait in all_waits():
        for point in wait.points:
            scenario = scenarios.get(point) or scenarios.get(wait.name)
            if point not in without and scenario:
                yield point, scenario


def write(reached: Mapping[str, AbstractSet[str]], order: Mapping[str, float]) -> None:
    """Write the list: every wait under the quickest of the scenarios that reach most of it."""
    under: dict[str, list[str]] = {name: [] for name in sorted(order)}
    for wait in all_waits():
        by = {name: sum(point in reached[name] for point in wait.points) for name in order}
        if max(by.values()):
            best = max(by, key=lambda name: (by[name], -order[name]))
            passed = [point for point in wait.points if point in reached[best]]
            under[best] += [wait.name] if len(passed) == len(wait.points) else passed
    text = "\n".join(f"[{name}]\n" + "".join(f"{w}\n" for w in under[name]) for name in under)
    LIST.write_text(text, "utf-8")


def _function(wait: Wait) -> str:
    return f"{wait.module}:{wait.function}"
