"""
Reading what a control route was given: the query and the body, strictly.

Ambiguous input is refused, never chosen from: a name given twice, an unknown field, a number
written as text. Each refusal names the field and says what to do.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway.models import Given
from gateway.problems import Problem

MAX_BODY_BYTES = 1 << 20
"""Control bodies are small; the largest is a bulk grant of some ten thousand rows."""

MOST_DIGITS = 18
"""Of a Content-Length; the framing has seen to it that it is a number."""

JSON = "application/json"


def read_query(model: type[Given], request: Request) -> Given:
    """Read the query by its model; a name given twice is refused."""
    names = [name for name, _ in request.query_params.multi_items()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid((name, "was given more than once; give it once") for name in twice)
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


async def read_body(request: Request, model: type[BaseModel] | None, text: str | None) -> Any:
    """
    Read the body: JSON by its model, or bytes where the media type is `text`.

    Raises:
        Problem: 413 above the limit, 415 of another type, 400 if not JSON, 422 for fields.
    """
    if model is None and text is None:
        return None
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != text and (model is None or media != JSON):
        accepted = " or ".join(kind for kind in (model and JSON, text) if kind)
        raise Problem(
            "unsupported-media-type",
            f"Send the body as {accepted} and name that in Content-Type.",
            status=415,
        )
    raw = await limited_body(request)
    if model is None or media == text:
        return raw
    return read_json(raw, model)


def read_json(raw: bytes, model: type[BaseModel]) -> BaseModel:
    """Read JSON by its model; a name given twice or a number that is none is refused."""
    try:
        json.loads(raw, object_pairs_hook=_each_name_once, parse_constant=_no_constant)
    except _NameTwiceError as twice:
        raise invalid([(str(twice), "was given more than once; give it once")]) from None
    except (ValueError, RecursionError):
        raise Problem("bad-request", "The body is not JSON in UTF-8; correct it.") from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


async def limited_body(request: Request) -> bytes:
    """Read the whole body, at most `MAX_BODY_BYTES` of it; more is 413, unread where it is told."""
    told = request.headers.get("content-length", "0")
    if len(told) > MOST_DIGITS or int(told) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect:
        raise Problem("bad-request", "The body ended before it was whole.") from None
    return bytes(body)


def _too_large() -> Problem:
    return Problem("body-too-large", f"At most {MAX_BODY_BYTES} bytes; send it in parts.")


def invalid(errors: Iterable[tuple[str, str]]) -> Problem:
    """Return the 422 that names each wrong field and what to do about it."""
    listed = [{"field": field, "message": message} for field, message in errors]
    detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in listed)
    return Problem("invalid-input", detail, errors=listed)


def field_errors(error: ValidationError) -> list[tuple[str, str]]:
    """Return each wrong field and what to do about it."""
    found = []
    for entry in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in entry["loc"]) or "body"
        match entry["type"]:
            case "extra_forbidden":
                message = "is not known here; remove it"
            case "missing":
                message = "is missing; give it"
            case "value_error":
                message = str(entry["ctx"]["error"])
            case _:
                message = entry["msg"][0].lower() + entry["msg"][1:]
        found.append((field, message))
    return found


class _NameTwiceError(Exception):
    """An object names a field twice; JSON parsers disagree which counts."""


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NameTwiceError(name)
        found[name] = value
    return found


def _no_constant(word: str) -> float:
    raise ValueError(word)
