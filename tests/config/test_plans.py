"""Plans in the price file: what they may say, and what routes are on them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import (
    PriceFileError,
    PriceList,
    Unit,
    Unpriceable,
    differences,
    explain,
    load_price_list,
    on_plan,
    plan_warnings,
    quote,
)
from config.amounts import LARGEST_AMOUNT
from config.plans import FactoredPrice, factored
from config.pricing.price import Line, Price
from config.words import price_words

TEXT = """\
version: 1
credit_types: { credits: { scale: 1 } }
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes:
  - { path: /a, methods: [GET], upstream: api, price: 1, name: plain }
  - { path: /b, methods: [GET], upstream: api, price: { flat: 1.5, per: [{ query: n, unit: 10, cost: 1 }], max: 5 } }
  - { path: /c, methods: [GET], upstream: api, price: { hold: 50, settle: { response: /u, cost: 1 } }, plans: [pro] }
  - { path: /d, methods: [GET], upstream: api, price: 3, feature: export }
  - { path: /e, methods: [GET], upstream: api, price: 0, public: true }
limits: { per_key: { requests: 60, per: minute } }
plans:
  default: {}
  pro:
    factor: 0.33
    routes:
      plain: { price: 0.1 }
      /d: { factor: 2, limits: { per_account: { free: { requests: 3, per: day } } } }
    limits: { per_key: { requests: 600, per: minute } }
    features: [export]
