from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import LARGEST_AMOUNT, Line, Measured, Price, Unit, Unpriceable
from tests.config.files import attempt, example, facts, json_facts, routes


def price(text: str, **extra: str) -> Price:
    more = "".join(f", {key}: {value}" for key, value in extra.items())
    return routes(f'path: "/p/{{n}}", price: {text}{more}').routes[0].price


def refusal(of: Price, **request: object) -> tuple[int, str]:
    with pytest.raises(Unpriceable) as refused:
        of.before(facts(**request))  # type: ignore[arg-type]
    return refused.value.status, refused.value.code


def test_a_flat_price_is_measured_once_for_all_requests() -> None:
    flat = price("2")
    assert flat.before(facts()) is flat.before(facts(query=b"a=1"))
    assert flat.before(facts()).ceiling == 2
    assert flat.before(facts()).final


def test_only_a_price_of_zero_is_free() -> None:
    assert price("0").is_free
    assert not price("1").is_free
    assert not price("{ per: [{ query: n, cost: 1 }] }").is_free


def test_the_documented_example_costs_a_credit_for_each_started_hundred() -> None:
    search = example().routes[1].price
    costs = [
        search.before(json_facts(b'{"limit":%d}' % n)).ceiling for n in (0, 1, 100, 101, 10**6)
    ]
    assert costs == [1, 2, 2, 3, 50]


def test_an_absent_quantity_takes_the_default_or_is_refused() -> None:
    search = example().routes[1].price
    assert search.before(json_facts(b"{}")).units == (Unit("body /limit", 1),)
    assert search.before(facts(body=b"")).ceiling == 2
    assert refusal(price("{ per: [{ query: n, cost: 1 }] }")) == (422, "price-value-missing")


def test_amounts_are_in_the_smallest_unit_of_the_credit_type() -> None:
    calls = price('{ flat: "0.25", per: [{ query: n, cost: 0.1 }], credit_type: calling }')
    assert calls.before(facts(query=b"n=3")).ceiling == 55
    assert (calls.credit_type, calls.scale) == ("calling", 2)


def test_min_and_max_bound_the_cost() -> None:
    bounded = price("{ per: [{ query: n, cost: 1 }], min: 5, max: 10 }")
    costs = [bounded.before(facts(query=b"n=%d" % n)).ceiling for n in (0, 7, 2**53 - 1)]
    assert costs == [5, 7, 10]


def test_a_cost_above_any_balance_is_refused() -> None:
    dear = price("{ per: [{ query: n, cost: 1000000 }] }")
    assert refusal(dear, query=b"n=9007199254740991") == (422, "price-overflow")


def test_path_and_header_quantities_are_counted() -> None:
    both = price("{ per: [{ path: n, cost: 2 }, { header: X-Pages, cost: 3 }] }")
    measured = both.before(facts(path={"n": "5"}, headers=[(b"x-pages", b" 7 ")]))
    assert measured.units == (Unit("path n", 5), Unit("header x-pages", 7))
    assert measured.ceiling == 31


@pytest.mark.parametrize("value", [b"-1", b"1.5", b"1e3", b"", b"a", b"%2B1", b"9" * 21, b"%D9%A3"])
def test_a_query_value_that_is_no_count_is_refused(value: bytes) -> None:
    counted = price("{ per: [{ query: n, cost: 1 }] }")
    assert refusal(counted, query=b"n=" + value) == (422, "price-value-invalid")


def test_a_header_given_twice_or_in_a_cgi_spelling_is_refused() -> None:
    counted = price("{ per: [{ header: x-pages, cost: 1 }] }")
    twice = [(b"x-pages", b"1"), (b"x-pages", b"2")]
    assert refusal(counted, headers=twice) == (400, "ambiguous-header")
    assert refusal(counted, headers=[(b"x_pages", b"1")]) == (400, "ambiguous-header")


