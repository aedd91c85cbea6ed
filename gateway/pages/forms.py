"""
Forms: read within bounds, held against a model, shown again with what is wrong beside each field.

A field left empty counts as not given, so a model's defaults are what an empty field means.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from starlette.requests import ClientDisconnect, Request

from gateway.problems import Problem
from gateway.reading import field_errors
from gateway.routes import problem_of

FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 64 << 10
"""A page's form has a few fields; a page that sends a whole text says how much it may be."""

MAX_FIELDS = 200

Values = Mapping[str, Sequence[str]]
"""What was sent: each name with all its values, in order."""


class Fields(BaseModel):
    """What a form or a page's query holds: text, read as the types the fields name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _printable(cls, value: object) -> object:
        # Lines and tabs are typed into larger fields; no other control character is.
        if isinstance(value, str) and not value.translate(_TYPED).isprintable():
            raise ValueError("must be printable characters only")
        return value


_TYPED = dict.fromkeys(map(ord, "\r\n\t"))

Model = TypeVar("Model", bound=Fields)


@dataclass(frozen=True)  # without slots, with which `Form[Model]()` cannot be made
class Form(Generic[Model]):
    """
    A form as it is shown: what stands in its fields, and what is wrong with them.

    Attributes:
        values: By field; what was typed, or what the form begins with.
        errors: By field; the sentence beside it. Under the empty name: of the whole form.
        read: What it says, where nothing is wrong.

    """

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    read: Model | None = None

    def value(self, name: str) -> str:
        """Return what stands in a field."""
        return next(iter(self.values.get(name, ())), "")

    def holds(self, name: str, value: str) -> bool:
        """Say whether a box of that value is ticked, or that choice made."""
        return value in self.values.get(name, ())

    def error(self, name: str) -> str:
        """Return what is wrong with a field; empty where nothing is."""
        return self.errors.get(name, "")

    def as_a_whole(self) -> "Form[Model]":
        """Return it with all that is wrong said at its top, where its fields have no place."""
        said = [
            f"{name.replace('_', ' ').capitalize()}: {text}" for name, text in self.errors.items()
        ]
        return Form(self.values, {"": " ".join(said)})

    def refused(self, error: Exception, *, known: Iterable[str] = ()) -> "Form[Model]":
        """Return it with what an operation found wrong, beside its field where it has that one."""
        found: dict[str, str] = {}
        for name, message in _found(problem_of(error)):
            place = name if name in self.values or name in known else ""
            sentence = _sentence(message if place or not name else f"{name} {message}")
            found[place] = f"{found[place]} {sentence}" if place in found else sentence
        return Form(self.values, found)


def begin(**values: object) -> Form[Any]:
    """Return a form that begins with these values; None is an empty field."""
    return Form({name: _begun(value) for name, value in values.items()})


def fill(model: type[Model], values: Values) -> Form[Model]:
    """Hold what was sent against a model; names that the model does not have are wrong."""
    given: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, texts in values.items():
        present = [text for text in texts if text.strip()]
        if _is_list(model, name):
            given[name] = present
        elif len(texts) > 1:
            errors[name] = "Give it once."
        elif present:
            given[name] = present[0].strip()
    try:
        read = model.model_validate(given)
    except ValidationError as error:
        for entry, (path, message) in zip(_entries(error), field_errors(error), strict=True):
            said = _WORDS.get(entry["type"], "").format(**entry.get("ctx", {})) or message
            errors.setdefault(path.partition(".")[0], _sentence(said))
        read = None
    return Form(values, errors, None if errors else read)


def ask(model: type[Model], request: Request) -> Form[Model]:
    """Read a page's query like a form; names that the page does not know are left alone."""
    known = {info.alias or name for name, info in model.model_fields.items()}
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name in known:
            values.setdefault(name, []).append(value)
    return fill(model, values)


async def read_form(request: Request, limit_bytes: int = MAX_FORM_BYTES) -> dict[str, list[str]]:
    """
    Read a form.

    Raises:
        Problem: 415 of another type, 413 above the limit, 400 if it cannot be read.

    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != FORM:
        raise Problem(
            "unsupported-media-type", f"Send the form as {FORM}.", status=415, title="No form"
        )
    raw = await _bounded(request, limit_bytes)
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem("bad-request", "The form cannot be read; open the page again.") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


async def _bounded(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit_bytes:
                raise Problem("body-too-large", f"At most {limit_bytes} bytes; send less.")
    except ClientDisconnect:
        raise Problem("bad-request", "The form ended before it was whole.") from None
    return bytes(body)


def _is_list(model: type[BaseModel], name: str) -> bool:
    info = model.model_fields.get(name)
    if info is None:
        return False
    kinds = (info.annotation, *get_args(info.annotation))
    return any(get_origin(kind) is list for kind in kinds)


_WORDS = {
    "date_from_datetime_parsing": "must be a day, like 2026-01-31",
    "date_parsing": "must be a day, like 2026-01-31",
    "greater_than_equal": "must be at least {ge}",
    "int_parsing": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "is not written as it should be",
    "string_too_long": "must have at most {max_length} characters",
}
"""What people are told, by pydantic's names; what is not here is told in its own words."""


def _entries(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_input=False))


def _found(problem: Problem) -> list[tuple[str, str]]:
    listed: Sequence[Mapping[str, str]] = problem.extra.get("errors") or ()
    return [(one["field"], one["message"]) for one in listed] or [("", problem.detail)]


def _sentence(message: str) -> str:
    text = message.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _begun(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [str(value)]
