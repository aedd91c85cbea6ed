"""
The process dies at every point, once each; the next one takes over, and all is well.

FAREBOX_POINTS says at how many points (`all`, default 20), FAREBOX_REPEATS how often at each (1),
FAREBOX_SEED which ones are drawn, FAREBOX_AT takes only those whose names have these words.
"""

import os
import random
from collections import defaultdict

import pytest

from tests.failpoints.deaths import Death, die_at
from tests.failpoints.listed import points_to_die_at
from tests.proof import Proof, tell

POINTS = os.environ.get("FAREBOX_POINTS", "20")
REPEATS = int(os.environ.get("FAREBOX_REPEATS", "1"))
SEED = int(os.environ.get("FAREBOX_SEED", "1"))
MISSED_ONE_IN = 50
"""Which of two tasks is quicker decides whether some points are passed; few may be missed so, of few none."""

AT = os.environ.get("FAREBOX_AT", "")


@pytest.mark.slow
def test_whoever_dies_anywhere_is_followed_by_one_that_finds_all_well(
    postgres_server: str, template_database: str, redis_url: str
) -> None:
    points = sorted(each for each in points_to_die_at() if AT in each[0])
    if POINTS != "all":
        points = random.Random(SEED).sample(points, min(int(POINTS), len(points)))
    deaths: list[Death] = []
    for repeat in range(REPEATS):
        stores = (postgres_server, template_database, redis_url)
        deaths += die_at(stores, points, seed=SEED, repeat=repeat)
    wrong = [death for death in deaths if death.wrong]
    shown = "\n".join(f"{each.point} ({each.scenario})" for each in wrong)
    assert not wrong, f"{len(wrong)} of {len(deaths)} deaths, their ends are above\n{shown}"
    missed = [death.point for death in deaths if not death.died]
    assert len(missed) <= len(deaths) // MISSED_ONE_IN, missed
    by_area: dict[str, list[Death]] = defaultdict(list)
    for death in deaths:
        if death.died:
            by_area[death.area].append(death)
    for area, died in sorted(by_area.items()):
        proof = Proof(
            layer="T3",
            what=f"killed before and after each wait: {area}",
            seeds=REPEATS,
            faults=len(died),
            operations=sum(death.operations for death in died),
            lost_by_house=max(death.lost for death in died),
            allowed="what the killed process had served and not settled",
            slowest_probe_ms=max(death.probe_ms for death in died),
        )
        print(proof)
        tell(proof)
