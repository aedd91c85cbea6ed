"""config/heirs.py: where the requests of a route would go in another list."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import Match, PriceList, load_price_list
from config.heirs import HeirFinder
from config.reading.shape import METHODS
from config.routing import BadPath
from tests.config.files import routes


def of(old: PriceList, new: PriceList, index: int = 0) -> tuple[list[str], bool]:
    found = HeirFinder(old, new).of(old.routes[index])
    return [f"{' '.join(one.methods)} {one.path}" for one in found.routes], found.none


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["/a"], ["/a"], (["/a"], False)),
        (["/a"], ["/b"], ([], True)),
        (["/a"], ["/*"], (["/*"], False)),
        (["/a"], ["/{x}", "/*"], (["/{x}"], False)),
        (["/{x}"], ["/{y}", "/*"], (["/{y}"], False)),
        (["/{x}"], ["/{y}", "/a"], (["/{y}", "/a"], False)),
        (["/{x}", "/a"], ["/{y}", "/a"], (["/{y}"], False)),
        (["/{x}", "/a"], ["/a"], ([], True)),
        (["/*"], ["/a", "/b/c"], (["/a", "/b/c"], True)),
        (["/*", "/a"], ["/*", "/a", "/b/*"], (["/*", "/b/*"], False)),
        (["/a/"], ["/{x}/", "/{x}/{y}", "/a/*"], (["/{x}/"], False)),
        (["/{x}/{y}"], ["/a/", "/a/*"], (["/a/*"], True)),
        (["/v1/products/{x}"], ["/v1/{a}/{b}", "/v1/*", "/*"], (["/v1/{a}/{b}"], False)),
        (["/v1/{a}/{b}"], ["/v1/products/{x}", "/v1/*"], (["/v1/products/{x}", "/v1/*"], False)),
    ],
)
def test_where_the_requests_go(old: list[str], new: list[str], expected: Any) -> None:
    lists = [
        routes(*(f"path: '{path}', methods: [PUT], price: 1" for path in paths))
        for paths in (old, new)
    ]
    reached, none = of(*lists)
    assert ([one.removeprefix("PUT ") for one in reached], none) == expected


def test_methods_that_went_apart_are_several_heirs() -> None:
    old = routes("path: /a, methods: [GET, POST], price: 1")
    new = routes("path: /a, methods: [GET], price: 1", "path: /a, methods: [POST], price: 2")
    assert of(old, new) == (["GET /a", "POST /a"], False)
    assert of(old, routes("path: /a, methods: [POST], price: 2")) == (["POST /a"], True)


def test_head_goes_with_get_unless_it_has_a_route() -> None:
    old = routes("path: /a, methods: [GET], price: 1")
    new = routes("path: /a, methods: [GET], price: 1", "path: /a, methods: [HEAD], price: 0")
    assert of(old, old) == (["GET /a"], False)
    assert of(old, new) == (["GET /a", "HEAD /a"], False)
    assert of(new, old) == (["GET /a"], False)


SEGMENT = st.sampled_from(["a", "b", "{x}"])
PATHS = st.builds(
    lambda parts, end: "/" + "/".join([*parts, *end]),
    st.lists(SEGMENT, min_size=1, max_size=3),
    st.sampled_from([[], [], ["*"], [""]]),
)


@st.composite
def lists(draw: st.DrawFn) -> PriceList:
    written: dict[tuple[str, ...], dict[str, Any]] = {}
    for number, path in enumerate(draw(st.lists(PATHS, min_size=1, max_size=5))):
        named = "/".join(f"{{x{at}}}" if p == "{x}" else p for at, p in enumerate(path.split("/")))
        methods = draw(st.sampled_from([["GET"], ["POST"], ["GET", "POST"], ["HEAD"]]))
        taken = {m for key in written for m in key[1:] if key[0] == path}
        if not taken & {*methods}:
            written[path, *methods] = {
                "path": named, "methods": methods, "upstream": "api", "price": number + 1
            }  # fmt: skip
    file = {
        "version": 1,
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": list(written.values()),
    }
    return load_price_list(json.dumps(file), environ={})


def matched(prices: PriceList, method: str, path: str) -> int | None:
    found = prices.match(method.encode(), path.encode())
    return found.route.index if isinstance(found, Match) else None


@given(lists(), lists(), st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.booleans())
@settings(max_examples=500, deadline=None)
def test_no_request_goes_where_nobody_said(
    old: PriceList, new: PriceList, segments: list[str], slash: bool
) -> None:
    """Whatever the request was, what serves it in the new list is among the heirs."""
    finder, path = HeirFinder(old, new), "/" + "/".join([*segments, *([""] if slash else [])])
    for method in METHODS:
        try:
            before, after = matched(old, method, path), matched(new, method, path)
        except BadPath:
            continue
        if before is not None:
            heirs = finder.of(old.routes[before])
            assert heirs.none if after is None else after in {one.index for one in heirs.routes}


@given(lists())
@settings(max_examples=100, deadline=None)
def test_the_same_list_has_itself_as_heir(prices: PriceList) -> None:
    finder = HeirFinder(prices, prices)
    for route in prices.routes:
        assert finder.of(route).routes == (route,)
        assert not finder.of(route).none
