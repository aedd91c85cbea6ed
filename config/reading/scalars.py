"""Single values: text, whole numbers, amounts, durations, sizes, and what they refuse."""

import re
from dataclasses import dataclass
from fractions import Fraction

from config.reading.kinds import Reading, Schema, WrongValueError
from config.reading.nodes import Node, Scalar

_PLACEHOLDER = re.compile(r"\$?\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_TEXT = re.compile(
    r"true|false|null|~|[-+]?(?:0x[0-9a-f]+|\.?[0-9][0-9_.]*(?:e[-+]?[0-9]+)?)", re.IGNORECASE
)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_AMOUNT = r"(0|[1-9][0-9]*)(\.[0-9]+)?"
_FACTOR = r"(?:0|[1-9][0-9]{0,3})(?:\.[0-9]{1,6})?"
LARGEST_FACTOR = 1000
_DURATIONS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def _written(node: Node, what: str) -> Scalar:
    if not isinstance(node, Scalar):
        raise WrongValueError(node, f"{what} is needed here.")
    if not node.text and not node.quoted:
        raise WrongValueError(
            node, f"There is no value here; {what[0].lower()}{what[1:]} is needed."
        )
    if "${" in node.text:
        # The stored text of a price version must say what it charged, wherever it is read.
        hint = "${NAME} is for upstreams, cors and trusted_proxies, which differ between machines."
        raise WrongValueError(node, "${...} is not expanded here.", hint)
    return node


@dataclass(frozen=True, slots=True)
class Text:
    """Some text that matches a pattern; `what` names it in errors."""

    what: str
    pattern: str
    hint: str = ""

    def read(self, node: Node, reading: Reading) -> str:  # noqa: ARG002
        """Read text; what YAML would take for a number or boolean must be quoted."""
        scalar = _written(node, self.what)
        if not scalar.quoted and _NOT_TEXT.fullmatch(scalar.text):
            raise WrongValueError(node, f"{self.what} is needed here.", "Put it in quotes.")
        if not re.fullmatch(self.pattern, scalar.text):
            raise WrongValueError(node, f"{self.what} is needed here.", self.hint)
        return scalar.text

    def schema(self) -> Schema:
        """Describe a string with the same pattern."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Expanded:
    """Text in which `${NAME}` stands for an environment variable; `$${` writes a plain `${`."""

    what: str

    def read(self, node: Node, reading: Reading) -> str:
        """Expand; a missing variable is a problem, its neighbours are never shown."""
        if not isinstance(node, Scalar) or (not node.text and not node.quoted):
            raise WrongValueError(node, f"{self.what} is needed here.")
        environ = reading.environ
        if environ is None:
            return node.text

        def value(found: re.Match[str]) -> str:
            if found[0].startswith("$$"):
                return found[0][1:]
            if not _NAME.fullmatch(found[1]):
                raise WrongValueError(node, f"${{{found[1]}}} does not name a variable.")
            if found[1] not in environ:
                hint = "Set it where farebox runs, or write $${ for a plain ${."
                message = f"The environment variable {found[1]} is not set."
                raise WrongValueError(node, message, hint)
            return environ[found[1]]

        return _PLACEHOLDER.sub(value, node.text)

    def schema(self) -> Schema:
        """Describe any string."""
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, reading: Reading) -> str:  # noqa: ARG002
        """Read one of the words."""
        scalar = _written(node, "One of a few words")
        if scalar.text not in self.words:
            raise WrongValueError(node, f"This must be one of: {', '.join(self.words)}.")
        return scalar.text

    def schema(self) -> Schema:
        """Describe an enumeration."""
        return {"enum": list(self.words)}


class Truth:
    """`true` or `false`, and no other spelling."""

    def read(self, node: Node, reading: Reading) -> bool:  # noqa: ARG002
        """Read a boolean; `yes`, `on` and "true" are refused."""
        if isinstance(node, Scalar) and not node.quoted and node.text in {"true", "false"}:
            return node.text == "true"
        raise WrongValueError(node, "This must be true or false.", "No other spelling is read.")

    def schema(self) -> Schema:
        """Describe a boolean."""
        return {"type": "boolean"}


class Present:
    """`true`: the key alone says it."""

    def read(self, node: Node, reading: Reading) -> bool:  # noqa: ARG002
        """Read `true`."""
        if isinstance(node, Scalar) and not node.quoted and node.text == "true":
            return True
        raise WrongValueError(node, "This must be true.", "Leave the key out otherwise.")

    def schema(self) -> Schema:
        """Describe only true."""
        return {"const": True}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    least: int
    most: int

    def read(self, node: Node, reading: Reading) -> int:  # noqa: ARG002
        """Read digits; a point, a sign, `1e3`, `0x10`, `010` and quotes are refused."""
        scalar = _written(node, "A whole number")
        if scalar.quoted or not _WHOLE.fullmatch(scalar.text):
            raise WrongValueError(node, "A whole number is needed here.", "Write digits only.")
        number = int(scalar.text)
        if not self.least <= number <= self.most:
            message = f"The number must be between {self.least} and {self.most}."
            raise WrongValueError(node, message)
        return number

    def schema(self) -> Schema:
        """Describe an integer in the same range."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class AmountText:
    """An amount as written; what it is in smallest units depends on its credit type's scale."""

    text: str
    node: Scalar


