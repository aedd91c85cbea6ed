"""gateway/openapi.py: a table becomes a document that names all of it and nothing else."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from gateway.admin.table import described as admin_document
from gateway.consumer.table import described as consumer_document
from gateway.models import Answer, Given, GivenBody
from gateway.openapi import document
from gateway.routes import Operation
from tests.gateway.openapi_rules import check_document


class Shown(Answer):
    amount: int


class Asked(Given):
    limit: Annotated[int, Field(ge=1, le=200, description="Rows.")] = 50


class Wanted(GivenBody):
    amount: int


async def handler(_call: Any) -> Shown:
    return Shown(amount=1)


TABLE = (
    Operation(
        method="GET", path="/things/{thing}", name="show-thing", summary="Show a thing",
        handler=handler, need="key", answer=Shown, query=Asked, problems=(404,),
    ),
    Operation(
        method="POST", path="/things", name="make-thing", summary="Make a thing",
        handler=handler, need="admin", answer=Shown, body=Wanted, text_body="text/csv", status=201,
    ),
    Operation(
        method="GET", path="/livez", name="livez", summary="Alive", handler=handler, need="nobody",
        answer="text/plain",
    ),
)  # fmt: skip


@pytest.fixture
def described() -> dict[str, Any]:
    return document(
        TABLE,
        title="Things",
        server="/farebox",
        security={"nobody": [], "key": [{"key": []}], "admin": [{"token": []}]},
        schemes={name: {"type": "http", "scheme": "bearer"} for name in ("key", "token")},
        parameters={"thing": "Which thing."},
    )


def test_every_row_is_in_the_document(described) -> None:
    names = {
        operation["operationId"]
        for path in described["paths"].values()
        for operation in path.values()
    }

    assert described["openapi"] == "3.1.0"
    assert names == {row.name for row in TABLE}


def test_parameters_come_from_path_and_query(described) -> None:
    thing, limit = described["paths"]["/things/{thing}"]["get"]["parameters"]

    assert (thing["name"], thing["in"], thing["required"]) == ("thing", "path", True)
    assert (limit["name"], limit["in"], limit["required"]) == ("limit", "query", False)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}


def test_a_row_names_its_answer_and_every_refusal(described) -> None:
    shown = described["paths"]["/things/{thing}"]["get"]["responses"]
    made = described["paths"]["/things"]["post"]["responses"]

    assert set(shown) == {"200", "400", "401", "403", "404", "422", "429", "500", "503"}
    assert set(made) == {"201", "400", "401", "413", "415", "422", "500", "503"}
    assert shown["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Shown")
    assert shown["404"]["content"].keys() == {"application/problem+json"}


def test_both_kinds_of_body_are_named(described) -> None:
    body = described["paths"]["/things"]["post"]["requestBody"]

    assert set(body["content"]) == {"application/json", "text/csv"}


def test_every_reference_leads_somewhere(described) -> None:
    def references(value: Any) -> set[str]:
        match value:
            case {"$ref": str(reference)}:
                return {reference}
            case dict():
                return set().union(*map(references, value.values()), set())
            case list():
                return set().union(*map(references, value), set())
        return set()

    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]


@pytest.mark.parametrize("listener", ["consumer", "admin"])
def test_the_documents_of_both_listeners_are_openapi_3_1(listener: str) -> None:
    check_document(consumer_document("/farebox") if listener == "consumer" else admin_document())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda document: document.pop("info"),
        lambda document: document["paths"]["/things"]["post"].update(sumary="mistyped"),
        lambda document: document["paths"]["/things/{thing}"]["get"]["parameters"].pop(0),
        lambda document: document["paths"]["/things"]["post"].update(operationId="show-thing"),
        lambda document: document["paths"]["/livez"]["get"].update(security=[{"unknown": []}]),
        lambda document: document["paths"]["/livez"]["get"]["responses"].update({"ok": {}}),
        lambda document: document["components"]["schemas"].pop("Shown"),
        lambda document: document["components"]["schemas"]["Shown"].update(type="int"),
    ],
)
def test_the_rules_see_what_is_broken(described, break_it) -> None:
    check_document(described)
    break_it(described)
    with pytest.raises(AssertionError):
        check_document(described)
