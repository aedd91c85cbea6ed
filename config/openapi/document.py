"""
The text of an OpenAPI document, JSON or YAML, as plain values whose places are known.

Unlike the price file it is somebody else's: YAML anchors are read, numbers stay text, and nothing
is refused that has no bearing on which operations there are.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from config.problems import OpenApiError, Problem

LONGEST_DOCUMENT = 32 * 1024 * 1024
"""Characters; the largest public ones have a third of it."""

DEEPEST_NESTING = 200
"""Schemas nest; hostile nesting must cost neither stack nor time."""

Path = tuple[str, ...]
"""The keys that lead to a value, from the top."""

Place = tuple[int, int]
"""Line and column, counted from 1."""

# Numbers stay text: none of them matters here, and a long one would cost much.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_SPACE = re.compile(r"[ \t\n\r]*")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Document:
    """What the text says, and where."""

    def __init__(
        self,
        root: dict[str, Any],
        text: str,
        places: Mapping[Path, Place] | None = None,
        keys: Mapping[int, Mapping[str, Place]] | None = None,
    ) -> None:
        """
        Keep a read document.

        `places` knows paths and operations of JSON, whose other keys are looked for when it
        matters; `keys`, of YAML, where the keys of each mapping are, by its id.
        """
        self.root = root
        self._text = text
        self._places = places or {}
        self._keys = keys

    def wrong(self, path: Path, message: str, hint: str = "") -> OpenApiError:
        """Make the error that says what is wrong where; the place is as near as there is one."""
        line, column = self.place(path)
        sentence = f"{message} (at {pointer_to(path)})" if path else message
        return OpenApiError(Problem(line, column, sentence, hint))

    def place(self, path: Path) -> Place:
        """Find where a key is written, or the nearest one above it that is there."""
        if self._keys is not None:
            return self._in_yaml(path, self._keys)
        return self._places.get(path) or self._in_json(path)

    def _in_yaml(self, path: Path, keys: Mapping[int, Mapping[str, Place]]) -> Place:
        place, value = (1, 1), self.root
        for key in path:
            if not isinstance(value, dict) or key not in value:
                break
            place = keys[id(value)].get(key, place)
            value = value[key]
        return place

    def _in_json(self, path: Path) -> Place:
        at = found = _skip(self._text, 0)
        for key in path:
            if self._text[at] != "{":
                break
            member = next((m for m in _members(self._text, at) if m[0] == key), None)
            if member is None:
                break
            _, found, at = member
        return _Lines(self._text).place(found)


def pointer_to(path: Path) -> str:
    """Write a path as a JSON pointer in a fragment."""
    return "#/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in path)


def read_document(text: str) -> Document:
    """
    Read JSON or YAML.

    Raises:
        OpenApiError: It is neither, or no mapping, or a key that matters is there twice.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > LONGEST_DOCUMENT:
        sentence = f"The document has more than {LONGEST_DOCUMENT} characters."
        raise OpenApiError(Problem(1, 1, sentence))
    if text.lstrip(" \t\r\n").startswith("{"):
        return _read_json(text)
    return _YamlReader(text).read()


def _read_json(text: str) -> Document:
    at = _skip(text, 0)
    try:
        root, end = _DECODER.raw_decode(text, at)
        places = _Keys(text).read(at)
    except json.JSONDecodeError as error:
        problem = Problem(error.lineno, error.colno, f"This is not valid JSON: {error.msg}.")
        raise OpenApiError(problem) from error
    except RecursionError as error:
        raise OpenApiError(Problem(1, 1, "The document is nested too deep.")) from error
    if _skip(text, end) < len(text):
        place = _Lines(text).place(_skip(text, end))
        raise OpenApiError(Problem(*place, "Something follows the end of the document."))
    return Document(root, text, places)


