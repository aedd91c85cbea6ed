"""Price texts by line and colour."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages.admin.highlight import MOST_LINES, highlighted, pieces


@dataclass(frozen=True)
class Wrong:
    line: int
    column: int = 1
    message: str = "odd"
    hint: str = ""


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_the_pieces_of_a_line_are_the_line(line: str) -> None:
    assert "".join(piece.text for piece in pieces(line)) == line


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ("# all of it", "comment", "# all of it"),
        ("price: 2  # why", "comment", "# why"),
        ("price: 2", "name", "price"),
        ("  - path: /v1/*", "name", "path"),
        ('"a key": 1', "name", '"a key"'),
        ("name: 'it''s'", "text", "'it''s'"),
        ('url: "http://x"', "text", '"http://x"'),
        ("token: ${TOKEN}", "variable", "${TOKEN}"),
        ("observe: true", "word", "true"),
        ("timeout: 30s", "number", "30s"),
        ("credits: 12.50", "number", "12.50"),
        ("price: { flat: 1 }", "mark", "{"),
    ],
)
def test_a_piece_has_its_kind(line: str, kind: str, text: str) -> None:
    assert (kind, text) in [(piece.kind, piece.text) for piece in pieces(line)]


def test_what_only_looks_so_has_another_kind() -> None:
    assert [piece.kind for piece in pieces("path: /v1/a#b")][-1] == "plain"
    assert "number" not in [piece.kind for piece in pieces("model: v2x")]


def test_the_shipped_example_is_cut_without_loss() -> None:
    text = (Path(__file__).parents[4] / "gateway/demo/demo.yaml").read_text("utf-8")
    shown = highlighted(text)
    again = "\n".join("".join(piece.text for piece in line.pieces) for line in shown.lines)
    assert again == text.rstrip("\n")


def test_a_problem_stands_at_its_line_and_one_beyond_at_the_last() -> None:
    shown = highlighted("a: 1\nb: 2\n", [Wrong(2), Wrong(9), Wrong(0)])

    assert [len(line.problems) for line in shown.lines] == [1, 2]


def test_a_long_text_is_cut_and_says_so() -> None:
    shown = highlighted("a: 1\n" * (MOST_LINES + 7))

    assert (len(shown.lines), shown.more) == (MOST_LINES, 7)


def test_a_very_long_line_is_one_piece() -> None:
    [piece] = pieces("a" * 1_000_000)
    assert piece.kind == "plain"
