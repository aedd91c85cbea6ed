"""The figures of many seeds, as rows of the proof and as the table of mutants."""

from collections import Counter
from pathlib import Path

import pytest

from tests.proof import told
from tests.simulation.faults import FAULTS
from tests.simulation.figures import BEGIN, END, Total, Tried, write
from tests.simulation.mutants import Mutant
from tests.simulation.run import Outcome

ROWS = [
    Tried(Mutant("window", "holds are granted without end"), 3, "57 are held | too many"),
    Tried(Mutant("freeze", "an epoch goes on", expected=False, why="it ends anyway"), 40, ""),
]


def test_the_table_of_mutants_goes_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "safety.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, ROWS)
    lines = document.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert "| window | holds are granted without end | 3 | 57 are held / too many |" in lines
    assert "| freeze | an epoch goes on | not in 40 | it ends anyway |" in lines


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "safety.md"
    document.write_text("nothing here\n")
    with pytest.raises(SystemExit):
        write(document, ROWS)
    assert document.read_text() == "nothing here\n"


def test_a_run_tells_each_fault_and_the_worst_of_each_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAREBOX_PROOF", str(tmp_path / "proof"))
    total = Total()
    for worst in (4, 9, 2):
        figures = {"seeds": 1, "requests": 10, "flush": 2, "worst_double_fault": worst}
        stats = Counter(figures, worst_allowed=40, units_lost_with_postgres=worst)
        total.add(Outcome(1, [], stats, [], 0, []))
    total.tell()
    rows = told(tmp_path / "proof")
    assert len(rows) == 3 + len(FAULTS)
    assert (rows[0].seeds, rows[0].operations, rows[0].lost_by_house) == (3, 30, 0)
    assert sum(row.faults for row in rows) == 6
    assert [(row.lost_by_house, row.allowed) for row in rows[-2:]] == [
        (9, "window 40"),
        (9, "what the standby lacked"),
    ]
