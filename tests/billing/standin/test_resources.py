"""Customers, products, prices, coupons, promotion codes, endpoints and events, through the SDK."""

import pytest
import stripe

from billing.standin.resources import customers
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_the_key_belongs_to_an_account(sdk: stripe.StripeClient) -> None:
    first = await sdk.v1.accounts.retrieve_current_async()
    assert first.id.startswith("acct_")
    assert (await sdk.v1.accounts.retrieve_current_async()).id == first.id


async def test_of_a_deleted_customer_only_the_id_is_left(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    customer = await sdk.v1.customers.create_async({"email": "a@example.com"})
    assert (await sdk.v1.customers.delete_async(customer.id)).deleted is True
    assert (await sdk.v1.customers.retrieve_async(customer.id)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await sdk.v1.customers.update_async(customer.id, {"name": "B"})
    assert (await sdk.v1.customers.list_async()).data == []
    types = [event["type"] for event in stripe_standin.events()]
    assert types == ["customer.created", "customer.deleted"]


async def test_a_change_tells_what_was_before(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    customer = await sdk.v1.customers.create_async({"name": "A", "metadata": {"a": "1", "b": "2"}})
    changed = await sdk.v1.customers.update_async(
        customer.id, {"name": "B", "metadata": {"a": "", "c": "3"}}
    )
    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}
    event = stripe_standin.events("customer.updated")[-1]
    assert event["data"]["previous_attributes"] == {
        "name": "A",
        "metadata": {"a": "1", "c": None},
    }
    await sdk.v1.customers.update_async(customer.id, {"name": "B"})
    assert len(stripe_standin.events("customer.updated")) == 1


async def test_all_pages_of_a_list_hold_each_object_once(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    made = [customers.make(stripe_standin.world)["id"] for _ in range(25)]
    page = await sdk.v1.customers.list_async({"limit": 7})
    assert [one.id async for one in page.auto_paging_iter()] == made[::-1]


async def test_a_price_keeps_its_amount(sdk: stripe.StripeClient) -> None:
    price = await sdk.v1.prices.create_async(
        {"currency": "USD", "unit_amount": 1000, "product_data": {"name": "Credits"}}
    )
    assert (price.currency, price.unit_amount, str(price.unit_amount_decimal)) == (
        "usd",
        1000,
        "1000",
    )
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: unit_amount"):
        await sdk.v1.prices.update_async(price.id, {"unit_amount": 5})  # type: ignore[typeddict-unknown-key]
    hidden = await sdk.v1.prices.update_async(price.id, {"active": False})
    assert hidden.active is False


async def test_a_price_may_have_other_currencies(sdk: stripe.StripeClient) -> None:
    product = await sdk.v1.products.create_async({"name": "Credits", "metadata": {"credits": "5"}})
    price = await sdk.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 1000,
            "product": product.id,
            "recurring": {"interval": "month"},
            "currency_options": {"jpy": {"unit_amount": 1500}},
        }
    )
    assert not hasattr(price, "currency_options")
    shown = await sdk.v1.prices.retrieve_async(
        price.id, {"expand": ["currency_options", "product"]}
    )
    assert shown.to_dict()["currency_options"]["jpy"]["unit_amount"] == 1500
    assert shown.product.metadata["credits"] == "5"
    assert shown.type == "recurring"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await sdk.v1.products.delete_async(product.id)


async def test_lists_pick_by_what_is_asked(sdk: stripe.StripeClient) -> None:
    product = await sdk.v1.products.create_async({"name": "Credits"})
    other = await sdk.v1.products.create_async({"name": "Old", "active": False})
    for one in (product, other):
        await sdk.v1.prices.create_async(
            {"currency": "usd", "unit_amount": 1, "product": one.id, "lookup_key": one.name}
        )
    active = await sdk.v1.products.list_async({"active": True})
    assert [one.id for one in active.data] == [product.id]
    prices = await sdk.v1.prices.list_async({"lookup_keys": ["Old"], "expand": ["data.product"]})
    assert [one.product.id for one in prices.data] == [other.id]


async def test_promotion_codes_belong_to_coupons(sdk: stripe.StripeClient) -> None:
    coupon = await sdk.v1.coupons.create_async({"percent_off": 25, "duration": "once"})
    code = await sdk.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"}
    )
    found = await sdk.v1.promotion_codes.list_async(
        {"code": "SPRING", "expand": ["data.promotion.coupon"]}
    )
    assert [one.id for one in found.data] == [code.id]
    assert found.data[0].promotion.coupon.percent_off == 25
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await sdk.v1.promotion_codes.create_async(
            {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "spring"}
        )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"percent_off": 101},
        {"amount_off": 5},
        {"percent_off": 5, "amount_off": 5, "currency": "usd"},
        {"percent_off": 5, "duration": "repeating"},
    ],
)
async def test_a_coupon_that_makes_no_sense_is_refused(
    sdk: stripe.StripeClient, given: dict[str, object]
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.coupons.create_async(given)  # type: ignore[arg-type]


async def test_an_endpoints_secret_is_shown_once(sdk: stripe.StripeClient) -> None:
    made = await sdk.v1.webhook_endpoints.create_async(
        {
            "url": "https://example.com/hook",
            "enabled_events": ["invoice.paid", "*"],
            "api_version": "2026-10-28.endive",
        }
    )
    assert str(made.secret).startswith("whsec_")
    assert made.api_version == stripe.api_version
    assert not hasattr(await sdk.v1.webhook_endpoints.retrieve_async(made.id), "secret")
    for listed in (await sdk.v1.webhook_endpoints.list_async()).data:
        assert not hasattr(listed, "secret")


async def test_an_endpoint_needs_real_events_and_a_real_address(sdk: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="enabled_events"):
        await sdk.v1.webhook_endpoints.create_async(
            {"url": "https://example.com/", "enabled_events": ["moon.landed"]}  # type: ignore[list-item]
        )
    with pytest.raises(stripe.InvalidRequestError, match="Invalid URL"):
        await sdk.v1.webhook_endpoints.create_async({"url": "example", "enabled_events": ["*"]})


async def test_there_are_at_most_sixteen_endpoints(sdk: stripe.StripeClient) -> None:
    params = {"url": "http://127.0.0.1:9/", "enabled_events": ["*"]}
    made = [await sdk.v1.webhook_endpoints.create_async(params) for _ in range(16)]  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError, match="maximum of 16"):
        await sdk.v1.webhook_endpoints.create_async(params)  # type: ignore[arg-type]
    await sdk.v1.webhook_endpoints.delete_async(made[0].id)
    await sdk.v1.webhook_endpoints.create_async(params)  # type: ignore[arg-type]


