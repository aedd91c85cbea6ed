"""Measuring a request's own quantities, before the call."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from config.amounts import LARGEST_QUANTITY
from config.pricing.facts import RequestFacts, Unit, Unpriceable
from config.pricing.pointer import ABSENT, read_strictly
from config.pricing.query import query_value

if TYPE_CHECKING:
    from config.pricing.price import Line

_COUNT = re.compile(r"[0-9]{1,20}", re.ASCII)
_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9!#$&^_.+-]+\+)?json")


def measure(lines: "Sequence[Line]", facts: RequestFacts, body_limit: int) -> tuple[Unit, ...]:
    """
    Measure every line that can be measured before the call.

    Returns:
        One unit per line; none for `request_bytes` of a body whose length is not known yet.

    Raises:
        Unpriceable: A quantity is absent without default, ambiguous, or no count.
    """
    document: Any = ABSENT
    if any(line.source == "body" for line in lines):
        document = _document(facts, body_limit)
    units: list[Unit] = []
    for line in lines:
        quantity = _quantity(line, facts, document)
        if quantity is None:
            if line.source == "request_bytes":
                continue
            quantity = line.default
        if quantity is None:
            sentence = f"The price depends on {line.label}, which the request does not have."
            raise Unpriceable(422, "price-value-missing", sentence)
        units.append(Unit(line.label, quantity))
    return tuple(units)


def _quantity(line: "Line", facts: RequestFacts, document: Any) -> int | None:
    if line.source == "request_bytes":
        return len(facts.body) if facts.body is not None else facts.request_bytes
    if line.source == "body":
        return _json_count(line, document)
    if line.source == "path":
        return count(line, facts.path_params.get(line.selector))
    if line.source == "query":
        return count(line, query_value(facts.query, line.selector))
    return count(line, _header(line, facts))


def _header(line: "Line", facts: RequestFacts) -> str | None:
    name = line.selector.encode()
    # CGI and its heirs read `x_pages` as `x-pages`.
    found = [
        (key.lower(), value)
        for key, value in facts.headers
        if key.lower().replace(b"_", b"-") == name.replace(b"_", b"-")
    ]
    if not found:
        return None
    # What Connection names is not forwarded: the backend would see another request than we price.
    named = b",".join(facts.header_values(b"connection")).lower().replace(b"_", b"-").split(b",")
    taken_away = name.replace(b"_", b"-") in (token.strip(b" \t") for token in named)
    if len(found) > 1 or found[0][0] != name or taken_away:
        sentence = f"The header `{line.selector}` must be sent once: the price depends on it."
        raise Unpriceable(400, "ambiguous-header", sentence)
    return found[0][1].strip(b" \t").decode("latin-1")


def _document(facts: RequestFacts, body_limit: int) -> Any:
    """Read the JSON body; an empty one has no values, whatever its type."""
    body = facts.body
    if not body:
        return ABSENT
    if any(value.lower() != b"identity" for value in facts.header_values(b"content-encoding")):
        sentence = "The price depends on the body, which must not be compressed."
        raise Unpriceable(415, "unsupported-content-encoding", sentence)
    types = facts.header_values(b"content-type")
    if len(types) != 1 or not _is_json(types[0]):
        sentence = "The price depends on the body, which must be application/json in UTF-8."
        raise Unpriceable(415, "unsupported-content-type", sentence)
    if len(body) > body_limit:
        raise Unpriceable(413, "body-too-large", f"The body has more than {body_limit} bytes.")
    return read_strictly(body)


def _is_json(content_type: bytes) -> bool:
    media, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charsets = [p.partition(b"=")[2].strip(b' "') for p in parameters if p.startswith(b"charset")]
    return bool(_JSON_TYPE.fullmatch(media)) and all(c in {b"utf-8", b"utf8"} for c in charsets)


def _json_count(line: "Line", document: Any) -> int | None:
    """Give a count from the body: a number written without point or exponent, nothing else."""
    value = ABSENT
    if document is not ABSENT:
        value = line.pointer.find_strictly(document)
    if value is ABSENT:
        return None
    if type(value) is not int or not 0 <= value <= LARGEST_QUANTITY:
        raise _no_count(line)
    return value


def count(line: "Line", text: str | None) -> int | None:
    """
    Read a count as a request writes it; None where there is none.

    Raises:
        Unpriceable: 422, it is no whole number.
    """
    if text is None:
        return None
    if not _COUNT.fullmatch(text) or int(text) > LARGEST_QUANTITY:
        raise _no_count(line)
    return int(text)


def _no_count(line: "Line") -> Unpriceable:
    sentence = (
        f"The price depends on {line.label}, which must be a whole number from 0 to 2^53 - 1."
    )
    return Unpriceable(422, "price-value-invalid", sentence)
