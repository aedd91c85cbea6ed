"""The mutants of `lua_mutants` are of the scripts as they stand, and are noticed."""

import pytest

from tests.ledger.lua_mutants import MUTANTS, Mutant, MutantScripts, noticed
from tests.ledger.script_rig import SCRIPTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_every_mutant_changes_a_script(mutant: Mutant) -> None:
    broken = MutantScripts(mutant)

    assert [name for name in SCRIPTS.names if broken[name] != SCRIPTS[name]] != []


def test_every_script_has_a_mutant() -> None:
    broken = {
        name
        for mutant in MUTANTS
        for name in SCRIPTS.names
        if MutantScripts(mutant)[name] != SCRIPTS[name] and mutant.file in (name, "parts/settle")
    }

    assert sorted(broken) == SCRIPTS.names


@pytest.mark.slow
def test_credit_that_is_given_back_twice_is_noticed(redis_url: str) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.what == "tick: settle gives back twice"]

    _, why = noticed(redis_url, mutant)

    assert why != ""
