"""
What a test of money safety has shown, for the table of `make prove`.

A test calls `tell` when all that it asserts has held, never before: a row is evidence. Without
FAREBOX_PROOF (a file) nothing is written, so the same test is part of `make test`.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Proof:
    """One row. Losses are the worst of the run, in units of the credit type, of one fault or epoch."""

    layer: str  # T1 to T6
    what: str  # "Redis: append-only file cut", words that a reader understands without the code
    seeds: int = 0  # histories drawn by chance
    faults: int = 0  # caused on purpose
    operations: int = 0  # requests, or script calls where there are no requests
    violations: int = 0
    lost_by_house: int = 0  # served, never collected
    lost_by_customer: int = 0  # collected, never served
    allowed: str = ""  # what may be lost at most, and why: "window 60"
    slowest_probe_ms: int = 0  # from the end of a fault to the first request that was served


def tell(proof: Proof) -> None:
    """Add a row to the run's evidence."""
    path = os.environ.get("FAREBOX_PROOF")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(proof)) + "\n")  # one write: other processes append too


def told(path: Path) -> list[Proof]:
    """The rows of a run, in the order in which they were told."""
    names = {field.name for field in fields(Proof)}
    lines: Iterable[str] = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
    rows = [json.loads(line) for line in lines]
    return [Proof(**{name: row[name] for name in names}) for row in rows]
