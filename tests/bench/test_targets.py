"""Targets of the bench: what is met, and how a figure is shown."""

import pytest

from bench.targets import TARGETS, Target

MOST = Target("cpu", "CPU", must=1.3, aim=1.0)
LEAST = Target("posting", "posting", must=0.4, aim=0.6, least=True)
NONE = Target("unsettled", "holds", must=0, aim=0, unit="")


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (MOST, 1.3, ("met", "missed")),
        (MOST, 1.0, ("met", "met")),
        (MOST, 1.31, ("missed", "missed")),
        (LEAST, 0.4, ("met", "missed")),
        (LEAST, 0.39, ("missed", "missed")),
        (LEAST, 0.7, ("met", "met")),
        (NONE, 0, ("met", "met")),
        (NONE, 1, ("missed", "missed")),
        (MOST, None, ("not measured", "not measured")),
    ],
)
def test_a_bound_itself_is_met_and_what_was_not_measured_is_neither(
    target: Target, value: float | None, verdict: tuple[str, str]
) -> None:
    assert target.verdict(value) == verdict


@pytest.mark.parametrize("target", TARGETS)
def test_a_share_of_one_is_where_the_must_is_missed(target: Target) -> None:
    assert target.share(target.must) <= 1
    worse = target.must * (0.99 if target.least else 1.01) or 1
    assert target.share(worse) > 1
    assert target.verdict(worse)[0] == "missed"


@pytest.mark.parametrize("target", TARGETS)
def test_an_aim_is_never_easier_than_the_must(target: Target) -> None:
    assert target.verdict(target.aim)[0] == "met"


def test_what_is_better_than_nothing_has_a_share_of_none() -> None:
    growth = Target("growth", "growth", must=15, aim=5, unit="%")
    assert growth.share(-3.0) == 0.0
    assert growth.verdict(-3.0) == ("met", "met")
    assert LEAST.share(0.0) == float("inf")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0512, "0.051 x"), (1.234, "1.23 x"), (25.71, "25.7 x"), (283.4, "283 x")],
)
def test_figures_have_as_many_digits_as_mean_something(value: float, shown: str) -> None:
    assert MOST.shown(value) == shown


def test_every_target_has_a_name_of_its_own() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
