from typing import Any

import pytest

from billing.standin.failures import StripeFailure
from billing.standin.rendering import listed, render
from billing.standin.resources import prices, products
from billing.standin.world import World

URL = "/v1/things"


def things(count: int) -> list[dict[str, Any]]:
    return [{"id": f"t{number}", "created": number} for number in range(count)]


def ids(page: dict[str, Any]) -> list[str]:
    return [thing["id"] for thing in page["data"]]


def test_a_page_begins_with_the_newest() -> None:
    page = listed({}, things(12), URL)
    assert ids(page) == [f"t{number}" for number in range(11, 1, -1)]
    assert page["has_more"] is True


def test_pages_follow_each_other_without_gaps_and_back() -> None:
    first = listed({"limit": 3}, things(7), URL)
    second = listed({"limit": 3, "starting_after": ids(first)[-1]}, things(7), URL)
    third = listed({"limit": 3, "starting_after": ids(second)[-1]}, things(7), URL)
    assert ids(first) + ids(second) + ids(third) == [f"t{number}" for number in range(6, -1, -1)]
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    assert listed({"limit": 3, "ending_before": ids(third)[0]}, things(7), URL) == second


def test_created_picks_a_moment_or_a_range() -> None:
    assert ids(listed({"created": 2}, things(5), URL)) == ["t2"]
    assert ids(listed({"created": {"gte": 1, "lt": 3}}, things(5), URL)) == ["t2", "t1"]
    assert ids(listed({"created": {"gt": 1, "lte": 3}}, things(5), URL)) == ["t3", "t2"]


@pytest.mark.parametrize(
    "given",
    [
        {"limit": 0},
        {"limit": 101},
        {"starting_after": "t9"},
        {"starting_after": "t1", "ending_before": "t2"},
    ],
)
def test_a_page_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(StripeFailure):
        listed(given, things(5), URL)


def test_references_are_expanded_through_lists() -> None:
    world = World()
    product = products.make(world, {"name": "Credits"})
    price = prices.make(world, {"product": product["id"], "currency": "usd", "unit_amount": 1})
    page = listed({}, [price], "/v1/prices")
    shown = render(world, page, ["data.product", "data.currency_options"])
    assert shown["data"][0]["product"]["name"] == "Credits"
    assert shown["data"][0]["currency_options"]["usd"]["unit_amount"] == 1
    assert "_currency_options" not in shown["data"][0]
    assert "currency_options" not in render(world, price)


@pytest.mark.parametrize("path", ["currency", "nothing", "product.name", "a.b.c.d.e"])
def test_what_cannot_be_expanded_is_refused(path: str) -> None:
    world = World()
    product = products.make(world, {"name": "Credits"})
    price = prices.make(world, {"product": product["id"], "currency": "usd", "unit_amount": 1})
    with pytest.raises(StripeFailure):
        render(world, price, [path])