def test_request_bytes_are_the_announced_length() -> None:
    weighed = price("{ per: [{ request_bytes: true, unit: 1024, cost: 1 }] }")
    assert weighed.before(facts(request_bytes=1025)).ceiling == 2
    assert weighed.before(facts(request_bytes=0)).ceiling == 0


def test_a_body_of_unknown_length_needs_a_max() -> None:
    weighed = "per: [{ request_bytes: true, unit: 1024, cost: 1 }]"
    assert refusal(price(f"{{ {weighed} }}"), request_bytes=None) == (411, "length-required")
    bounded = price(f"{{ {weighed}, max: 9 }}")
    measured = bounded.before(facts(request_bytes=None))
    assert (measured.ceiling, measured.final) == (9, False)
    meter = bounded.meter(measured)
    meter.sent(3000)
    assert meter.close(1).amount == 3


def test_a_price_of_the_answer_holds_its_ceiling() -> None:
    chat = example().routes[2].price
    measured = chat.before(facts())
    assert (measured.ceiling, measured.units, measured.final) == (500, (), False)
    assert chat.wants_identity


def test_what_is_known_before_the_call_is_held_even_above_the_hold() -> None:
    mixed = price("{ hold: 10, per: [{ query: n, cost: 1 }, { response: /u, cost: 1 }] }")
    assert mixed.before(facts(query=b"n=3")).ceiling == 10
    assert mixed.before(facts(query=b"n=30")).ceiling == 30


def test_a_slice_of_a_connection_is_at_most_a_minute() -> None:
    live = price(
        "{ per: [{ seconds: true, unit: 60, cost: 2 }, { connection: true, cost: 5 }] }",
        websocket="true",
    )
    measured = live.before(facts())
    assert (measured.ceiling, measured.final) == (7, False)
    assert live.meter(measured).close(30_000).amount == 6


def test_a_later_slice_does_not_count_the_connection_again() -> None:
    live = price(
        "{ per: [{ seconds: true, unit: 60, cost: 2 }, { connection: true, cost: 5 }] }",
        websocket="true",
    )
    later = live.next_slice(live.before(facts()))
    assert (later.ceiling, later.final) == (2, False)
    meter = live.meter(later)
    meter.continues()
    assert (meter.due(30_000), meter.close(60_000).amount) == (1, 2)


def test_messages_are_counted_within_the_hold() -> None:
    chatty = price("{ hold: 50, per: [{ messages: true, unit: 10, cost: 1 }] }", websocket="true")
    meter = chatty.meter(chatty.before(facts()))
    for _ in range(11):
        meter.message()
    assert meter.close(1).amount == 2


LINES = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=3)


@given(
    LINES,
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
    st.integers(0, 1000),
    st.none() | st.integers(1, 10**6),
    st.integers(0, 2),
)
def test_a_price_before_the_call_is_exact_monotone_and_never_above_its_ceiling(
    lines: list[tuple[int, int]], counts: list[int], flat: int, most: int | None, grown: int
) -> None:
    of = Price(
        "credits",
        0,
        flat=flat,
        lines=tuple(
            Line("query", f"q{i}", unit, cost, None) for i, (unit, cost) in enumerate(lines)
        ),
        maximum=most,
    )

    def measured(counts: list[int]) -> Measured:
        query = "&".join(f"q{i}={n}" for i, n in enumerate(counts))
        return of.before(facts(query=query.encode()))

    more = [n + (i == grown) for i, n in enumerate(counts)]
    now, later = attempt(lambda: measured(counts)), attempt(lambda: measured(more))
    if not isinstance(now, Measured) or not isinstance(later, Measured):
        assert isinstance(later, Unpriceable)
        assert later.code == "price-overflow"
        return
    exact = ceil(
        flat + sum(Fraction(n * cost, unit) for n, (unit, cost) in zip(counts, lines, strict=False))
    )
    assert now.ceiling == (exact if most is None else min(exact, most))
    assert of.cost(now.units) <= now.ceiling <= later.ceiling <= LARGEST_AMOUNT
    assert now.final
