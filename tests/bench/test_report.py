"""The report of a run: its table of targets, its three files, and what documents take from it."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.found import Count, Found, Table, together
from bench.report import BEGIN, END, Report, in_document, newest, write_into
from bench.targets import TARGETS

DAY = "2026-01-02"


def report() -> Report:
    cpu = Found(
        said="CPU of the processes.",
        tables=[
            Table("32 connections", ("peer", "CPU"), [("farebox", "33.0"), ("nginx+lua", "30.0")])
        ],
        figures={"cpu nginx+lua": 1.1, "posting": 0.3},
        counts=[Count("units charged", 100, 99, 1)],
        notes=["one note"],
        shown={"farebox": 33.0, "nginx+lua": 30.0, "simple <&>": 2_000.0},
    )
    return Report({"machine": "2 cores", "python": "3.11"}, {"cpu": cpu}, ["hello: no time"], DAY)


def test_every_target_is_in_the_table_with_its_verdict() -> None:
    lines = {line[0]: line[1:] for line in report().targets().lines}
    assert list(lines) == [target.what for target in TARGETS]
    assert lines["CPU per request against nginx + Lua + Redis"] == (
        "1.10 x",
        "≤ 1.30 x",
        "met",
        "≤ 1.00 x",
        "missed",
    )
    assert lines["posting against COPY of the same rows"][1:3] == ("≥ 0.40 x", "missed")
    assert lines["memory of an idle worker"] == (
        "",
        "≤ 60.0 MB",
        "not measured",
        "≤ 45.0 MB",
        "not measured",
    )


def test_a_count_that_is_off_by_more_than_it_may_makes_the_run_wrong() -> None:
    found = report()
    assert found.is_right
    found.rows["cpu"].counts.append(Count("holds open", 0, 1))
    assert not found.is_right
    assert "holds open: 0 expected, 1 found: WRONG" in found.text()


def test_counts_of_rounds_are_added_up() -> None:
    rounds = [Count("held", 10, 10), Count("open", 0, 0), Count("held", 10, 9, 2)]
    assert together(rounds) == [Count("held", 20, 19, 2), Count("open", 0, 0)]


def test_a_run_is_kept_as_three_files_that_say_the_same(tmp_path: Path) -> None:
    kept = report().save(tmp_path / "results")

    assert sorted(file.suffix for file in kept.parent.iterdir()) == [".json", ".md", ".svg"]
    told = json.loads(kept.with_suffix(".json").read_text())
    assert told["figures"] == {"cpu nginx+lua": 1.1, "posting": 0.3}
    assert told["machine"]["machine"] == "2 cores"
    assert told["rows"]["cpu"]["tables"][0]["lines"][0] == ["farebox", "33.0"]
    text = kept.read_text()
    for words in ("1.10 x", "one note", "| farebox | 33.0 |", f"({DAY}.svg)", "hello: no time"):
        assert words in text


def test_the_chart_is_well_formed_and_reads_in_light_and_dark() -> None:
    drawn = report().chart()
    root = ET.fromstring(drawn)
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"farebox", "simple <&>", "33.0", "2,000.0", "1.10 x", "0.30 x"} <= set(shown)
    kinds = [bar.get("class") for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert kinds == ["page", "us", "them", "them", "met", "missed"]
    assert "prefers-color-scheme: dark" in drawn
    used = set(re.findall(r'class="(\w+)"', drawn))
    dark = drawn.partition("prefers-color-scheme: dark")[2]
    assert all(f".{kind}" in dark for kind in used)


def test_no_bar_reaches_over_the_edge() -> None:
    found = report()
    found.rows["cpu"].figures = {target.name: 1e9 for target in TARGETS if not target.least}
    root = ET.fromstring(found.chart())
    width = float(root.get("viewBox", "").split()[2]) - 20
    bars = root.iter("{http://www.w3.org/2000/svg}rect")
    ends = [float(bar.get("x", "0")) + float(bar.get("width", "0")) for bar in bars]
    assert max(ends[1:]) < width


def test_a_chart_of_nothing_is_still_one() -> None:
    ET.fromstring(Report({}, day=DAY).chart())


def test_documents_get_the_table_of_the_newest_run_between_their_marks(tmp_path: Path) -> None:
    older = report()
    older.day, older.rows["cpu"].figures = "2025-12-31", {"posting": 0.9}
    older.save(tmp_path)
    report().save(tmp_path)
    document = tmp_path / "README.md"
    document.write_text(f"before\n{BEGIN}\nold words\n{END}\nafter\n")

    assert write_into([document], tmp_path) == f"{DAY}: {document}"
    once = document.read_text()
    write_into([document], tmp_path)

    assert document.read_text() == once
    assert once.startswith(f"before\n{BEGIN}\n| figure |")
    assert once.endswith(f"{END}\nafter\n")
    assert "1.10 x" in once
    assert "machine 2 cores; python 3.11." in once
    assert "old words" not in once


def test_without_a_kept_run_documents_stay_as_they_are(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("as it is")
    assert newest(tmp_path) is None
    assert "no run is kept" in write_into([document], tmp_path)
    assert document.read_text() == "as it is"


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        in_document("nothing here", "table")
