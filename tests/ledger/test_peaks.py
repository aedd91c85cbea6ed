"""How much passes at most: the busiest moment counts for an hour, and catching up is none."""

import pytest

from ledger.peaks import Peaks
from ledger.records import Meta, TypeMeta
from tests.ledger.quick_clock import QuickClock

LOOK_S = 5.0


class Traffic:
    """A shard's counters, looked at every five seconds."""

    def __init__(self) -> None:
        self.clock = QuickClock()
        self.peaks = Peaks(self.clock)
        self.held = 0
        self.epoch = 1

    def look(self, held: int = 0, *, after_s: float = LOOK_S, posted: int = 0) -> int:
        """Let so many units be held, look, and return the peak."""
        self.clock.slept_s += after_s
        self.held += held
        types = (TypeMeta(1, self.held, self.held, posted, 1_000),)
        self.peaks.see(Meta(self.epoch, 1, 1, 1, 0, 0, False, "", types))
        return self.peaks.of(1)


@pytest.fixture
def traffic() -> Traffic:
    traffic = Traffic()
    assert traffic.look(1_000) == 0  # there is nothing to compare the first look with
    return traffic


def test_ten_seconds_at_the_busiest_moment_count(traffic: Traffic) -> None:
    assert traffic.look(50) == 100
    assert traffic.look(10) == 100
    assert traffic.look(51) == 102
    assert traffic.peaks.of(2) == 0


def test_a_look_that_came_late_is_no_peak(traffic: Traffic) -> None:
    assert traffic.look(50, after_s=50) == 10
    assert traffic.look(1_000_000, after_s=61) == 10
    assert traffic.look(3, after_s=0.001) == 30


def test_a_peak_counts_for_an_hour(traffic: Traffic) -> None:
    assert traffic.look(50) == 100
    seen = [traffic.look(5) for _ in range(710)]
    assert seen[-1] == 100
    seen = [traffic.look(5) for _ in range(20)]
    assert seen[-1] == 10
    assert len(traffic.peaks._minutes) <= 61


def test_what_is_posted_late_at_once_is_no_peak(traffic: Traffic) -> None:
    assert traffic.look(50) == 100
    assert traffic.look(0, posted=1_000_000) == 100


def test_counters_of_another_epoch_are_not_compared(traffic: Traffic) -> None:
    traffic.epoch, traffic.held = 2, 0
    assert traffic.look(0) == 0
    traffic.epoch = 3
    assert traffic.look(1_000_000) == 0
    assert traffic.look(1) == 2
