import pytest

from config import Unit, Unpriceable, explain, quote, units_of
from tests.config.files import example, facts, routes

JSON = [(b"Content-Type", b"application/json")]


def test_a_quote_names_the_rule_and_shows_the_arithmetic() -> None:
    quoted = quote(example(), "POST", "/v1/search", JSON, b'{"limit": 250}')
    assert (quoted.rule, quoted.path, quoted.amount, quoted.final) == (1, "/v1/search", 4, True)
    assert quoted.arithmetic == "1 + 250 / 100 x 1, rounded up = 4"


def test_a_quote_says_which_bound_decided() -> None:
    quoted = quote(example(), "POST", "/v1/search", JSON, b'{"limit": 10000}')
    assert quoted.arithmetic == "1 + 10000 / 100 x 1 = 101, at most 50"


def test_a_quote_of_a_price_that_the_answer_decides_is_its_ceiling() -> None:
    quoted = quote(example(), "POST", "/v1/chat", [], None)
    assert (quoted.amount, quoted.final) == (500, False)
    assert quoted.arithmetic == "at most 500; the answer decides"


def test_amounts_are_shown_with_the_decimals_of_their_type() -> None:
    quoted = quote(example(), "POST", "/v1/calls/x", [], None)
    assert (quoted.amount, quoted.scale, quoted.arithmetic) == (25, 2, "0.25")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/none", 404),
        ("PUT", "/v1/search", 405),
        ("GET", "/a/../b", 400),
        ("GET", "/a%2Fb", 404),
    ],
)
def test_a_request_that_would_be_refused_has_no_quote(
    method: str, target: str, status: int
) -> None:
    with pytest.raises(Unpriceable) as refused:
        quote(example(), method, target, [], None)
    assert refused.value.status == status


def test_stored_quantities_explain_a_charge_again() -> None:
    price = (
        routes(
            "path: /p, price: { hold: 50, flat: 1, per: [{ query: n, cost: 2 }],"
            " settle: { response: /u, unit: 10, cost: 1 } }"
        )
        .routes[0]
        .price
    )
    units = units_of(price, [3], [25])
    assert units == (Unit("query n", 3), Unit("response /u", 25))
    explained = explain(price, units)
    assert (explained.amount, explained.arithmetic) == (
        10,
        "1 + 3 x 2 + 25 / 10 x 1, rounded up = 10",
    )
    assert units_of(price, [3], [None]) == (Unit("query n", 3),)


def test_a_body_of_unannounced_length_is_stored_behind_the_rest() -> None:
    price = (
        routes(
            "path: /p, price: { max: 50, per: [{ request_bytes: true, cost: 1 }, { query: n, cost: 2 }] }"
        )
        .routes[0]
        .price
    )
    measured = price.before(facts(query=b"n=3", request_bytes=None))
    before = [unit.quantity for unit in measured.units]
    assert units_of(price, before, [9]) == (Unit("query n", 3), Unit("request_bytes", 9))


def test_recorded_values_are_cut_and_never_refuse() -> None:
    route = routes(
        'path: "/p/{x}", price: 1, record: { x: path/x, q: query/q, h: header/X-Client, none: query/z }'
    ).routes[0]
    found = route.recorded(
        facts(path={"x": "é" * 80}, query=b"q=1&q=2", headers=[(b"x-client", b"me")])
    )
    assert found == {"x": "é" * 50, "h": "me"}
