"""A route whose price nobody has written yet can only be watched."""

import json
from typing import Any

import pytest
import yaml

from config import Unpriceable, load_price_list, price_file_schema, quote
from tests.config.files import HEAD, problems, routes
from tests.config.schema_check import accepts

SCHEMA: dict[str, Any] = json.loads(price_file_schema())
UNPRICED = 'path: "/a/{x}", price: unpriced'


def test_an_unpriced_route_is_refused_unless_it_observes() -> None:
    [problem] = problems(HEAD + f"routes:\n  - {{ upstream: api, {UNPRICED} }}\n")
    assert (problem.line, problem.column) == (5, 45)
    assert problem.message == "This route has no price yet, and it would be served."
    assert "observe: true" in problem.hint


def test_taking_out_observe_names_every_route_that_is_not_priced() -> None:
    lines = "".join(f"  - {{ upstream: api, path: /r{n}, price: unpriced }}\n" for n in range(9))
    assert len(problems(f"{HEAD}routes:\n{lines}")) == 9
    assert problems(f"{HEAD}observe: true\nroutes:\n{lines}") == []
    mixed = lines.replace("/r3, price: unpriced", "/r3, price: unpriced, observe: false")
    assert [problem.line for problem in problems(f"{HEAD}observe: true\nroutes:\n{mixed}")] == [9]


def test_a_watched_one_is_known_as_unpriced_and_not_as_free() -> None:
    price_list = routes(f"{UNPRICED}, observe: true", "path: /free, price: 0")
    [route] = price_list.unpriced
    assert (route.path, route.observe) == ("/a/{x}", True)
    assert not route.price.is_free
    assert quote(price_list, "GET", "/a/1", [], None).arithmetic == "no price yet"


@pytest.mark.parametrize(
    "more", ["public: true", "linger: 1s", "record: { x: body/x }", "price: 1"]
)
def test_what_needs_a_price_does_not_fit_beside_it(more: str) -> None:
    assert problems(HEAD + f"routes:\n  - {{ upstream: api, {UNPRICED}, observe: true, {more} }}\n")


@pytest.mark.parametrize("word", ["unprised", "Unpriced", '"unpriced"', "none", "null", "''"])
def test_no_other_word_is_a_price(word: str) -> None:
    text = HEAD + f"routes:\n  - {{ upstream: api, path: /a, price: {word}, observe: true }}\n"
    assert problems(text)


def test_the_schema_knows_the_word() -> None:
    text = HEAD + f"routes:\n  - {{ upstream: api, {UNPRICED}, observe: true }}\n"
    assert load_price_list(text, environ={}).unpriced
    assert accepts(SCHEMA, yaml.safe_load(text))
    assert not accepts(SCHEMA, yaml.safe_load(text.replace("unpriced", "unprised")))


def test_several_credit_types_need_no_choice_before_there_is_a_price() -> None:
    head = HEAD.replace("credits: { scale: 0 }", "writing: { scale: 0 }")
    text = f"{head}routes:\n  - {{ upstream: api, {UNPRICED}, observe: true }}\n"
    assert load_price_list(text, environ={}).routes[0].price.credit_type == "writing"


def test_a_request_that_no_route_has_is_still_refused() -> None:
    with pytest.raises(Unpriceable):
        quote(routes(f"{UNPRICED}, observe: true"), "GET", "/b", [], None)
