"""The tables of the proof: as text for a terminal, and as Markdown for `docs/safety.md`."""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.proof import Proof
from tests.proving.layers import Layer

BEGIN, END = "<!-- proof: {} -->", "<!-- end of proof: {} -->"
HEADS = (
    "layer",
    "seeds",
    "faults",
    "operations",
    "violations",
    "lost by the house",
    "by customers",
    "slowest probe",
    "time",
)


@dataclass(frozen=True)
class Ran:
    """A layer that was run."""

    layer: Layer
    passed: bool
    rows: list[Proof]
    seconds: int

    def cells(self) -> tuple[str, ...]:
        """One line of the summary: sums, and the worst of what was lost."""
        rows = self.rows
        probe = max((row.slowest_probe_ms for row in rows), default=0)
        return (
            f"{self.layer.name} {self.layer.what}",
            _count(sum(row.seeds for row in rows)),
            _count(sum(row.faults for row in rows)),
            _count(sum(row.operations for row in rows)),
            f"{sum(row.violations for row in rows):,}" if self.passed else "FAILED",
            f"{max((row.lost_by_house for row in rows), default=0):,}",
            f"{max((row.lost_by_customer for row in rows), default=0):,}",
            f"{probe / 1000:.1f} s" if probe else "",
            f"{self.seconds // 60}:{self.seconds % 60:02}",
        )


def summary(ran: list[Ran]) -> str:
    """The layers as columns of text."""
    lines = [HEADS, *(result.cells() for result in ran)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def in_document(text: str, ran: list[Ran], *, long: bool) -> str:
    """The document with the tables of these layers put between their marks; those of others stay."""
    for result in ran:
        text = _between(text, result.layer.name, _markdown(result, long=long))
    return text


def _markdown(result: Ran, *, long: bool) -> str:
    heads = (
        "what",
        "seeds",
        "faults",
        "operations",
        "violations",
        "lost by the house",
        "by customers",
        "allowed",
        "slowest probe",
    )
    size = "a night" if long else "every change"
    lines = [
        f"{_day()}, size of {size}, {machine()}: passed in {result.cells()[-1]} minutes.",
        "",
        _row(heads),
        _row(
            "---" if not column or heads[column] == "allowed" else "---:"
            for column in range(len(heads))
        ),
        *(_row(_cells(row)) for row in result.rows),
    ]
    return "\n".join(lines)


def _cells(row: Proof) -> tuple[str, ...]:
    return (
        row.what,
        _count(row.seeds),
        _count(row.faults),
        _count(row.operations),
        f"{row.violations:,}",
        f"{row.lost_by_house:,}",
        f"{row.lost_by_customer:,}",
        row.allowed or "0",
        f"{row.slowest_probe_ms / 1000:.1f} s" if row.slowest_probe_ms else "",
    )


def machine() -> str:
    """What it ran on, in one line: figures mean little without."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) or [
        platform.machine()
    ]
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores of {names[0]}, Python {platform.python_version()}, load {load:.1f}"
    )


def _between(text: str, name: str, table: str) -> str:
    begin, end = BEGIN.format(name), END.format(name)
    before, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"the document lacks the marks {begin} and {end}")
    return f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _day() -> str:
    return datetime.now(UTC).date().isoformat()
