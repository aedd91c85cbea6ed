"""
The ledger's protocol in the simulator: a slice of what `python -m tests.simulation` runs.

FAREBOX_SEEDS says how many seeds; FAREBOX_FIRST_SEED where to begin.
"""

import os
import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, applied
from tests.simulation.run import simulate

SEEDS = int(os.environ.get("FAREBOX_SEEDS", "24"))
FIRST = int(os.environ.get("FAREBOX_FIRST_SEED", "1"))
SLICES = 4
MOST_SEEDS = 40
QUICKLY_CAUGHT = ("settle until confirmed", "window", "open holds at the start")


@pytest.mark.parametrize("part", range(SLICES))
def test_no_invariant_breaks_whatever_goes_wrong(part: int) -> None:
    """Crashes that lose writes, split brain, swapped data, outages, kills, pauses, bad networks."""
    wrong = {
        outcome.seed: outcome.findings
        for seed in range(FIRST + part, FIRST + SEEDS, SLICES)
        if (outcome := simulate(seed)).findings
    }
    assert wrong == {}


def test_a_seed_replays_exactly() -> None:
    """The same story to the last word, told or not, and in an interpreter that hashes anew."""
    first, again, silent = simulate(7, tell=True), simulate(7, tell=True), simulate(7)
    assert first.story == again.story
    assert first.digest == again.digest == silent.digest
    command = [sys.executable, "-m", "tests.simulation", "--seed", "7"]
    elsewhere = subprocess.run(command, capture_output=True, check=True, text=True)
    assert f"digest {first.digest:08x}" in elsewhere.stdout


@pytest.mark.parametrize("name", QUICKLY_CAUGHT)
def test_a_protocol_without_one_of_its_mechanisms_is_noticed(name: str) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    with applied(mutant) as scripts:
        assert any(simulate(seed, scripts=scripts).findings for seed in range(1, MOST_SEEDS))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_finds_what_it_removes(mutant: object) -> None:
    with applied(mutant):  # type: ignore[arg-type]
        pass
