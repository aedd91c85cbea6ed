"""
The rules of OpenAPI 3.1 that a generated document could break, each field by name.

A field that no rule names is an error: a mistyped one would otherwise be ignored by every
reader. Schemas are JSON Schema 2020-12, of which only what pydantic writes is known here.
"""

import re
from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]

STATUS = re.compile(r"[1-5](?:[0-9]{2}|XX)|default")
COMPONENT = re.compile(r"[A-Za-z0-9._-]+")
MEDIA = re.compile(r"[a-z]+/[a-z0-9.+-]+")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
TYPES = {"null", "boolean", "object", "array", "number", "integer", "string"}
NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
COUNTS = {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
WORDS = {"title", "description", "format", "pattern", "$ref"}
PLAIN = {"type", "enum", "const", "default", "examples", "required"}
NESTED = {"properties", "items", "anyOf", "oneOf", "allOf", "additionalProperties"}


def check_document(document: Object) -> None:
    """Fail on the first rule that is broken."""
    check_fields(document, "the document", {"openapi", "info", "paths"}, {"servers", "components"})
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    check_fields(document["info"], "info", {"title", "version"}, {"description"})
    for server in document.get("servers", ()):
        check_fields(server, "servers", {"url"}, {"description"})
    components = document.get("components", {})
    check_fields(components, "components", set(), {"schemas", "securitySchemes"})
    for name, schema in components.get("schemas", {}).items():
        assert COMPONENT.fullmatch(name), f"{name} is no name for a component"
        check_schema(document, schema, name)
    for name, scheme in components.get("securitySchemes", {}).items():
        check_scheme(scheme, name)
    names: list[str] = []
    shapes: set[str] = set()
    for path, item in document["paths"].items():
        assert path.startswith("/"), f"{path} does not begin with /"
        shape = re.sub(r"{\w+}", "{}", path)
        assert shape not in shapes, f"{path} is another path with other names"
        shapes.add(shape)
        assert item.keys() <= METHODS, f"{path}: {item.keys() - METHODS}"
        for method, operation in item.items():
            check_operation(document, path, method, operation)
            names.append(operation["operationId"])
    assert len(names) == len(set(names)), "two operations have the same operationId"


def check_operation(document: Object, path: str, method: str, operation: Object) -> None:
    """Check one operation, its parameters, body, answers and security."""
    at = f"{method} {path}"
    needed = {"operationId", "responses"}
    allowed = {"summary", "description", "parameters", "requestBody", "security", "tags"}
    check_fields(operation, at, needed, allowed)
    seen = set()
    for parameter in operation.get("parameters", ()):
        check_fields(parameter, at, {"name", "in", "schema"}, {"required", "description"})
        assert parameter["in"] in ("path", "query", "header", "cookie"), at
        assert parameter["in"] != "path" or parameter.get("required") is True, at
        assert (parameter["in"], parameter["name"]) not in seen, f"{at}: a parameter twice"
        seen.add((parameter["in"], parameter["name"]))
        check_schema(document, parameter["schema"], f"{at} {parameter['name']}")
    in_path = {name for place, name in seen if place == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path)), f"{at}: parameters and path differ"
    if "requestBody" in operation:
        assert method not in ("get", "head", "delete"), f"{at}: a body has no meaning here"
        check_fields(operation["requestBody"], at, {"content"}, {"required", "description"})
        check_content(document, operation["requestBody"]["content"], at)
    assert operation["responses"], f"{at}: no answer"
    for status, answer in operation["responses"].items():
        assert STATUS.fullmatch(status), f"{at}: {status}"
        check_fields(answer, f"{at} {status}", {"description"}, {"content", "headers"})
        check_content(document, answer.get("content", {}), f"{at} {status}")
    schemes = document.get("components", {}).get("securitySchemes", {})
    for way in operation.get("security", ()):
        assert way.keys() <= schemes.keys(), f"{at}: {way} is no security scheme"


def check_content(document: Object, content: Object, at: str) -> None:
    """Check the bodies by media type."""
    for media, body in content.items():
        assert MEDIA.fullmatch(media), f"{at}: {media} is no media type"
        check_fields(body, at, set(), {"schema", "example"})
        check_schema(document, body.get("schema", {}), at)


def check_scheme(scheme: Object, name: str) -> None:
    """Check a security scheme."""
    needed = {"http": {"scheme"}, "apiKey": {"name", "in"}}[scheme["type"]]
    check_fields(scheme, name, {"type", *needed}, {"description"})


def check_schema(document: Object, schema: Any, at: str) -> None:
    """Check a JSON Schema: known keywords with values of the right kind, and what is inside."""
    if isinstance(schema, bool):
        return
    check_fields(schema, at, set(), NUMBERS | COUNTS | WORDS | PLAIN | NESTED)
    for keyword in schema.keys() & WORDS:
        assert isinstance(schema[keyword], str), f"{at}: {keyword}"
    for keyword in schema.keys() & NUMBERS:
        assert isinstance(schema[keyword], int | float), f"{at}: {keyword}"
    for keyword in schema.keys() & COUNTS:
        assert isinstance(schema[keyword], int), f"{at}: {keyword}"
        assert schema[keyword] >= 0, f"{at}: {keyword}"
    if "$ref" in schema:
        place, _, name = schema["$ref"].rpartition("/")
        assert place == "#/components/schemas", f"{at}: {schema['$ref']}"
        assert name in document["components"]["schemas"], f"{at}: {schema['$ref']}"
    kinds = schema.get("type", [])
    assert set([kinds] if isinstance(kinds, str) else kinds) <= TYPES, f"{at}: type {kinds}"
    assert "enum" not in schema or schema["enum"], f"{at}: nothing to choose from"
    re.compile(schema.get("pattern", ""))
    names = schema.get("required", [])
    assert len(names) == len(set(names)), f"{at}: required"
    assert "properties" not in schema or set(names) <= schema["properties"].keys(), (
        f"{at}: required"
    )
    for name, inner in schema.get("properties", {}).items():
        check_schema(document, inner, f"{at}.{name}")
    for keyword in ("items", "additionalProperties"):
        check_schema(document, schema.get(keyword, True), f"{at} {keyword}")
    for keyword in schema.keys() & {"anyOf", "oneOf", "allOf"}:
        assert schema[keyword], f"{at}: {keyword} of nothing"
        for inner in schema[keyword]:
            check_schema(document, inner, f"{at} {keyword}")


def check_fields(value: Object, at: str, needed: set[str], allowed: set[str]) -> None:
    """Fail unless all needed fields are there, and no unknown one."""
    assert isinstance(value, Mapping), f"{at} is no object"
    assert needed <= value.keys(), f"{at}: {needed - value.keys()} missing"
    unknown = {name for name in value.keys() - needed - allowed if not name.startswith("x-")}
    assert not unknown, f"{at}: {unknown} is not known"
