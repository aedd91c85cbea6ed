"""
What a value of the price file may look like: one object both reads it and describes it to editors.

A kind's `read` turns a node into a value; its `schema` is the JSON Schema of the same
thing. Because they live in one place, `farebox.schema.json` cannot drift from the code.
"""

import difflib
from collections.abc import Mapping as Environ
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from config.reading.nodes import Mapping, Node, Problems, Scalar, Sequence

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
Schema = dict[str, Any]


class WrongValueError(Exception):
    """A value cannot be used. Containers note it and read on; with no node it was noted already."""

    def __init__(self, node: Node | None = None, message: str = "", hint: str = "") -> None:
        self.node, self.message, self.hint = node, message, hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of a file shares."""

    problems: Problems
    environ: Environ[str, str] | None
    """None leaves `${NAME}` as it is: for explaining a stored version, never for forwarding."""

    def note(self, wrong: WrongValueError) -> None:
        """Note what a value's kind found, unless a deeper one did."""
        if wrong.node is not None:
            self.problems.add(wrong.node, wrong.message, wrong.hint)


class Kind(Protocol[T_co]):
    """How one sort of value is read and described."""

    def read(self, node: Node, reading: Reading) -> T_co:
        """
        Turn a node into a value.

        Raises:
            WrongValueError: It is not one of these.
        """

    def schema(self) -> Schema:
        """Describe the same values as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a mapping."""

    kind: Kind[Any]
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A mapping whose keys were all right: values by key, and where each was written."""

    values: dict[str, Any]
    at: Mapping

    def get(self, key: str, default: Any = None) -> Any:
        """Give the value of a key, or the default where it was not written."""
        return self.values.get(key, default)

    def node(self, key: str) -> Node:
        """Where a key's value was written; the mapping itself if it was not."""
        found = self.at.entries.get(key)
        return found[1] if found else self.at


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with known keys; any other key is refused, with the nearest known one named."""

    fields: dict[str, Field]
    one_of: tuple[str, ...] = ()
    """Keys of which exactly one must be there."""
    title: str = ""

    def read(self, node: Node, reading: Reading) -> Entry:
        """Read every key that can be read, then fail if any could not."""
        if not isinstance(node, Mapping):
            keys = ", ".join(list(self.fields)[:4])
            raise WrongValueError(node, f"A mapping with keys like {keys} is needed here.")
        values: dict[str, Any] = {}
        sound = True
        for name, (key, value) in node.entries.items():
            known = self.fields.get(name)
            try:
                if known is None:
                    raise WrongValueError(key, f"The key `{name}` is not known.", self._near(name))
                values[name] = known.kind.read(value, reading)
            except WrongValueError as wrong:
                reading.note(wrong)
                sound = False
        for name, known in self.fields.items():
            if known.required and name not in node.entries:
                reading.problems.add(node, f"The key `{name}` is missing.", known.doc)
                sound = False
        given = [name for name in self.one_of if name in node.entries]
        if self.one_of and len(given) != 1:
            hint = f"Give exactly one of: {', '.join(self.one_of)}."
            reading.problems.add(node, f"{len(given)} sources are given.", hint)
            sound = False
        if not sound:
            raise WrongValueError
        return Entry(values, node)

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name[:40], self.fields, n=1)
        if near:
            return f"Did you mean `{near[0]}`?"
        return f"Known here: {', '.join(self.fields)}."

    def schema(self) -> Schema:
        """Describe an object without additional properties."""
        described: Schema = {"type": "object", "additionalProperties": False}
        if self.title:
            described["title"] = self.title
        described["properties"] = {
            name: {"description": known.doc, **known.kind.schema()}
            for name, known in self.fields.items()
        }
        if required := [name for name, known in self.fields.items() if known.required]:
            described["required"] = required
        if self.one_of:
            described["oneOf"] = [{"required": [name]} for name in self.one_of]
        return described


@dataclass(frozen=True, slots=True)
class MapOf(Generic[T]):
    """A mapping from names of the operator's choice; an entry that is wrong reads as None."""

    key: Kind[str]
    value: Kind[T]
    most: int
    least: int = 0

    def read(self, node: Node, reading: Reading) -> dict[str, tuple[Scalar, T | None]]:
        """Read all entries; wrong ones are noted and kept as None, so that uses resolve."""
        if not isinstance(node, Mapping):
            raise WrongValueError(node, "A mapping of names is needed here.")
        if not self.least <= len(node.entries) <= self.most:
            message = f"Between {self.least} and {self.most} entries are needed here."
            raise WrongValueError(node, message)
        read: dict[str, tuple[Scalar, T | None]] = {}
        for name, (key, value) in node.entries.items():
            read[name] = (key, None)
            try:
                self.key.read(key, reading)
                read[name] = (key, self.value.read(value, reading))
            except WrongValueError as wrong:
                reading.note(wrong)
        return read

    def schema(self) -> Schema:
        """Describe an object whose keys match a pattern."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "minProperties": self.least,
            "maxProperties": self.most,
        }


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list; what is wrong with its items is noted."""

    item: Kind[T]
    most: int
    least: int = 0
    partial: bool = False
    """Go on with the items that are right, so that more can be found wrong in them."""

    def read(self, node: Node, reading: Reading) -> list[T]:
        """Read all items that can be read, then fail if any could not, unless `partial`."""
        if not isinstance(node, Sequence):
            raise WrongValueError(
                node, "A list is needed here.", "Write [one, two] or lines with -."
            )
        if not self.least <= len(node.items) <= self.most:
            raise WrongValueError(
                node, f"Between {self.least} and {self.most} items are needed here."
            )
        read: list[T] = []
        for item in node.items:
            try:
                read.append(self.item.read(item, reading))
            except WrongValueError as wrong:
                reading.note(wrong)
        if len(read) < len(node.items) and not self.partial:
            raise WrongValueError
        return read

    def schema(self) -> Schema:
        """Describe an array."""
        described: Schema = {"type": "array", "items": self.item.schema(), "maxItems": self.most}
        if self.least:
            described["minItems"] = self.least
        return described


@dataclass(frozen=True, slots=True)
class ByForm:
    """A value that may be written in several forms: a word, a list or a mapping."""

    scalar: Kind[Any] | None = None
    sequence: Kind[Any] | None = None
    mapping: Kind[Any] | None = None

    def read(self, node: Node, reading: Reading) -> Any:
        """Read with the kind for the form that was written."""
        kinds = {Scalar: self.scalar, Sequence: self.sequence, Mapping: self.mapping}
        kind = kinds[type(node)]
        if kind is None:
            forms = (("one value", self.scalar), ("a list", self.sequence))
            names = [name for name, kind in (*forms, ("a mapping", self.mapping)) if kind]
            raise WrongValueError(node, f"Here {' or '.join(names)} is needed.")
        return kind.read(node, reading)

    def schema(self) -> Schema:
        """Describe any of the forms."""
        kinds = (self.scalar, self.sequence, self.mapping)
        return {"anyOf": [kind.schema() for kind in kinds if kind]}
