"""JSON pointers (RFC 6901), and the strictness with which a priced body is read."""

import json
import re
from dataclasses import dataclass
from typing import Any

from config.amounts import LARGEST_QUANTITY
from config.pricing.facts import Unpriceable

_LONGEST_NUMBER = 20
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
ABSENT = object()


class Fraction(str):
    """A JSON number with a point or exponent, as written: floats lose what was sent."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place in a JSON document."""

    text: str
    tokens: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Pointer":
        """
        Read a pointer like /usage/total_tokens.

        Raises:
            ValueError: It does not begin with a slash, or has a ~ that escapes nothing.
        """
        if not text.startswith("/"):
            raise ValueError("a JSON pointer begins with /")
        tokens = text[1:].split("/")
        if any("~" in token.replace("~0", "").replace("~1", "") for token in tokens):
            raise ValueError("in a JSON pointer ~ is written ~0 and / is written ~1")
        return cls(text, tuple(t.replace("~1", "/").replace("~0", "~") for t in tokens))

    def find(self, document: Any) -> Any:
        """Give the value there, or ABSENT."""
        for token in self.tokens:
            document = _step(document, token)
        return document

    def find_strictly(self, document: Any) -> Any:
        """
        Give the value there, or ABSENT, refusing keys that only some backends tell apart.

        Raises:
            Unpriceable: A key on the way is the pointer's in another case or with a NUL behind it:
                Go, for one, would read `LIMIT` as `limit`, and the price would not.
        """
        for token in self.tokens:
            if isinstance(document, dict) and any(_resembles(key, token) for key in document):
                sentence = f"The body has a key that resembles `{token}`, which the price reads."
                raise Unpriceable(422, "ambiguous-body", sentence)
            document = _step(document, token)
        return document


def _step(document: Any, token: str) -> Any:
    if isinstance(document, dict):
        return document.get(token, ABSENT)
    if isinstance(document, list) and _INDEX.fullmatch(token) and int(token) < len(document):
        return document[int(token)]
    return ABSENT


def _resembles(key: str, token: str) -> bool:
    return key != token and key.split("\0", 1)[0].strip().casefold() == token.casefold()


class _DuplicateKeyError(ValueError):
    pass


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _DuplicateKeyError
    return document


def _no_constant(_: str) -> Any:
    raise ValueError


def _whole(text: str) -> Any:
    # int() of thousands of digits costs seconds and is out of any range.
    return int(text) if len(text) <= _LONGEST_NUMBER else Fraction(text)


_strict = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_float=Fraction,
    parse_int=_whole,
    parse_constant=_no_constant,
)
_lenient = json.JSONDecoder(parse_float=Fraction, parse_int=_whole)


def read_strictly(body: bytes) -> Any:
    """
    Read a request's JSON where two parsers cannot disagree.

    Raises:
        Unpriceable: Not UTF-8, not JSON, a key twice in one object, NaN or Infinity, too deep.
    """
    try:
        return _strict.decode(body.decode())
    except UnicodeDecodeError:
        raise Unpriceable(422, "invalid-body", "The body is not UTF-8.") from None
    except _DuplicateKeyError:
        sentence = "The body has a key twice in one object."
        raise Unpriceable(422, "ambiguous-body", sentence) from None
    except (ValueError, RecursionError):
        raise Unpriceable(422, "invalid-body", "The body is not valid JSON.") from None


def read_leniently(body: bytes | bytearray) -> Any:
    """Read an answer's JSON, from an upstream that is trusted; ABSENT if it cannot be read."""
    try:
        return _lenient.decode(body.decode())
    except (ValueError, RecursionError):
        return ABSENT


def usage(value: Any) -> int | None:
    """
    Give a count that an upstream reported, or None if it is none.

    12.0 and 1.2e1 count as 12: some JSON writers know only floats. Negative, fractional and
    huge numbers, texts and booleans do not count.
    """
    if isinstance(value, Fraction):
        value = _integral(value)
    if type(value) is not int or not 0 <= value <= LARGEST_QUANTITY:
        return None
    return value


def _integral(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    # A float is exact for every whole number in range, and cheap for every text.
    return int(number) if abs(number) <= LARGEST_QUANTITY and number.is_integer() else None
