"""A document becomes a price file that loads, with every operation and no price."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import OpenApiError
from config.openapi import compare
from config.reading.shape import METHODS
from tests.config.openapi.documents import (
    PETSTORE_YAML,
    SWAGGER,
    api_of,
    imported,
    loaded,
    minimal,
)


def test_the_petstore_becomes_a_price_file() -> None:
    made = imported(PETSTORE_YAML)
    price_list = loaded(made)
    assert price_list.observe
    assert price_list.unpriced == price_list.routes
    assert made.upstreams == {
        "api": "https://pets.example.com",
        "files-example-com": "https://files.example.com:8443",
    }
    assert [
        (",".join(route.methods), route.path, route.upstream.name, route.name, route.websocket)
        for route in price_list.routes
    ] == [
        ("GET", "/v1/pets", "api", "listPets", False),
        ("POST", "/v1/pets", "api", "createPet", False),
        ("GET", "/v1/pets/{pet_id}", "api", "showPet", False),
        ("DELETE", "/v1/pets/{pet_id}", "api", "removePet", False),
        ("GET", "/v1/pets/{id}/events", "api", "watchPet", False),
        ("GET", "/v1/live", "api", "live", True),
        ("GET", "/v1/health", "api", "health", False),
        ("GET", "/files/*", "files-example-com", "file", False),
    ]
    for remark in (
        "# The backend asks its callers for: a key in the header X-Pet-Key.",
        "# List all pets\n",
        "# DEPRECATED\n",
        "# also GET /v1/pets/{id}.json"[:6],
        "streams events",
        "the backend asks no key here: perhaps `public: true, price: 0`",
        "TRACE /files/{path+}: this method is not served.",
        "one path and method, so one route",
    ):
        assert remark in made.text


@pytest.mark.parametrize(
    ("upstream", "url", "path"),
    [
        (None, "http://old.example.com", "/api/pets/{id}"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000", "/api/pets/{id}"),
        ("http://127.0.0.1:9000/api", "http://127.0.0.1:9000/api", "/pets/{id}"),
    ],
)
def test_routes_and_upstream_share_the_base_path_between_them(
    upstream: str | None, url: str, path: str
) -> None:
    made = imported(SWAGGER, upstream=upstream)
    assert made.upstreams == {"api": url}
    price_list = loaded(made)
    assert price_list.routes[0].path == path
    assert len(compare(price_list, api_of(SWAGGER)).without_price) == 4  # all found, none priced
    assert compare(price_list, api_of(SWAGGER)).without_operation == ()


def test_without_an_address_one_must_be_given() -> None:
    document = minimal({"/a": {"get": {}}}, servers=[{"url": "/v1"}])
    with pytest.raises(OpenApiError, match="names no server with an address") as error:
        imported(document)
    assert "--upstream" in str(error.value)
    assert loaded(imported(document, upstream="http://127.0.0.1:1")).routes[0].path == "/v1/a"


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", "/"),
        ("/a/", "/a/"),
        ("/a b/ü/%7e", "/a%20b/%C3%BC/~"),
        ("/{user-id}/{user.id}/{2}", "/{user_id}/{user_id_2}/{p_2}"),
        ("/v1/{name}:cancel", "/v1/{name_cancel}"),
        ("/{proxy+}", "/*"),
        ("/{+rest}", "/*"),
        ("/a*b/c", "/{any}/c"),
        ("/{}", "/{part}"),
        ("/a?action=x", "/a"),
        ("/a#x", "/a"),
    ],
)
def test_a_template_becomes_the_path_of_a_route(template: str, path: str) -> None:
    document = minimal({template: {"get": {}}})
    price_list = loaded(imported(document))
    assert price_list.routes[0].path == path
    [gap] = compare(price_list, api_of(document)).without_price
    assert gap.why == "not priced yet"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("/a//b", "the path has an empty segment"),
        ("/a/../b", "the path has a dot segment"),
        ("/a{b/c", "its braces are not in pairs"),
        ("/{all+}/b", None),
        ("/a\\b", "backslash"),
    ],
)
def test_what_no_route_can_serve_is_said_and_left_out(template: str, why: str | None) -> None:
    made = imported(minimal({template: {"get": {}}, "/good": {"get": {}}}))
    if why is None:
        assert made.skipped == ()
        return
    [sentence] = made.skipped
    assert why in sentence
    assert sentence in made.text
    assert len(loaded(made).routes) == 1


def test_a_document_that_asks_for_no_key_anywhere_suggests_nothing_of_it() -> None:
    paths = {"/a": {"get": {"security": []}}, "/b": {"get": {}}}
    schemes = {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}}
    assert "perhaps" not in imported(minimal(paths, security=[], components=schemes)).text
    paths["/b"]["get"] = {"security": [{"basic": []}]}
    made = imported(minimal(paths, security=[], components=schemes))
    assert made.text.count("perhaps `public: true, price: 0`") == 1


def test_an_api_that_has_farebox_itself_moves_ours_away() -> None:
    made = imported(minimal({"/farebox/v1/x": {"get": {}}, "/farebox-gateway": {"get": {}}}))
    assert loaded(made).prefix == "/farebox-gateway-gateway"


def test_too_many_operations_are_refused() -> None:
    document = minimal({f"/r{n}": {"get": {}} for n in range(10_001)})
    with pytest.raises(OpenApiError, match="10001 operations; a price file has 10000"):
        imported(document)


def test_hostile_names_stay_comments_and_names() -> None:
    text = "x\n  - { path: /evil }\u2028#\u0000 ${HOME} \ud800 " + '"' * 500
    document = minimal(
        {"/a": {"get": {"operationId": text, "summary": text}}}, info={"title": text}
    )
    made = imported(json.dumps(document))
    [route] = loaded(made).routes
    assert route.path == "/a"
    assert "${" not in route.name


SEGMENTS = st.sampled_from(
    ["a", "b", "A", "a b", "{x}", "{y-z}", "{x}.json", "v{x}:go", "*", "é", ""]
)
TEMPLATES = st.lists(SEGMENTS | st.text(max_size=6), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
ITEMS = st.dictionaries(
    st.sampled_from([method.lower() for method in METHODS]),
    st.fixed_dictionaries(
        {},
        optional={
            "operationId": st.text(max_size=300),
            "summary": st.text(max_size=200),
            "deprecated": st.booleans(),
            "responses": st.just({"101": {}}),
            "security": st.just([]),
        },
    ),
    min_size=1,
    max_size=3,
)


@given(st.dictionaries(TEMPLATES, ITEMS, min_size=1, max_size=8))
def test_whatever_is_imported_loads_and_has_every_operation(paths: dict[str, Any]) -> None:
    """Each operation has its route or a sentence; no route is there without an operation."""
    document = json.dumps(minimal(paths))
    try:
        made = imported(document)
    except OpenApiError as error:
        assert "No route came" in str(error)  # noqa: PT017 - all of it was unservable
        return
    price_list = loaded(made)
    api = api_of(document)
    found = compare(price_list, api)
    assert found.without_operation == ()
    whys = [gap.why for gap in found.without_price]
    assert len(whys) == len(api.operations)
    unservable = [why for why in whys if why != "not priced yet"]
    assert len(unservable) <= len(made.skipped)
    assert all(route.observe and route.price.unpriced for route in price_list.routes)
