from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import BadPath, Match, MethodNotAllowed, NoRoute, PriceList, canonical_path
from config.routing import Endpoint, RouteTable, shape
from tests.config.files import routes


def served(price_list: PriceList, path: bytes, method: bytes = b"GET") -> str | None:
    found = price_list.match(method, canonical_path(path))
    return found.route.path if isinstance(found, Match) else None


TABLE = routes(
    'path: "/a/b", price: 1',
    'path: "/a/{x}", price: 2',
    'path: "/a/*", price: 3',
    'path: "/a/{x}/c", price: 4',
    'path: "/a/b/d", price: 5',
    'path: "/{y}/b", price: 6',
    'path: "/t/", price: 7',
    'path: "/", price: 8',
    'path: "/e/{x}", price: 9, encoded_slash: allow',
)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/a/b", "/a/b"),
        (b"/%61/b", "/a/b"),
        (b"/a/z", "/a/{x}"),
        (b"/a/b/c", "/a/{x}/c"),
        (b"/a/b/e", "/a/*"),
        (b"/a/b/d", "/a/b/d"),
        (b"/a/b/d/e/f", "/a/*"),
        (b"/z/b", "/{y}/b"),
        (b"/t/", "/t/"),
        (b"/", "/"),
        (b"/t", None),
        (b"/Z/b", "/{y}/b"),
        (b"/a/", None),
        (b"/a", None),
        (b"/a/b/f/", "/a/*"),
        (b"/z", None),
    ],
)
def test_a_literal_beats_a_parameter_beats_a_star(path: bytes, route: str | None) -> None:
    assert served(TABLE, path) == route


def test_parameters_are_decoded() -> None:
    found = TABLE.match(b"GET", b"/a/x%20%C3%A9")
    assert isinstance(found, Match)
    assert found.params == {"x": "x é"}


def test_an_escaped_slash_is_refused_unless_the_route_takes_it() -> None:
    with pytest.raises(BadPath):
        TABLE.match(b"GET", b"/a/x%2Fy")
    found = TABLE.match(b"GET", b"/e/x%2Fy")
    assert isinstance(found, Match)
    assert found.params == {"x": "x/y"}


def test_nothing_serves_an_unknown_path() -> None:
    assert TABLE.match(b"GET", b"/nowhere") == NoRoute()


def test_get_implies_head_unless_head_has_its_own_price() -> None:
    table = routes(
        "path: /a, methods: [GET], price: 1",
        "path: /b, methods: [GET], price: 2",
        "path: /b, methods: [HEAD], price: 0",
        "path: /c, methods: [POST], price: 3",
    )
    prices = {}
    for path in (b"/a", b"/b"):
        found = table.match(b"HEAD", path)
        assert isinstance(found, Match)
        prices[path] = found.route.price.flat
    assert prices == {b"/a": 1, b"/b": 0}
    assert table.match(b"HEAD", b"/c") == MethodNotAllowed(("POST",))


def test_the_method_of_a_known_path_never_falls_through_to_a_catch_all() -> None:
    table = routes('path: "/a/{x}", methods: [GET], price: 9', 'path: "/*", price: 1')
    assert table.match(b"POST", b"/a/1") == MethodNotAllowed(("GET", "HEAD"))
    assert served(table, b"/a/1/2", b"POST") == "/*"


def test_one_shape_may_have_other_names_for_each_method() -> None:
    table = routes(
        'path: "/a/{id}", methods: [GET], price: 1', 'path: "/a/{key}", methods: [PUT], price: 2'
    )
    found = table.match(b"PUT", b"/a/7")
    assert isinstance(found, Match)
    assert (found.params, found.route.price.flat) == ({"key": "7"}, 2)


def test_looking_up_walks_the_path_and_not_the_routes() -> None:
    """The tree of a thousand routes is as deep as that of one."""
    table = routes(*(f'path: "/r{n}/{{x}}", price: {n}' for n in range(1000)))
    root = table._table._root
    assert len(root.literals) == 1000
    found = table.match(b"GET", b"/r999/1")
    assert isinstance(found, Match)
    assert found.route.price.flat == 999


NEAR = routes(
    'path: "/files/*", price: 1',
    'path: "/files/secret", price: 9',
    'path: "/files/{x}/Raw", price: 9',
    'path: "/v/{x}", price: 1',
    'path: "/v/{x}/c", price: 2',
    'path: "/v/{x}/C", price: 3',
    'path: "/{any}", price: 1, encoded_slash: allow',
    'path: "/t/", price: 9',
)


@pytest.mark.parametrize(
    "path",
    [
        b"/files/Secret",
        b"/files/secret/",
        b"/files/secret;v=1",
        b"/files;a/secret",
        b"/files/secret%3Bv",
        b"/files/secret.",
        b"/files/secret%20",
        b"/files/a/raw",
        b"/files/a/Raw/",
        b"/files%2Fsecret",
        b"/t",
        b"/T",
    ],
)
def test_a_pattern_does_not_take_what_lenient_backends_serve_as_another_route(path: bytes) -> None:
    if path.startswith(b"/files;"):
        assert served(NEAR, path) is None  # no pattern takes it
        return
    with pytest.raises(BadPath):
        NEAR.match(b"GET", path)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/files/secret", "/files/secret"),
        (b"/files/secrets", "/files/*"),
        (b"/files/SECRETS/", "/files/*"),
        (b"/files/a/Raw", "/files/{x}/Raw"),
        (b"/v/B00X", "/v/{x}"),
        (b"/v/a/c", "/v/{x}/c"),
        (b"/v/a/C", "/v/{x}/C"),  # two routes that we alone tell apart, as they were written
        (b"/t/", "/t/"),
        (b"/V/x", None),
    ],
)
def test_what_is_near_no_other_route_is_taken(path: bytes, route: str | None) -> None:
    assert served(NEAR, path) == route


def takes(pattern: Sequence[bytes], other: Sequence[bytes]) -> bool:
    """What `covers` means, for one pair of folded shapes."""
    if pattern == other:
        return False
    for at, segment in enumerate(pattern):
        if segment == b"*":
            return len(other) > at
        if at >= len(other) or (segment not in (other[at], b"{}") and other[at] != b"{}"):
            return False
    return len(pattern) == len(other)


def endpoints_of(node: Any) -> Iterator[Endpoint]:
    """All endpoints of a table's tree."""
    yield from (one for one in (node.here, node.rest) if one is not None)
    for below in (*node.literals.values(), *([node.parameter] if node.parameter else [])):
        yield from endpoints_of(below)


PATHS = st.lists(st.sampled_from(["a", "A", "b", "{x}", "a;z", "b."]), min_size=1, max_size=3)


@given(st.lists(st.tuples(PATHS, st.booleans()), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_pattern_knows_which_others_it_covers(written: list[tuple[list[str], bool]]) -> None:
    """The table finds in its tree what comparing each path with each other would find."""
    shapes: dict[str, str] = {}
    for parts, rest in written:
        named = [f"{{x{at}}}" if part == "{x}" else part for at, part in enumerate(parts)]
        path = "/" + "/".join([*named, *(["*"] if rest else [])])
        shapes.setdefault(shape(path), path)
    table = RouteTable(routes(*(f"path: '{path}', price: 1" for path in shapes.values())).routes)
    endpoints = [*endpoints_of(table._root)]
    assert len(endpoints) == len(shapes)
    for endpoint in endpoints:
        expected = any(takes(endpoint.folded, other.folded) for other in endpoints)
        assert endpoint.covers == expected, endpoint.folded
