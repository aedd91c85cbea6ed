"""
The scripts against the model: any calls in any order give the same answers and facts.

FAREBOX_EXAMPLES sets how many histories are tried on each server, FAREBOX_STEPS how many steps
each has. A history that fails is shown as it is; FAREBOX_SHRINK=1 makes it small first, which
takes minutes.
"""

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.script_rig import SCRIPTS
from tests.ledger.shard_machine import ShardMachine, Tally
from tests.proof import Proof, tell

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "40"))
STEPS = int(os.environ.get("FAREBOX_STEPS", "40"))
PHASES = [Phase.generate, Phase.shrink] if os.environ.get("FAREBOX_SHRINK") else [Phase.generate]
ENOUGH_STEPS = 10_000
"""From so many on, every script must have been let pass; a single history need not meet them all."""


def test_every_script_has_a_rule(each_redis_url: str) -> None:
    """One that is new in the folder is not in the proof before it is in the machine."""
    tally = Tally()
    machine = ShardMachine(each_redis_url, tally)
    machine.agree()
    machine.tick(0, 1, 9)
    machine.late_under_a_key(0, 1, 1, acknowledged=True)
    machine.memory_becomes_full()
    for seed in range(20):
        machine.tick(0, seed, 2)
    machine.memory_is_freed()
    machine.new_control(
        account=1, kind="g", credit_type=1, amount=5, priority=1, lives_ms=None, pick=1, send=True
    )
    machine.expire_lots(1)
    machine.turn_dials(cap=200, window=500, credit_type=1)
    machine.agree()
    machine.acknowledge_all([])
    machine.agree()
    machine.block(1, really=True)
    machine.unload(2, moved=False)
    machine.open_session(0)
    machine.drop_session(0, used_since=False)
    machine.agree()
    machine.begin_epoch()
    machine.agree()
    machine.teardown()
    assert [name for name in SCRIPTS.names if not tally.answers[name, "OK"]] == []


@pytest.mark.slow
def test_the_scripts_do_what_the_model_does(each_redis_url: str, server_name: str) -> None:
    tally = Tally()
    run_state_machine_as_test(
        partial(ShardMachine, each_redis_url, tally),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{server_name}: {tally}")
    if tally.steps >= ENOUGH_STEPS:
        assert [name for name in SCRIPTS.names if not tally.answers[name, "OK"]] == []
    whole, full = sum(tally.calls.values()), sum(tally.calls_while_full.values())
    what = f"{server_name}: {tally.steps:,} steps of every script, in any order"
    tell(Proof("T2", what, seeds=tally.histories, operations=whole - full))
    what = f"{server_name}: the same while memory is full"
    tell(Proof("T2", what, faults=tally.filled, operations=full))  # its histories are those above
