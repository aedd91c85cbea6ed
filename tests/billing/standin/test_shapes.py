import copy
from typing import Any

import pytest
import stripe

from billing.standin import shapes
from billing.standin.failures import ShapeError
from billing.standin.rendering import public
from billing.standin.resources import customers, prices, products
from billing.standin.world import World
from tests.standin import running_standin, sdk_for

pytestmark = pytest.mark.anyio


def a_price() -> dict[str, Any]:
    world = World(seed=1)
    product = products.make(world, {"name": "Credits"})
    recurring = {"interval": "month"}
    price = {"product": product["id"], "currency": "usd", "unit_amount": 5, "recurring": recurring}
    return public(prices.make(world, price))


def test_what_the_stand_in_makes_has_the_sdks_shape() -> None:
    shapes.check(a_price())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("unit_amount", "5"),
        ("unit_amount", True),
        ("unit_amount_decimal", 5),
        ("currency", None),
        ("active", "true"),
        ("type", "weekly"),
        ("product", {"object": "customer", "id": "cus_1", "deleted": True}),
        ("metadata", []),
        ("recurring.interval", "fortnight"),
        ("recurring.surprise", None),
        ("object", "prize"),
    ],
)
def test_a_wrong_field_is_found(path: str, value: object) -> None:
    price = a_price()
    *above, last = path.split(".")
    place = price
    for part in above:
        place = place[part]
    place[last] = value
    with pytest.raises(ShapeError):
        shapes.check(price)


def test_every_required_field_is_missed() -> None:
    price = a_price()
    optional = {"unit_amount", "unit_amount_decimal", "recurring", "lookup_key", "nickname"}
    optional |= {"custom_unit_amount", "tax_behavior", "tiers_mode", "transform_quantity"}
    for name in set(price) - optional:
        without = copy.deepcopy(price)
        del without[name]
        with pytest.raises(ShapeError):
            shapes.check(without)


def test_a_list_is_checked_through_and_through() -> None:
    price = a_price()
    page = {"object": "list", "data": [price], "has_more": False, "url": "/v1/prices"}
    shapes.check(page)
    with pytest.raises(ShapeError):
        shapes.check({**page, "has_more": None})
    price["livemode"] = None
    with pytest.raises(ShapeError):
        shapes.check(page)


def test_a_deleted_object_needs_no_more_than_its_id() -> None:
    shapes.check({"id": "cus_1", "object": "customer", "deleted": True})


async def test_an_answer_of_the_wrong_shape_is_an_error_and_is_remembered() -> None:
    async with running_standin() as standin, sdk_for(standin) as sdk:
        customer = customers.make(standin.world)
        customer["surprise"] = "!"
        with pytest.raises(stripe.APIError, match=r"customer\.surprise does not exist"):
            await sdk.v1.customers.retrieve_async(customer["id"])
        assert len(standin.world.bugs) == 1
        standin.world.bugs.clear()
