"""
A price file by lines, each cut into pieces with a kind, for a template to put colours to.

It reads no YAML: a piece of a wrong kind is a wrong colour, and nothing more.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MOST_LINES = 5_000
"""Shown on a page; a longer file is cut, and the page says so."""

MOST_CHARACTERS = 2_000
"""Of a line that is cut into pieces; a longer one is shown in one."""

_KINDS = (
    ("comment", r"(?:^|(?<=\s))#.*$"),
    ("name", r'"(?:[^"\\]|\\.)*"(?=\s*:(?:\s|$))'),
    ("key", r"[A-Za-z_/*][\w./*{}-]*(?=\s*:(?:\s|$))"),
    ("text", r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\''),
    ("variable", r"\$\{\w+\}"),
    ("word", r"(?<![\w/.-])(?:true|false|null)(?![\w/.-])"),
    ("number", r"(?<![\w/.-])-?[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|KiB|MiB)?(?![\w/.-])"),
    ("mark", r"[{}\[\],:]|(?:^|(?<=\s))-(?=\s)"),
)
_PIECE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS))
_SHOWN = {"key": "name"}


class Problem(Protocol):
    """What is wrong at a place."""

    @property
    def line(self) -> int:
        """From 1 on."""

    @property
    def column(self) -> int:
        """From 1 on."""

    @property
    def message(self) -> str:
        """What is wrong."""

    @property
    def hint(self) -> str:
        """What to do, or empty."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some characters of a line. kind: comment, name, text, variable, word, number, mark, plain."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its number from 1 on, and what is wrong in it."""

    number: int
    pieces: Sequence[Piece]
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Text:
    """The lines that are shown, and how many more there are."""

    lines: Sequence[Line]
    more: int = 0


def highlighted(text: str, problems: Iterable[Problem] = ()) -> Text:
    """Cut a text into lines and pieces; a problem beyond the last line stands at that one."""
    split = text.split("\n")
    if len(split) > 1 and not split[-1]:
        split.pop()
    found: dict[int, list[Problem]] = {}
    for problem in problems:
        found.setdefault(min(max(problem.line, 1), len(split)), []).append(problem)
    shown = split[:MOST_LINES]
    lines = [
        Line(number, pieces(line), found.get(number, [])) for number, line in enumerate(shown, 1)
    ]
    return Text(lines, len(split) - len(shown))


def pieces(line: str) -> list[Piece]:
    """Cut a line; put together, the pieces are the line."""
    if len(line) > MOST_CHARACTERS:
        return [Piece("plain", line)]
    cut, at = [], 0
    for match in _PIECE.finditer(line):
        if match.start() > at:
            cut.append(Piece("plain", line[at : match.start()]))
        assert match.lastgroup is not None
        cut.append(Piece(_SHOWN.get(match.lastgroup, match.lastgroup), match[0]))
        at = match.end()
    if at < len(line):
        cut.append(Piece("plain", line[at:]))
    return cut