class _Keys:
    """Walks a JSON document's paths: where they are, and that none is there twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = _Lines(text)
        self._places: dict[Path, Place] = {}

    def read(self, at: int) -> dict[Path, Place]:
        # JSON takes the last of two without a word: an operation would be lost.
        for name, paths in self._once((), at).items():
            if name == "paths" and self._text[paths] == "{":
                for path, item in self._once(("paths",), paths).items():
                    if self._text[item] == "{":
                        self._once(("paths", path), item)
        return self._places

    def _once(self, path: Path, at: int) -> dict[str, int]:
        """Give where the value of each key begins; a key given twice is refused."""
        found: dict[str, int] = {}
        for key, begins, value in _members(self._text, at):
            place = self._places[*path, key] = self._lines.place(begins)
            if key in found:
                sentence = f"The key `{key}` is given twice (in {pointer_to(path)})."
                raise OpenApiError(Problem(*place, sentence))
            found[key] = value
        return found


class _Lines:
    """Turns offsets into places; counting lines from the top for each would take long."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, at: int) -> Place:
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Give the keys of the JSON object that begins at `at`: each with its place and its value's."""
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        yield key, at, value
        at = _skip(text, _DECODER.raw_decode(text, value)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    value: Any
    anchor: str | None
    key: str | None = None
    place: Place = (1, 1)


class _YamlReader:
    """Puts YAML's events together with a stack of its own: nesting costs no recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: dict[int, dict[str, Place]] = {}
        self._anchors: dict[str, Any] = {}
        self._stack: list[_Open] = []
        self._root: Any = None

    def read(self) -> Document:
        documents = 0
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _at(event, "The file has a second document.")
                elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                    self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            sentence = f"This is not valid YAML: {error.problem or error.context}."
            raise OpenApiError(Problem(line, column, sentence)) from error
        except (yaml.YAMLError, UnicodeError) as error:
            sentence = "The document has a character that YAML does not allow."
            line = self._text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
            raise OpenApiError(Problem(line, 1, sentence)) from error
        if not isinstance(self._root, dict):
            raise OpenApiError(Problem(1, 1, "An OpenAPI document is a mapping.", _BEGINNING))
        return Document(self._root, self._text, keys=self._places)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            ended = self._stack.pop()
            if ended.anchor is not None:
                self._anchors[ended.anchor] = ended.value
            self._put(ended.value, event)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _at(event, f"`*{event.anchor}` is not defined before, or is part of itself.")
            self._put(self._anchors[event.anchor], event)
        elif isinstance(event, yaml.ScalarEvent):
            plain = not event.style and event.tag is None
            text = event.value
            value = _WORDS.get(text.lower(), text) if plain else text
            if event.anchor is not None:
                self._anchors[event.anchor] = value
            self._put(value, event)
        else:
            self._begin(event)

    def _begin(self, event: Any) -> None:
        if len(self._stack) >= DEEPEST_NESTING:
            raise _at(event, "The document is nested too deep.")
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        if isinstance(value, dict):
            self._places[id(value)] = {}
        if self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
            raise _at(event, "A key must be a plain word.")
        self._stack.append(_Open(value, event.anchor))

    def _put(self, value: Any, event: Any) -> None:
        if not self._stack:
            self._root = value
            return
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            self._name(parent, event)
        else:
            parent.value[parent.key] = value
            self._places[id(parent.value)][parent.key] = parent.place
            parent.key = None

    def _name(self, parent: _Open, event: Any) -> None:
        """Take a key: as it is written, so that `200`, `on` and `null` are names like others."""
        if not isinstance(event, yaml.ScalarEvent):
            raise _at(event, "A key must be a plain word.")
        key = event.value
        if key == "<<" and not event.style:
            raise _at(event, "`<<` merges are not read.", "Write the keys out.")
        if key in parent.value:
            raise _at(event, f"The key `{key}` is given twice.")
        parent.key = key
        parent.place = _mark(event)


_BEGINNING = 'It begins with `openapi: "3.1.0"` or `swagger: "2.0"`.'


def _at(event: Any, message: str, hint: str = "") -> OpenApiError:
    return OpenApiError(Problem(*_mark(event), message, hint))


def _mark(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
