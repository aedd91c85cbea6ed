"""A slice of the chaos on real processes; `python -m tests.chaos` runs as much as you like."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, Planned, schedule
from tests.chaos.judge import Violation
from tests.chaos.run import Size, play, stage

pytestmark = pytest.mark.anyio

SLICE = (
    [Planned("kill -9 of a worker", ("g1",), 0.2)],
    [
        Planned(
            "kill -9 of gateways and Redis at once, its file cut", ("g2",), 0.2, bytes_lost=5_000
        )
    ],
    [
        Planned("connections to Postgres half open", ("g1",), 0.5),
        Planned("kill -9 of Redis, its file cut", ("g1",), 0.5, bytes_lost=700),
    ],
    [Planned("COMMIT done, answer lost", ("g1", "g2"), 0.2)],
    [Planned("SIGSTOP of the workers", ("g1",), 0.5)],
)
REQUESTS = 500
PATIENCE_S = 120.0  # `make prove` asks for 30 s and 60 s; a busy machine is no reason to fail here


@pytest.mark.slow
async def test_after_each_fault_it_serves_again_and_all_three_tell_the_same(folder: Path) -> None:
    size = Size(
        seed=1,
        faults=6,
        requests=REQUESTS,
        clients=8,
        probe_limit_s=PATIENCE_S,
        quiet_limit_s=PATIENCE_S,
    )
    async with stage(folder, size) as at:
        told = await play(at, list(SLICE))
        assert told.requests >= REQUESTS
        assert told.rests == 1
        assert sum(row.faults for row in told.rows.values()) == size.faults
        # And it would have been seen: an oracle that served one request less.
        at.judge.before = b""
        with pytest.raises(Violation, match="more than was served"):
            await at.judge._look()


def test_a_seed_plans_the_same_again_and_all_kinds_of_faults() -> None:
    gateways = ["g1", "g2", "g3"]
    plans = schedule(7, 200, gateways, 12.0)
    assert plans == schedule(7, 200, gateways, 12.0) != schedule(8, 200, gateways, 12.0)
    assert sum(map(len, plans)) == 200
    counted = Counter(one.kind for group in plans for one in group)
    assert counted.keys() == FAULTS.keys()
    assert any(len(group) == 2 for group in plans)
