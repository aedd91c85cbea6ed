"""What a price file and a document say of each other."""

from config import PriceList, load_price_list
from config.openapi import Comparison, compare
from tests.config.openapi.documents import api_of, minimal

DOCUMENT = minimal(
    {
        "/pets": {"get": {"operationId": "list"}, "post": {"operationId": "create"}},
        "/pets/{id}": {"get": {"operationId": "show"}, "head": {}},
        "/stats": {"get": {"operationId": "stats"}},
    },
    servers=[{"url": "https://pets.example.com/v1"}],
)


def prices(*routes: str, url: str = "http://127.0.0.1:9") -> PriceList:
    head = f'version: 1\nupstreams: {{ api: {{ url: "{url}" }} }}\nroutes:\n'
    lines = "".join(f"  - {{ upstream: api, {route} }}\n" for route in routes)
    return load_price_list(head + lines, environ={})


def told(found: Comparison) -> tuple[list[str], list[str]]:
    missing = [
        f"{gap.operation.method} {gap.operation.path}: {gap.why}" for gap in found.without_price
    ]
    extra = [f"{gap.method} {gap.route.path}" for gap in found.without_operation]
    return missing, extra


ALL = (
    "path: /v1/pets, methods: [GET, POST], price: 1",
    'path: "/v1/pets/{x}", methods: [GET], price: 1',
    "path: /v1/stats, price: 1",
)


def test_a_file_that_prices_all_lacks_nothing() -> None:
    found = compare(prices(*ALL), api_of(DOCUMENT))
    assert found.same
    assert found.operations == 5


def test_what_either_side_lacks_is_named_once() -> None:
    price_list = prices(
        "path: /v1/pets, methods: [GET, DELETE], price: 1",
        'path: "/v1/pets/{x}", methods: [GET], price: unpriced, observe: true',
        "path: /v1/old, price: 1",
    )
    assert told(compare(price_list, api_of(DOCUMENT))) == (
        [
            "POST /v1/pets: its path is there for DELETE, GET, HEAD only",
            "GET /v1/pets/{id}: not priced yet",
            "HEAD /v1/pets/{id}: not priced yet",
            "GET /v1/stats: no route",
        ],
        ["DELETE /v1/pets", "None /v1/old"],
    )


def test_the_upstreams_path_is_part_of_what_the_backend_is_asked() -> None:
    below = [route.replace("/v1/", "/") for route in ALL]
    assert compare(prices(*below, url="http://127.0.0.1:9/v1"), api_of(DOCUMENT)).same
    assert len(compare(prices(*below), api_of(DOCUMENT)).without_price) == 5
    assert compare(prices(*below), api_of(DOCUMENT, base_path="/")).same
    # `/v1` is no part of `/v10`.
    assert (
        len(compare(prices(*below, url="http://127.0.0.1:9/v"), api_of(DOCUMENT)).without_price)
        == 5
    )


def test_a_route_for_everything_has_all_operations_and_no_gap() -> None:
    assert compare(prices('path: "/*", price: 1'), api_of(DOCUMENT)).same


def test_a_literal_beside_a_placeholder_is_another_operation() -> None:
    price_list = prices(*ALL, "path: /v1/pets/mine, methods: [GET], price: 5")
    assert told(compare(price_list, api_of(DOCUMENT))) == ([], ["None /v1/pets/mine"])
