"""
The OpenAPI 3.1 document of a listener, made from the table of what it serves.

Nothing is described by hand: paths, parameters, bodies, answers and refusals come from the
rows and models of `gateway.routes`.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from gateway.models import ProblemBody
from gateway.routes import Need, Operation

AMOUNTS = (
    "Amounts are JSON integers of the credit type's smallest unit. An object that carries "
    "amounts also carries `display`: the same amounts as decimal text in the type's scale "
    "(1250 of a type with scale 2 is shown as `12.50`)."
)


class Document(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")


_PROBLEM = "application/problem+json"
_PAGE = "text/html"
_PARAMETER = re.compile(r"{(\w+)}")
_WORDS = ("title", "description")


def document(
    table: Iterable[Operation],
    *,
    title: str,
    server: str,
    security: Mapping[Need, list[dict[str, list[str]]]],
    schemes: Mapping[str, Mapping[str, Any]],
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    """
    Describe a table.

    `server` stands before every path. `security` gives for each need the ways to prove it;
    several are alternatives. `parameters` says in a sentence what each path parameter is.
    """
    rows = tuple(table)
    references, schemas = _schemas(rows)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(
            row, references, security, parameters
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("farebox"), "description": AMOUNTS},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": dict(schemes)},
    }


References = Mapping[tuple[type[BaseModel], str], dict[str, Any]]


def _schemas(rows: tuple[Operation, ...]) -> tuple[References, dict[str, Any]]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemBody, "serialization"): None}
    for row in rows:
        if row.body is not None:
            wanted[row.body, "validation"] = None
        if isinstance(row.answer, type):
            wanted[row.answer, "serialization"] = None
    made: tuple[Any, dict[str, Any]] = models_json_schema(
        list(wanted), ref_template="#/components/schemas/{model}"
    )
    references, definitions = made  # pydantic's type of the keys is wider than ours
    return references, definitions.get("$defs", {})


def _operation(
    row: Operation,
    references: References,
    security: Mapping[Need, list[dict[str, list[str]]]],
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.summary,
        "security": security[row.need],
        "parameters": [*_path_parameters(row, parameters), *_query_parameters(row)],
        "responses": _responses(row, references),
    }
    if row.description:
        described["description"] = row.description
    content: dict[str, Any] = {}
    if row.body is not None:
        content["application/json"] = {"schema": references[row.body, "validation"]}
    if row.text_body is not None:
        content[row.text_body] = {"schema": {"type": "string"}}
    if content:
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(row: Operation, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": parameters[name],
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(row.path)
    ]


def _query_parameters(row: Operation) -> list[dict[str, Any]]:
    schema = row.query.model_json_schema()
    required = schema.get("required", [])
    found = []
    for name, field in schema.get("properties", {}).items():
        rest = {key: value for key, value in field.items() if key not in _WORDS}
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": field.get("description", ""),
                "schema": rest,
            }
        )
    return found


def _responses(row: Operation, references: References) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(row.answer, str):
        content = {row.answer: {"schema": {"type": "string"}}}
    elif row.answer is not None:
        content = {"application/json": {"schema": references[row.answer, "serialization"]}}
    if row.page:
        content[_PAGE] = {"schema": {"type": "string"}}
    responses: dict[str, Any] = {str(row.status): {"description": row.summary}}
    if content:
        responses[str(row.status)]["content"] = content
    if row.leads_on:
        responses["303"] = {"description": "Leads a browser to where it goes on."}
    problem = {_PROBLEM: {"schema": references[ProblemBody, "serialization"]}}
    if isinstance(row.answer, str) or row.page:
        said = row.answer if isinstance(row.answer, str) else _PAGE
        problem[said] = {"schema": {"type": "string"}}  # a page may say no as a page
    for status in sorted(refusals(row)):
        responses[str(status)] = {"description": _REASONS[status], "content": problem}
    return responses


def refusals(row: Operation) -> set[int]:
    """Every status this operation may refuse with; all of them are problem documents."""
    statuses = {*row.problems, 500, 503}
    if row.need != "nobody":
        statuses.add(401)
    if row.need in ("key", "manage"):
        statuses |= {400, 403, 429}
    if row.query.model_fields or row.body is not None or row.text_body is not None:
        statuses.add(422)
    if row.body is not None or row.text_body is not None:
        statuses |= {400, 413, 415}
    return statuses


_REASONS = {
    400: "What was sent cannot be read.",
    401: "No valid credentials.",
    402: "The bank or the card said no.",
    403: "The credentials do not reach this far.",
    404: "There is no such thing, or it is not yours.",
    405: "The path is known, the method is not.",
    409: "It contradicts what is there.",
    429: "Too many unknown keys came from this address.",
    411: "The length is needed.",
    412: "Another version is in force than was expected.",
    413: "The body is larger than 1 MiB.",
    415: "The body is of a type that is not read here.",
    422: "Some fields are wrong; `errors` names each.",
    428: "The version that is expected to be in force must be named.",
    500: "The gateway failed.",
    502: "The payment provider refused.",
    503: "It cannot be done now.",
}
