"""What a row of the bench has found: tables, figures that have targets, and what was counted."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Count(NamedTuple):
    """Something counted in the same run, so that speed is not bought with wrong answers."""

    what: str
    expected: int
    found: int
    slack: int = 0
    """How far they may be apart, and why it is so stands in `what`."""

    @property
    def right(self) -> bool:
        return abs(self.expected - self.found) <= self.slack

    def __str__(self) -> str:
        says = "right" if self.right else "WRONG"
        return f"{self.what}: {self.expected:,} expected, {self.found:,} found: {says}"


@dataclass
class Table:
    """Cells as they are shown; the first column names the line."""

    title: str
    heads: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list)

    def markdown(self) -> list[str]:
        rule = "|".join("---" if not column else "---:" for column in range(len(self.heads)))
        rows = [f"| {' | '.join(line)} |" for line in (self.heads, *self.lines)]
        return [rows[0], f"|{rule}|", *rows[1:]]

    def text(self) -> list[str]:
        lines = [self.heads, *self.lines]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heads))]
        return [
            "  "
            + "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]


@dataclass
class Found:
    """
    What one row has found.

    said: what was compared with what, in a sentence or two.
    figures: by the name of their target, see `bench.targets`.
    shown: what the chart shows of it: CPU microseconds by name; only the first row has that.
    """

    said: str = ""
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shown: dict[str, float] = field(default_factory=dict)


def together(counts: list[Count]) -> list[Count]:
    """Add up what was counted under the same words, as in rounds."""
    sums: dict[str, Count] = {}
    for one in counts:
        known = sums.get(one.what, Count(one.what, 0, 0))
        sums[one.what] = Count(
            one.what,
            known.expected + one.expected,
            known.found + one.found,
            known.slack + one.slack,
        )
    return list(sums.values())