"""


def read(before: str = "", after: str = "") -> PriceList:
    assert before in TEXT
    return load_price_list(TEXT.replace(before, after) if before else TEXT, environ={})


def test_a_plan_says_what_is_other_and_nothing_else() -> None:
    """A price, a factor on all others, limits in place of those of the same name."""
    prices = read()
    pro = prices.plan_of("pro")
    assert pro is not None
    plain, searched, metered, export, public = prices.routes

    assert price_words(on_plan(pro, plain).price) == "0.1 credits"
    assert price_words(on_plan(pro, searched).price) == (
        "(1.5 credits + 1.0 credits for each 10 of query n) x 0.33, at most 1.7 credits"
    )
    assert on_plan(pro, metered).price.hold == 165
    assert [limit.name for limit in on_plan(pro, export).limits] == ["account-free-day /d"]
    assert on_plan(pro, public) is public
    assert prices.asks_plans


def test_what_no_plan_names_is_the_default() -> None:
    """It may say nothing: then routes are shared, not copied."""
    prices = read()
    for name in ("", "gold", "default"):
        found = prices.plan_of(name)
        assert found is not None
        assert found.name == "default"
        assert all(on_plan(found, route) is route for route in prices.routes)
    assert read("  default: {}\n").plan_of("gold") is None


def test_a_file_without_plans_asks_for_none() -> None:
    text = (
        TEXT[: TEXT.index("plans:\n")]
        .replace(", plans: [pro]", "")
        .replace(", feature: export", "")
    )
    assert not load_price_list(text, environ={}).asks_plans


def test_the_largest_ceiling_counts_plans_in() -> None:
    assert read().largest_ceiling("credits") == 500
    assert read("factor: 0.33", "factor: 3").largest_ceiling("credits") == 1500
    assert read("price: 0.1", "price: 80").largest_ceiling("credits") == 800


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("factor: 0.33", "factor: 0", "14:13: A factor of 0 makes this free. Write price: 0."),
        ("factor: 0.33", "factor: 1e3", "14:13: A factor is needed here."),
        ("factor: 0.33", "factor: 1001", "14:13: A factor is at most 1000."),
        ("      plain:", "      plane:", "16:7: There is no route `plane`. Did you mean `plain`?"),
        ("plans: [pro]", "plans: [default, prox]", "7:121: There is no plan `prox`."),
        ("plans: [pro]", "plans: [pro, pro]", "7:117: `pro` is given twice. Remove one."),
        ("price: 0.1", "price: 0.12", "16:23: The credit type has 1 decimal places"),
        ("public: true", "public: true, feature: x", "9:81: A public route asks for no key"),
        ("/d: { factor: 2,", "/d: { price: 1, factor: 2,", "17:31: There is a `price` already."),
        ("      /d:", "      /e:", "17:7: The route /e is public"),
        ("      /d:", "      /a:", "17:7: The route plain is in this plan already."),
        ("plain: { price: 0.1 }", "plain: {}", "16:7: The plan says nothing of it."),
        ("[export]", "[export, export]", "19:24: `export` is given twice."),
        ("price: 1,", "price: 1, weight: 70,", "5:66: A request that counts as 70 can never pass"),
    ],
)  # fmt: skip
def test_what_a_plan_may_not_say_is_named_with_its_place(
    before: str, after: str, said: str
) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(before, after)
    assert any(str(problem).startswith(said) for problem in refused.value.problems), str(
        [str(problem) for problem in refused.value.problems]
    )


def test_a_factor_beyond_any_amount_is_refused_at_its_place() -> None:
    dear = TEXT.replace("price: 1, name: plain", "price: 8999999999999, name: plain")
    dear = dear.replace("      plain: { price: 0.1 }\n", "").replace("factor: 0.33", "factor: 3")
    with pytest.raises(PriceFileError, match="14:13: On plain this makes more than 90000000000000"):
        load_price_list(dear, environ={})


def test_a_plan_whose_limit_no_request_passes_is_refused() -> None:
    text = TEXT.replace("price: 3,", "price: 3, weight: 7,").replace("600, per", "5, per")
    with pytest.raises(PriceFileError, match="counts as 7, so it can never pass key-minute"):
        load_price_list(text, environ={})


def test_a_price_on_a_plan_must_fit_into_the_window() -> None:
    text = TEXT.replace("{ scale: 1 }", "{ scale: 1, window: 50 }").replace(
        "price: 0.1", "price: 51"
    )
    with pytest.raises(PriceFileError, match="16:7: The price of plain on this plan is above"):
        load_price_list(text, environ={})


AMOUNTS = st.integers(1, 10**6)


@given(
    summed=st.tuples(AMOUNTS, st.integers(1, 1000), AMOUNTS, st.integers(0, 10**6)),
    bounds=st.tuples(AMOUNTS, AMOUNTS),
    factor=st.fractions(Fraction(1, 1000), 1000, max_denominator=1000),
)
def test_a_factor_is_exact_and_rounds_up_once(
    summed: tuple[int, int, int, int], bounds: tuple[int, int], factor: Fraction
) -> None:
    """The exact sum within its bounds, times the factor, rounded up: nothing else is ever due."""
    flat, unit, cost, quantity = summed
    line = Line("query", "n", unit, cost, None)
    low, high = sorted(bounds)
    usual = Price("credits", 0, flat=flat, lines=(line,), minimum=low, maximum=high)
    units = [Unit("query n", quantity)]

    dearer = factored(usual, factor)

    exact = min(max(flat + Fraction(quantity * cost, unit), low), high) * factor
    assert dearer.cost(units) == -(-exact.numerator // exact.denominator)
    assert isinstance(dearer, FactoredPrice)
    assert dearer.of_units(units).ceiling == dearer.cost(units)


def test_a_price_that_is_too_large_on_a_plan_is_refused() -> None:
    with pytest.raises(Unpriceable):
        factored(Price("credits", 0, flat=1, maximum=LARGEST_AMOUNT), Fraction(2))


def test_what_costs_nothing_costs_nothing_on_any_plan() -> None:
    free = Price("credits", 0)
    assert factored(free, Fraction(3)) is free


@pytest.mark.parametrize(
    ("quantity", "said"),
    [
        (25, "(1.5 + 25 / 10 x 1.0) x 0.33, rounded up = 1.4"),
        (200, "(1.5 + 200 / 10 x 1.0) x 0.33, rounded up = 7.1, at most 1.7"),
    ],
)
def test_a_factor_shows_in_the_arithmetic(quantity: int, said: str) -> None:
    prices = read()
    route = on_plan(prices.plan_of("pro"), prices.routes[1])
    assert explain(route.price, [Unit("query n", quantity)]).arithmetic == said


def test_a_quote_is_for_the_plan_that_is_named() -> None:
    """And says which plans would open a route that is closed."""
    prices = read()
    assert quote(prices, "GET", "/a", [], None).amount == 10
    found = quote(prices, "GET", "/a", [], None, plan="pro")
    assert (found.amount, found.plan) == (1, "pro")
    with pytest.raises(Unpriceable) as refused:
        quote(prices, "GET", "/c", [], None, plan="gold")
    assert (refused.value.status, refused.value.code) == (403, "plan-required")
    assert str(refused.value) == "/c is for accounts on the plan pro."
    assert quote(prices, "GET", "/d", [], None, features=["export"]).amount == 30


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("factor: 0.33", "factor: 0.5", "plans | pro: price of other routes 0.33 of the usual -> 0.5 of the usual"),
        ("plain: { price: 0.1 }", "plain: { factor: 2 }", "plans | pro: GET /a 0.1 credits -> 2 of the usual"),
        ("/d: { factor: 2,", "/d: { price: 7,", "plans | pro: GET /d 2 of the usual -> 7.0 credits"),
        ("  default: {}\n", "", "plans | default: removed: says the usual prices"),
        ("features: [export]", "features: [more]", "plans | pro: features export -> more"),
        ("plans: [pro]", "plans: [pro, default]", "routes | GET /c: plans pro -> pro, default"),
        (", feature: export", "", "routes | GET /d: feature export -> none"),
    ],
)  # fmt: skip
def test_a_difference_says_what_changes_on_which_plan(before: str, after: str, said: str) -> None:
    assert before in TEXT
    found = differences(TEXT, TEXT.replace(before, after, 1))
    assert [f"{one.group} | {one.sentence}" for one in found] == [said]


def test_what_nothing_here_gives_is_warned_of() -> None:
    """A package's plan that is not there, a feature that no plan and no package has."""
    assert plan_warnings(read()) == []
    packages = "packages: { one: { name: One, credits: 1, price: { usd: 1 }, interval: month, plan_tier: gold } }\n"
    text = TEXT.replace("    features: [export]\n", "") + packages
    assert plan_warnings(load_price_list(text, environ={})) == [
        (
            "The package one puts its subscribers on the plan gold, which is not among `plans`:"
            " for them the plan default counts."
        ),
        (
            "The route /d asks for the feature export, which no plan and no package here has:"
            " only a product at Stripe can open it."
        ),
    ]