async def test_events_are_listed_by_type_and_time(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    customer = await sdk.v1.customers.create_async({"name": "A"}, {"idempotency_key": "mine"})
    stripe_standin.advance(100)
    since = stripe_standin.world.now_s()
    await sdk.v1.customers.delete_async(customer.id)
    both = await sdk.v1.events.list_async({"types": ["customer.created", "customer.deleted"]})
    assert [event.type for event in both.data] == ["customer.deleted", "customer.created"]
    assert both.data[1].request.idempotency_key == "mine"
    late = await sdk.v1.events.list_async({"type": "customer.*", "created": {"gte": since}})
    assert [event.type for event in late.data] == ["customer.deleted"]
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        await sdk.v1.events.list_async({"types": ["invoice.paid"] * 21})


async def test_after_thirty_days_an_event_is_gone(
    stripe_standin: RunningStandIn, sdk: stripe.StripeClient
) -> None:
    await sdk.v1.customers.create_async({"name": "A"})
    event = (await sdk.v1.events.list_async()).data[0]
    stripe_standin.advance(29 * 86_400)
    assert (await sdk.v1.events.retrieve_async(event.id)).id == event.id
    stripe_standin.advance(86_400)
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        await sdk.v1.events.retrieve_async(event.id)
    assert (await sdk.v1.events.list_async()).data == []
