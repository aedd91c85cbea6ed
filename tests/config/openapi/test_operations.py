"""Which operations a document names, and how one that names them badly is refused."""

from typing import Any

import pytest

from config import OpenApiError
from tests.config.openapi.documents import PETSTORE_YAML, SWAGGER, api_of, minimal


def test_every_operation_is_read_with_its_server_and_hints() -> None:
    api = api_of(PETSTORE_YAML)
    assert (api.title, api.version, api.format) == ("Petstore", "1.2.3", "OpenAPI 3.1.0")
    assert (api.server.origin, api.server.base) == ("https://pets.example.com", "/v1")
    told = {(one.method, one.path): one for one in api.operations}
    assert list(told) == [
        ("GET", "/v1/pets"),
        ("POST", "/v1/pets"),
        ("GET", "/v1/pets/{pet-id}"),
        ("DELETE", "/v1/pets/{pet-id}"),
        ("GET", "/v1/pets/{id}.json"),
        ("GET", "/v1/pets/{id}/events"),
        ("GET", "/v1/live"),
        ("GET", "/v1/health"),
        ("GET", "/files/{path+}"),
    ]
    assert told["DELETE", "/v1/pets/{pet-id}"].name == "removePet"
    assert told["POST", "/v1/pets"].deprecated
    assert told["GET", "/v1/pets/{id}/events"].streams
    assert told["GET", "/v1/live"].websocket
    assert told["GET", "/v1/pets/{id}.json"].summary == "As a file of JSON"
    assert told["GET", "/files/{path+}"].server.origin == "https://files.example.com:8443"
    assert told["GET", "/v1/health"].security == ()
    assert told["GET", "/v1/pets"].security == ("key",)
    assert told["GET", "/v1/live"].line == 25
    assert api.schemes == {"key": "a key in the header X-Pet-Key"}
    assert api.skipped == ("TRACE /files/{path+}: this method is not served.",)


def test_swagger_has_one_host_and_says_what_it_produces() -> None:
    api = api_of(SWAGGER)
    assert (api.server.origin, api.server.base) == ("http://old.example.com", "/api")
    assert [(one.method, one.path, one.streams, one.websocket) for one in api.operations] == [
        ("GET", "/api/pets/{id}", False, False),
        ("PUT", "/api/pets/{id}", False, False),
        ("GET", "/api/stream", True, False),
        ("GET", "/api/socket", False, True),
    ]
    assert api.operations[0].security == ("basic",)
    assert api.schemes == {"basic": "Authorization: Basic"}


@pytest.mark.parametrize(
    ("url", "origin", "base"),
    [
        ("/", "", ""),
        ("/api/v3/", "", "/api/v3"),
        ("./", "", ""),
        ("v2", "", "/v2"),
        ("https://a.example.com", "https://a.example.com", ""),
        ("wss://a.example.com:444/x", "https://a.example.com:444", "/x"),
        ("http://[::1]:9/x", "http://[::1]:9", "/x"),
        ("https://user:word@a.example.com/", "https://a.example.com", ""),
    ],
)
def test_a_server_is_an_origin_and_a_base_path(url: str, origin: str, base: str) -> None:
    server = api_of(minimal({"/a": {"get": {}}}, servers=[{"url": url}])).server
    assert (server.origin, server.base) == (origin, base)


def test_a_base_path_given_counts_instead_of_the_servers() -> None:
    api = api_of(PETSTORE_YAML, base_path="/edge/")
    assert api.operations[0].path == "/edge/pets"
    assert api_of(PETSTORE_YAML, base_path="/").operations[0].path == "/pets"


REF = "#/components/pathItems/a"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"hello": 1}, "1:1: This is no OpenAPI document"),
        ({"openapi": "4.0"}, "1:2: This is version 4.0 of openapi. (at #/openapi)"),
        ({"swagger": "1.2"}, "1:2: This is version 1.2 of swagger."),
        ({"openapi": "3.0.0"}, "1:1: `paths` must be a mapping"),
        (minimal({}), "The document names no operation. (at #/paths)"),
        ({"openapi": "3.0.0", "paths": []}, "`paths` must be a mapping"),
        (minimal({"a": {}}), "The path `a` has no / before it. (at #/paths/a)"),
        (minimal({"/a": 5}), "A path has a mapping of methods"),
        (minimal({"/a": {"get": []}}), "An operation is a mapping. (at #/paths/~1a/get)"),
        (minimal({"/a": {"$ref": "a.yaml"}}), "`a.yaml` refers to another file"),
        (minimal({"/a": {"$ref": 7}}), "refers to another file"),
        (minimal({"/a": {"$ref": REF}}), f"`{REF}` refers to nothing in this document."),
        (
            minimal({"/a": {"$ref": REF}}, components={"pathItems": {"a": {"$ref": REF}}}),
            "The references here lead round in a circle. (at #/paths/~1a)",
        ),
        (minimal({"/a": {}}, servers=["x"]), "A server has a `url`. (at #/servers)"),
        (
            minimal({"/a": {}}, servers=[{"url": "https://{x}.example.com"}]),
            "has a variable without a default",
        ),
        (minimal({"/a": {}}, servers=[{"url": "http://a:b"}]), "http://a:b is no address."),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(document: dict[str, Any], told: str) -> None:
    with pytest.raises(OpenApiError) as error:
        api_of(document)
    assert told in str(error.value)


def test_references_are_followed_and_what_stands_beside_them_counts_first() -> None:
    inner = {"get": {"operationId": "inner"}, "put": {"operationId": "put"}}
    document = minimal(
        {"/a": {"$ref": "#/components/pathItems/x~1y%20z", "get": {"operationId": "outer"}}},
        components={"pathItems": {"x/y z": {"$ref": "#/x-more/1"}}},
    ) | {"x-more": [{}, inner]}
    names = {one.method: one.name for one in api_of(document).operations}
    assert names == {"GET": "outer", "PUT": "put"}


def test_a_hint_that_leads_nowhere_is_no_hint() -> None:
    responses = {"200": {"$ref": "#/none"}, "201": {"$ref": "other.yaml"}, "default": 7}
    [operation] = api_of(minimal({"/a": {"get": {"responses": responses}}})).operations
    assert not operation.streams


def test_only_webhooks_are_no_error_but_nothing_to_serve() -> None:
    document = {"openapi": "3.1.0", "webhooks": {"born": {"post": {}}}}
    with pytest.raises(OpenApiError, match="names no operation"):
        api_of(document)
