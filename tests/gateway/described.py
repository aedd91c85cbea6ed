"""Holding answers against an OpenAPI document: enough of JSON Schema for what pydantic writes."""

import re
from typing import Any

import httpx


def check_answer(document: dict[str, Any], prefix: str, response: httpx.Response) -> None:
    """Fail unless the document describes this answer to this request."""
    path = response.request.url.path.removeprefix(prefix)
    operation = _operation(document, path, response.request.method)
    described = operation["responses"].get(str(response.status_code))
    assert described, f"{operation['operationId']} does not describe {response.status_code}"
    if "content" not in described:
        assert not response.content, f"{operation['operationId']} has a body nobody described"
        return
    media = response.headers["content-type"].partition(";")[0]
    assert media in described["content"], f"{operation['operationId']} does not describe {media}"
    if media.endswith("json"):
        check(document, described["content"][media]["schema"], response.json(), "answer")


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, at: str) -> None:
    """Fail unless the value fits the schema."""
    known = {
        "$ref", "anyOf", "type", "properties", "required", "additionalProperties", "items", "enum",
        "const", "title", "description", "default", "format", "minimum", "maximum", "pattern",
        "minLength", "maxLength", "examples", "maxItems", "minItems",
    }  # fmt: skip
    assert schema.keys() <= known, f"{at}: {schema.keys() - known} is not checked here"
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        check(document, document["components"]["schemas"][name], value, at)
    if "anyOf" in schema:
        assert any(_fits(document, one, value) for one in schema["anyOf"]), f"{at}: {value!r}"
    if "enum" in schema:
        assert value in schema["enum"], f"{at}: {value!r}"
    if "const" in schema:
        assert value == schema["const"], f"{at}: {value!r}"
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{at}: {value!r}"
    if "type" in schema:
        assert _TYPES[schema["type"]](value), f"{at}: {value!r} is no {schema['type']}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            check(document, schema.get("items", {}), item, f"{at}[{number}]")
    if isinstance(value, dict):
        _check_object(document, schema, value, at)


def _check_object(
    document: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], at: str
) -> None:
    missing = set(schema.get("required", ())) - value.keys()
    assert not missing, f"{at}: {missing} missing"
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            check(document, properties[name], item, f"{at}.{name}")
        elif isinstance(rest, dict):
            check(document, rest, item, f"{at}.{name}")
        else:
            assert rest, f"{at}.{name} is not in the document"


def _fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    try:
        check(document, schema, value, "")
    except AssertionError:
        return False
    return True


def _operation(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    # Literal paths come first, as they do where routes are matched.
    for template in sorted(document["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            found = document["paths"][template].get(method.lower())
            if found:
                return found
    raise AssertionError(f"{method} {path} is not in the document")


_TYPES = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
