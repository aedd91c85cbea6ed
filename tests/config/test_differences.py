"""config/differences.py: whatever changes is said, in words, and nothing else is."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from config import PriceFileError, differences, load_price_list
from config.words import amount_words, words
from tests.config.files import EXAMPLE, HEAD
from tests.config.test_promises import price_files


def said(old: str, new: str) -> list[str]:
    return [f"{one.group} | {one.sentence}" for one in differences(old, new)]


def changed(old: str, new: str) -> list[str]:
    assert old in EXAMPLE
    return said(EXAMPLE, EXAMPLE.replace(old, new))


def routes(*lines: str) -> str:
    return HEAD + "routes:\n" + "".join(f"  - {{ upstream: api, {line} }}\n" for line in lines)


def test_a_price_is_said_in_words() -> None:
    old = routes("path: /v1/search, methods: [POST], price: 1")
    new = routes("path: /v1/search, methods: [POST], price: 2")
    assert said(old, new) == ["routes | POST /v1/search: 1 credit -> 2 credits"]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("0", "free"),
        ("{ flat: 0.25, credit_type: calling }", "0.25 calling"),
        ("{ per: [{ request_bytes: true, cost: 1 }], max: 9 }", "1 credit for each byte of the request, at most 9 credits"),
        (
            "{ flat: 1, per: [{ query: n, unit: 10, cost: 2, default: 3 }], min: 2 }",
            "1 credit + 2 credits for each 10 of query n (3 where absent), at least 2 credits",
        ),
        (
            "{ hold: 50, per: [{ seconds: true, unit: 60, cost: 2 }], missing: 7 }",
            "2 credits for each 60 seconds; 50 credits held, 7 credits where the answer does not tell",
        ),
    ],
)  # fmt: skip
def test_every_sort_of_price_has_words(price: str, expected: str) -> None:
    (found,) = differences(routes("path: /x, price: 5"), routes(f"path: /x, price: {price}"))
    assert (found.before, found.after) == ("5 credits", expected)


def test_routes_are_added_removed_and_moved() -> None:
    old = routes("path: /a, price: 1", "path: /b, methods: [GET], price: 2, name: bee")
    new = routes("path: /c, price: 3", "path: '/v2/{b}', methods: [GET], price: 2, name: bee")
    assert said(old, new) == [
        "routes | /c: added: price 3 credits, upstream api",
        "routes | GET /v2/{b}: moved from GET /b",
        "routes | /a: removed: price 1 credit, upstream api",
    ]


def test_a_route_split_by_method_is_the_old_one_and_a_new_one() -> None:
    old = routes("path: /a, methods: [GET, POST], price: 1")
    new = routes("path: /a, methods: [GET], price: 1", "path: /a, methods: [POST], price: 2")
    assert said(old, new) == [
        "routes | GET /a: methods GET POST -> GET",
        "routes | POST /a: added: price 2 credits, upstream api",
    ]


def test_the_same_price_written_otherwise_is_no_change() -> None:
    old = routes("path: /a, price: 2")
    assert said(old, routes("path: /a, price: { flat: '2', credit_type: credits }")) == []


def test_the_order_of_routes_is_no_change() -> None:
    one, two = "path: /a, price: 2", "path: /b, price: 3"
    assert said(routes(one, two), routes(two, one)) == []


def test_what_a_route_takes_over_is_said_once() -> None:
    assert changed("timeout: 30s", "timeout: 60s") == ["upstreams | api: timeout 30s -> 1m"]
    with_cors = said(EXAMPLE, EXAMPLE + "cors: off\n")
    assert with_cors == [
        "file | cors preflights true, origins none -> preflights false, origins none"
    ]
    assert said(EXAMPLE, EXAMPLE + "observe: true\n") == ["file | observe false -> true"]


def test_a_header_of_an_upstream_is_compared_and_never_shown() -> None:
    (found,) = changed("Bearer ${UPSTREAM_TOKEN}", "Bearer s3cret")
    assert found == "upstreams | api: header authorization a value -> another value"


def test_a_variable_is_compared_as_written() -> None:
    text = EXAMPLE.replace("http://127.0.0.1:9000", "${BACKEND}")
    assert said(EXAMPLE, text) == ["upstreams | api: url http://127.0.0.1:9000 -> ${BACKEND}"]
    networks = [EXAMPLE + f'trusted_proxies: ["${{{name}}}"]\n' for name in ("A", "B")]
    assert said(*networks) == ["file | trusted_proxies ${A} -> ${B}"]


# One change of every key of the format: (key, what stands in the old file, what in the new).
KEYS: list[tuple[str, Any, Any]] = [
    ("credit_types.calling.scale", 2, 3),
    ("credit_types.calling.window", None, 5000),
    ("credit_types.calling.low_balance", None, 5),
    ("upstreams.api.url", "http://127.0.0.1:9000", "http://127.0.0.1:9001"),
    ("upstreams.api.timeout", "30s", "31s"),
    ("upstreams.api.connect_timeout", None, "4s"),
    ("upstreams.api.max_connections", None, 9),
    ("upstreams.api.ca_file", None, "/ca.pem"),
    ("upstreams.api.headers.X-More", None, "1"),
    ("routes.3.path", "/v1/calls/{a}", "/v1/calls/{b}"),
    ("routes.0.methods", ["GET"], ["GET", "PUT"]),
    ("routes.0.name", "asin_query", "other"),
    ("routes.0.price", 2, 3),
    ("routes.0.record", {"asin": "path/asin"}, None),
    ("routes.0.charge_on", None, ["2xx", 404]),
    ("routes.5.public", True, None),
    ("routes.0.observe", None, True),
    ("routes.0.strict", None, True),
    ("routes.0.idempotency", None, "replay"),
    ("routes.0.max_body", None, "64KiB"),
    ("routes.2.linger", None, "5s"),
    ("routes.2.on_cut", None, "delivered"),
    ("routes.0.timeout", None, "5s"),
    ("routes.0.lifetime", None, "30s"),
    ("routes.0.encoded_slash", None, "allow"),
    ("routes.0.cors", None, "off"),
    ("routes.0.upstream_cost", None, {"usd": 0.2}),
    ("routes.1.price.flat", 1, 2),
    ("routes.1.price.per.0.unit", 100, 10),
    ("routes.1.price.per.0.cost", 1, 2),
    ("routes.1.price.per.0.default", 1, 2),
    ("routes.1.price.min", None, 2),
    ("routes.1.price.max", 50, 51),
    ("routes.2.price.hold", 500, 501),
    ("routes.2.price.missing", 500, 400),
    ("packages.starter.name", "Starter", "Begin"),
    ("packages.starter.credits", 100, 101),
    ("packages.starter.price", {"usd": 1000}, {"usd": 1001}),
    ("packages.starter.description", None, "More"),
    ("packages.starter.interval", None, "month"),
    ("packages.starter.expires", None, "30d"),
    ("packages.starter.tax", None, "automatic"),
    ("packages.starter.promotion_codes", None, True),
    ("packages.starter.adjustable_quantity", None, True),
    ("packages.starter.sort", None, 3),
    ("packages.starter.active", None, False),
    ("packages.starter.metadata", None, {"a": "b"}),
    ("packages.starter.allow_free", None, True),
    ("packages.starter.discounted", None, "share"),
    ("packages.starter.routes", None, ["asin_query"]),
    ("packages.starter.plan_tier", None, "gold"),
    ("packages.starter.feature_flags", None, ["fast"]),
    ("limits", {"per_key": {"requests": 600, "per": "minute"}}, None),
    ("limits.per_key.requests", 600, 601),
    ("limits.per_key.per", "minute", "hour"),
    ("selling", None, {"freeze_on_dispute": False}),
    ("prefix", None, "/paid"),
    ("cors", None, {"origins": ["https://a.example"]}),
    ("trusted_proxies", None, ["10.0.0.0/8"]),
    ("observe", None, True),
    ("upstream_client", None, "httpx"),
]  # fmt: skip


def put(document: Any, key: str, value: Any) -> Any:
    """The document with one value changed; None takes it away."""
    *before, last = key.split(".")
    at = document
    for part in before:
        at = at[int(part) if isinstance(at, list) else part]
    if value is None:
        at.pop(last, None)
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(("key", "old", "new"), KEYS, ids=[key for key, _, _ in KEYS])
def test_a_change_of_any_key_is_said(key: str, old: Any, new: Any) -> None:
    before = json.dumps(put(yaml.safe_load(EXAMPLE), key, old))
    after = json.dumps(put(yaml.safe_load(EXAMPLE), key, new))
    found = differences(before, after)
    assert found
    assert differences(after, before)


@given(price_files(), price_files())
@settings(max_examples=80, deadline=None)
def test_two_files_differ_in_words_if_they_charge_differently(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, after = json.dumps(old), json.dumps(new)
    found = differences(before, after)
    lists = [load_price_list(text, environ=None) for text in (before, after)]
    if not found:
        assert [route.price for route in lists[0].routes] == [
            route.price for route in lists[1].routes
        ]
    assert found == differences(before, after)
    assert differences(before, before) == []
    assert all(one.sentence for one in found)


def test_a_wrong_file_is_refused_with_its_lines() -> None:
    with pytest.raises(PriceFileError) as refused:
        differences(EXAMPLE, EXAMPLE.replace("price: 2", "price: -2"))
    assert refused.value.problems[0].line > 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("a_ms", 90_000, "90s"), ("a_ms", 0, "0"), ("a_s", 60, "1m"), ("max_body", 1536, "1536"), ("", (), "none")],
)  # fmt: skip
def test_values_are_said_in_their_unit(name: str, value: object, expected: str) -> None:
    assert words(name, value) == expected


def test_one_is_singular() -> None:
    assert amount_words(1, 0, "credits") == "1 credit"
    assert amount_words(1, 0, "business") == "1 business"
    assert amount_words(100, 2, "credits") == "1.00 credits"
