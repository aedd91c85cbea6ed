"""
Text to positioned nodes: the plain part of YAML, and nothing that could surprise.

PyYAML's own constructors turn `1e3`, `no`, `2026-01-01` and `010` into floats, booleans, dates and
octals. Here a scalar stays the text that was written, with its place, and what it means
is decided by the key it stands under.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from config.problems import PriceFileError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_FILE = 4 * 1024 * 1024
"""Characters. Ten thousand routes fit; a log file given by mistake does not."""

DEEPEST_NESTING = 16
"""The price file needs 6; a limit keeps hostile nesting from costing stack or time."""

MOST_PROBLEMS = 50
"""More than that helps nobody, and a wrong kind of file has one in each line."""

# libyaml is part of PyYAML's wheels; the parser in Python reads the same files, more slowly.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written, without quotes."""

    text: str
    quoted: bool
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: "list[Node]"
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in file order, each once."""

    entries: "dict[str, tuple[Scalar, Node]]"
    line: int
    column: int


Node = Scalar | Sequence | Mapping


@dataclass(slots=True)
class Problems:
    """Collects what is wrong, so that one reading reports everything it can."""

    found: list[Problem] = field(default_factory=list)

    def add(self, at: Node, message: str, hint: str = "") -> None:
        """Note a problem at the place of a node."""
        if len(self.found) < MOST_PROBLEMS:
            self.found.append(Problem(at.line, at.column, message, hint))

    def raise_any(self) -> None:
        """
        End the reading if anything was noted.

        Raises:
            PriceFileError: With all of it.
        """
        if self.found:
            raise PriceFileError(self.found)


def read_nodes(text: str, problems: Problems) -> Mapping | None:
    """
    Read the file's text into nodes; duplicate keys and the like are noted, the rest is still read.

    Raises:
        PriceFileError: The text is not YAML at all, so nothing after that place can be judged.
    """
    if len(text) > LONGEST_FILE:
        raise PriceFileError([Problem(1, 1, f"The file has more than {LONGEST_FILE} characters.")])
    try:
        return _compose(yaml.parse(text, Loader=_LOADER), problems)
    except yaml.MarkedYAMLError as error:
        raise PriceFileError([*problems.found, _syntax(error, text)]) from error
    except (yaml.YAMLError, UnicodeError) as error:
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        sentence = "The file has a character that YAML does not allow."
        raise PriceFileError([*problems.found, Problem(line, 1, sentence)]) from error


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    written = text.split("\n")[line - 1 : line]
    hint = ""
    if written and "{" in written[0]:
        # The mistake that everybody makes once: { path: /v1/{id} }.
        hint = "Put a text that has { or } in quotes."
    elif begun and begun.line + 1 != line:
        hint = f"Look at what begins in line {begun.line + 1}."
    return Problem(line, column, f"This is not valid YAML: {error.problem or error.context}.", hint)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    node: Mapping | Sequence
    key: Scalar | None = None
    doubled: bool = False


def _compose(events: "Iterator[yaml.Event]", problems: Problems) -> Mapping | None:
    """Put events together with a stack of our own: nesting costs no recursion."""
    root: Node | None = None
    stack: list[_Open] = []
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                problems.add(_place(event), "The file has a second document.", "Remove the `---`.")
                return None
            continue
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node: Node = stack.pop().node
        elif isinstance(event, yaml.AliasEvent):
            node = _place(event)
            problems.add(node, f"`*{event.anchor}` is an alias.", "Write the value out.")
        elif isinstance(event, yaml.NodeEvent):
            _refuse_decorations(event, problems)
            opened = _begin(event)
            if not isinstance(opened, Scalar):
                if len(stack) >= DEEPEST_NESTING:
                    problems.add(opened, "This is nested deeper than any price file needs.")
                    return None
                stack.append(_Open(opened))
                continue
            node = opened
        else:
            continue
        if stack:
            _attach(stack[-1], node, problems)
        else:
            root = node
    if isinstance(root, Mapping):
        return root
    where = root or Scalar("", quoted=False, line=1, column=1)
    problems.add(where, "A price file is a mapping.", "Begin it with `version: 1`.")
    return None


def _begin(event: yaml.NodeEvent) -> Node:
    place = _place(event)
    if isinstance(event, yaml.MappingStartEvent):
        return Mapping({}, place.line, place.column)
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, bool(event.style), place.line, place.column)
    return Sequence([], place.line, place.column)


def _place(event: yaml.Event) -> Scalar:
    mark = event.start_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Scalar("", quoted=False, line=line, column=column)


def _refuse_decorations(event: yaml.NodeEvent, problems: Problems) -> None:
    if event.anchor is not None:
        problems.add(_place(event), f"`&{event.anchor}` is an anchor.", "Write the value out.")
    if not isinstance(event, yaml.AliasEvent) and (tag := getattr(event, "tag", None)) is not None:
        problems.add(_place(event), f"`{tag}` is a tag.", "Remove it.")


def _attach(parent: _Open, node: Node, problems: Problems) -> None:
    if isinstance(parent.node, Sequence):
        parent.node.items.append(node)
        return
    if parent.key is None:
        parent.key, parent.doubled = _key(node, problems), False
        first = parent.node.entries.get(parent.key.text)
        if first is not None:
            parent.doubled = True
            hint = f"It is in line {first[0].line} already; keep one."
            problems.add(node, f"The key `{parent.key.text}` is given twice.", hint)
        elif parent.key.text == "<<" and not parent.key.quoted:
            parent.doubled = True
            problems.add(node, "`<<` merges are not read.", "Write the keys out.")
        return
    if not parent.doubled:
        parent.node.entries[parent.key.text] = (parent.key, node)
    parent.key = None


def _key(node: Node, problems: Problems) -> Scalar:
    if isinstance(node, Scalar):
        return node
    problems.add(node, "A key must be a plain word.")
    return Scalar("", quoted=False, line=node.line, column=node.column)
