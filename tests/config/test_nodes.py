"""The reader gives what was written and where, and makes nothing of it."""

import pytest
import yaml

from config.reading import nodes
from config.reading.nodes import Mapping, Problems, Scalar, Sequence, read_nodes
from tests.config.files import EXAMPLE, problems


def read(text: str) -> Mapping:
    found = Problems()
    root = read_nodes(text, found)
    found.raise_any()
    assert root is not None
    return root


@pytest.mark.parametrize(
    "written", ["010", "1e3", "no", "2026-01-01", "0.10", "~", "1_000", "0x1F"]
)
def test_a_value_stays_the_text_that_was_written(written: str) -> None:
    _, value = read(f"key: {written}").entries["key"]
    assert value == Scalar(written, quoted=False, line=1, column=6)


def test_places_are_counted_from_one_in_characters() -> None:
    _, value = read("a: 1\n'é': [x, \"y\"]").entries["é"]
    assert isinstance(value, Sequence)
    assert value.items == [
        Scalar("x", quoted=False, line=2, column=7),
        Scalar("y", quoted=True, line=2, column=10),
    ]


def test_reading_goes_on_behind_a_duplicate_key() -> None:
    assert [p.line for p in problems("version: 1\nversion: 1\nprefix: 5\nrouts: 1\n")] == [
        1,
        2,
        3,
        4,
    ]


def test_problems_are_bounded() -> None:
    assert len(problems("version: 1\n" * 1000)) == nodes.MOST_PROBLEMS


@pytest.mark.parametrize(
    "text",
    [EXAMPLE, EXAMPLE.replace("[GET]", "&a [GET]"), "", "a: !!int 1", "- a", "a: 1\na: 1"],
)
def test_both_of_pyyaml_s_parsers_read_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [(p.line, p.column) for p in problems(text)]
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    assert [(p.line, p.column) for p in problems(text)] == usual
