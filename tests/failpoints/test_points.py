"""The list of points is the source's: a new wait needs a scenario that reaches it, or a reason."""

from collections import Counter

from tests.failpoints import listed
from tests.failpoints.source import EXEMPT, ROOT, all_waits
from tests.failpoints.unreached import UNREACHED

HOW = "write a scenario that reaches it, then run: python -m tests.failpoints"


def test_every_wait_that_touches_money_has_a_scenario_that_dies_there() -> None:
    reached = {point for point, _ in listed.points_to_die_at()} | listed.excused()
    assert [p for wait in all_waits() for p in wait.points if p not in reached] == [], HOW


def test_the_list_names_no_wait_that_is_gone() -> None:
    there = {name for wait in all_waits() for name in (wait.name, *wait.points)}
    assert listed.read().keys() - there == set(), HOW


def test_no_two_waits_have_one_name() -> None:
    names = Counter(wait.name for wait in all_waits())
    assert [name for name, count in names.items() if count > 1] == []


def test_what_is_excused_is_there() -> None:
    waits = all_waits()
    names = {name for wait in waits for name in (wait.name, *wait.points, wait.module)}
    names |= {f"{wait.module}:{wait.function}" for wait in waits}
    excused = {name for names in UNREACHED.values() for name in names}
    assert excused - names == set()
    assert [path for path in EXEMPT if not (ROOT / path).exists()] == []
