"""Promises about every file, not about examples: generated ones load, and mutated ones never crash."""

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config import LARGEST_AMOUNT, PriceFileError, PriceList, load_price_list, price_file_schema
from tests.config.files import EXAMPLE, TOKEN, attempt
from tests.config.schema_check import accepts

SCHEMA: dict[str, Any] = json.loads(price_file_schema())
COUNTS = st.integers(1, 1000)
COSTS = st.integers(1, 1000) | st.integers(1, 1000).map(str)
REQUEST_UNITS = st.sampled_from([{"query": "q"}, {"header": "x-n"}, {"body": "/n"}, {"path": "x"}])
ANSWER_UNITS = st.sampled_from([{"response": "/u/n"}, {"response_header": "x-u"}])


def unit(source: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    more = st.fixed_dictionaries({"cost": COSTS}, optional={"unit": COUNTS, "default": COUNTS})
    return st.builds(lambda source, more: {**source, **more}, source, more)


def distinct(units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({next(iter(unit)): unit for unit in units}.values())


BEFORE = st.fixed_dictionaries(
    {"per": st.lists(unit(REQUEST_UNITS), min_size=1, max_size=3).map(distinct)},
    optional={"flat": COSTS, "min": st.integers(0, 5), "max": st.integers(5, 10**6)},
)
AFTER = st.fixed_dictionaries(
    {"hold": st.integers(1000, 10**6), "settle": unit(ANSWER_UNITS)},
    optional={"flat": COSTS, "missing": st.integers(0, 1000)},
)
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"upstream": st.just("api"), "price": COSTS | BEFORE | AFTER},
        optional={
            "name": st.text("abc", min_size=1, max_size=9),
            "observe": st.booleans(),
            "charge_on": st.lists(st.sampled_from(["2xx", 304, "404"]), min_size=1, max_size=3),
            "timeout": st.sampled_from(["500ms", "30s", "2m"]),
            "max_body": st.sampled_from([4096, "64KiB"]),
            "record": st.just({"x": "path/x"}),
        },
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def price_files(draw: st.DrawFn) -> dict[str, Any]:
    routes = draw(ROUTES)
    for number, route in enumerate(routes):
        route["path"] = f"/r{number}/{{x}}"
    file: dict[str, Any] = {
        "version": 1,
        "upstreams": {"api": {"url": "http://127.0.0.1:9000"}},
        "routes": routes,
    }
    if draw(st.booleans()):
        file["limits"] = {"per_key": {"requests": draw(COUNTS), "per": "hour"}}
    if draw(st.booleans()):
        file["packages"] = {"p": {"name": "P", "credits": draw(COSTS), "price": {"eur": 5}}}
    return file


@given(price_files(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_valid_file_loads_and_the_schema_agrees(file: dict[str, Any], flow: bool) -> None:
    price_list = load_price_list(json.dumps(file, indent=2 if flow else None), environ={})
    assert accepts(SCHEMA, file)
    assert len(price_list.routes) == len(file["routes"])
    assert 0 < price_list.largest_ceiling("credits") <= LARGEST_AMOUNT


def refused_well(outcome: object) -> bool:
    """Whether a refusal has a place and a sentence for each problem, and no secret."""
    return (
        isinstance(outcome, PriceFileError)
        and bool(outcome.problems)
        and all(p.line >= 1 and p.column >= 1 and p.message for p in outcome.problems)
        and TOKEN["UPSTREAM_TOKEN"] not in str(outcome)
    )


PIECES = [
    "{", "}", "[", "]", ":", "- ", "&a ", "*a", "!!x ", "<<: ", "${X}", "\n", "  ", "'", '"', "#", "|", "?", "~",
    "-1", "1e9", "0.1", "9" * 30, "null", "true", "\t", "\x00", "\u2028", "é", "---\n", "%", "@", "/", "\ufeff",
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 12), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_a_mutated_file_loads_or_is_refused_with_places(
    changes: list[tuple[int, int, str]],
) -> None:
    text = EXAMPLE
    for at, cut, piece in changes:
        text = text[:at] + piece + text[at + cut :]
    outcome = attempt(lambda: load_price_list(text, environ=TOKEN))
    assert refused_well(outcome) or isinstance(outcome, PriceList)


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_text_loads_or_is_refused(text: str) -> None:
    outcome = attempt(lambda: load_price_list(text, environ={}))
    assert refused_well(outcome) or isinstance(outcome, PriceList)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab${}", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["per", "flat", "cost", "path", "hold", "body", "query"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["price", "methods", "record", "charge_on", "cors", "path", "upstream"])


@given(VALUES, KEYS)
@settings(max_examples=200, deadline=None)
def test_a_wrong_value_under_any_key_is_refused_and_nothing_else(value: Any, key: str) -> None:
    file = yaml.safe_load(EXAMPLE)
    file["routes"][0][key] = value
    outcome = attempt(lambda: load_price_list(json.dumps(file), environ=TOKEN))
    assert refused_well(outcome) or isinstance(outcome, PriceList)
