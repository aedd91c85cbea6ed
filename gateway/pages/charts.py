"""
Charts as inline SVG: bars whose places are worked out here, drawn by `chart.html`.

A chart never says more than the table beside it: that is its text alternative, and what a screen
reader is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 720
HEIGHT = 220
TOP = 12
BOTTOM = 28
LEFT = 64
RIGHT = 8

MOST_LABELS = 8
"""Below the bars; more would run into each other."""

LINES = {1: 5, 2: 4, 5: 5}
"""Across, by the first digit of the uppermost line's value: each stands for a round number."""


@dataclass(frozen=True, slots=True)
class Point:
    """One bar: what stands below it, its value, and the value as text."""

    label: str
    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar's place in the drawing."""

    x: float
    y: float
    width: float
    height: float
    point: Point
    shows_label: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line across, and the value it stands for."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: `bars` from left to right, `lines` from the bottom up."""

    width: int
    height: int
    left: int
    bars: Sequence[Bar]
    lines: Sequence[Line]

    @property
    def points(self) -> list[Point]:
        """What it shows."""
        return [bar.point for bar in self.bars]


def bars(points: Sequence[Point]) -> Chart:
    """Draw values of at least 0 as bars; the tallest reaches the uppermost line."""
    top = _round_up(max((point.value for point in points), default=0))
    inner = HEIGHT - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / max(len(points), 1)
    every = -(-len(points) // MOST_LABELS) or 1
    drawn = [
        Bar(
            x=round(LEFT + place * step + step * 0.12, 2),
            y=round(TOP + inner * (1 - point.value / top), 2),
            width=round(step * 0.76, 2),
            height=round(inner * point.value / top, 2),
            point=point,
            shows_label=place % every == 0,
        )
        for place, point in enumerate(points)
    ]
    lines = [
        Line(y=round(TOP + inner * (1 - value / top), 2), value=value) for value in _steps(top)
    ]
    return Chart(WIDTH, HEIGHT, LEFT, drawn, lines)


def shares(values: Sequence[int]) -> list[int]:
    """Return for each value of at least 0 how many hundredths of the largest it is."""
    largest = max(values, default=0) or 1
    return [round(100 * value / largest) for value in values]


def _round_up(largest: int) -> int:
    """Return the next 1, 2 or 5 times a power of ten, which reads well on an axis; at least 1."""
    size = 1
    while True:
        for digit in (1, 2, 5):
            if digit * size >= largest:
                return digit * size
        size *= 10


def _steps(top: int) -> list[int]:
    lines = min(LINES[int(str(top)[0])], top)
    return [top * step // lines for step in range(lines + 1)]