class Amount:
    """An amount of credits, quoted or not: read from its text, never through a float."""

    def read(self, node: Node, reading: Reading) -> AmountText:  # noqa: ARG002
        """Read decimal text."""
        scalar = _written(node, "An amount of credits")
        if not re.fullmatch(_AMOUNT, scalar.text):
            hint = "Write digits with at most one point, like 5 or 0.25."
            raise WrongValueError(node, "An amount of credits is needed here.", hint)
        return AmountText(scalar.text, scalar)

    def schema(self) -> Schema:
        """Describe a number or decimal text."""
        return {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": f"^(?:{_AMOUNT})$"},
            ]
        }


@dataclass(frozen=True, slots=True)
class AmountOr:
    """An amount of credits, or the one word that says there is none yet."""

    word: str

    def read(self, node: Node, reading: Reading) -> AmountText | None:
        """Read decimal text; None for the word."""
        if isinstance(node, Scalar) and node.text == self.word and not node.quoted:
            return None
        return Amount().read(node, reading)

    def schema(self) -> Schema:
        """Describe an amount or the word."""
        return {"anyOf": [Amount().schema(), {"enum": [self.word]}]}


class Factor:
    """What an amount is multiplied by: an exact decimal, never a float."""

    def read(self, node: Node, reading: Reading) -> Fraction:  # noqa: ARG002
        """Read decimal text above 0 and up to 1000, with at most six decimals."""
        scalar = _written(node, "A factor")
        if not re.fullmatch(_FACTOR, scalar.text):
            hint = "Write digits with at most one point and six decimals, like 0.8."
            raise WrongValueError(node, "A factor is needed here.", hint)
        factor = Fraction(scalar.text)
        if factor == 0:
            raise WrongValueError(node, "A factor of 0 makes this free.", "Write price: 0.")
        if factor > LARGEST_FACTOR:
            raise WrongValueError(node, f"A factor is at most {LARGEST_FACTOR}.")
        return factor

    def schema(self) -> Schema:
        """Describe a number or decimal text."""
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_FACTOR}
        return {"anyOf": [number, {"type": "string", "pattern": f"^(?:{_FACTOR})$"}]}


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span with its unit, as milliseconds."""

    least_ms: int
    most_ms: int

    def read(self, node: Node, reading: Reading) -> int:  # noqa: ARG002
        """Read text like 500ms, 30s, 2m, 1h or 30d."""
        scalar = _written(node, "A duration")
        found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", scalar.text)
        if not found:
            raise WrongValueError(
                node, "A duration is needed here.", "Like 500ms, 30s, 2m, 1h or 30d."
            )
        duration_ms = int(found[1]) * _DURATIONS_MS[found[2]]
        if not self.least_ms <= duration_ms <= self.most_ms:
            message = f"It must be between {_span(self.least_ms)} and {_span(self.most_ms)}."
            raise WrongValueError(node, message)
        return duration_ms

    def schema(self) -> Schema:
        """Describe a string with a unit."""
        return {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}


def _span(duration_ms: int) -> str:
    for unit in ("d", "h", "m", "s"):
        if duration_ms and duration_ms % _DURATIONS_MS[unit] == 0:
            return f"{duration_ms // _DURATIONS_MS[unit]}{unit}"
    return f"{duration_ms}ms"


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes, plain or in KiB, MiB, GiB."""

    most: int

    def read(self, node: Node, reading: Reading) -> int:  # noqa: ARG002
        """Read text like 65536 or 10MiB."""
        scalar = _written(node, "A size")
        found = re.fullmatch(r"([0-9]{1,15})(KiB|MiB|GiB|)", scalar.text)
        if not found:
            raise WrongValueError(node, "A size is needed here.", "Like 65536, 64KiB or 10MiB.")
        size = int(found[1]) * _SIZES[found[2]]
        if size > self.most:
            raise WrongValueError(node, f"It must be at most {self.most} bytes.")
        return size

    def schema(self) -> Schema:
        """Describe an integer, or a string with a unit."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": self.most},
                {"type": "string", "pattern": "^[0-9]{1,15}(KiB|MiB|GiB)$"},
            ]
        }


class Status:
    """A status such as 304, or a class of them such as 2xx."""

    def read(self, node: Node, reading: Reading) -> str:  # noqa: ARG002
        """Read three digits, or one and xx."""
        scalar = _written(node, "A status")
        if not re.fullmatch(r"[1-5](?:xx|[0-9][0-9])", scalar.text):
            raise WrongValueError(node, "A status is needed here.", "Like 2xx or 304.")
        return scalar.text

    def schema(self) -> Schema:
        """Describe a number, or text like 2xx."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5](xx|[0-9][0-9])$"},
            ]
        }
