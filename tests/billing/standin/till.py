"""What the tests of paying share: sessions to pay, and what was told about them."""

from typing import Any

import stripe

from tests.standin import RunningStandIn

SUCCESS = "http://shop.example/done?session={CHECKOUT_SESSION_ID}"
CANCEL = "http://shop.example/packages"


async def session_of(sdk: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    """An open session for two of something at 10.00 USD, unless said otherwise."""
    price: dict[str, Any] = {
        "currency": "usd",
        "unit_amount": 1000,
        "product_data": {"name": "Starter"},
    } | more.pop("price", {})
    line: dict[str, Any] = {"price_data": price, "quantity": 2} | more.pop("line", {})
    params: Any = {
        "mode": "payment",
        "line_items": [line],
        "success_url": SUCCESS,
        "cancel_url": CANCEL,
        "client_reference_id": "ord_1",
        "metadata": {"order_id": "ord_1"},
        "payment_intent_data": {"metadata": {"order_id": "ord_1"}},
    } | more
    params = {name: value for name, value in params.items() if value is not None}
    return await sdk.v1.checkout.sessions.create_async(params)


async def paid_intent(
    sdk: stripe.StripeClient, standin: RunningStandIn, card: str = "4242424242424242"
) -> str:
    """The id of a payment intent of 20.00 USD that was paid on a session's page."""
    session = await session_of(sdk)
    return str(standin.pay(session.id, card=card)["payment_intent"])


def told(standin: RunningStandIn, after: int = 0) -> list[str]:
    """The types of all events but those about products and prices, the oldest first."""
    types = [event["type"] for event in standin.events()][after:]
    return [one for one in types if not one.startswith(("product.", "price."))]


def emptied(standin: RunningStandIn) -> RunningStandIn:
    """The stand-in as if it had just begun: starting one takes longer than most tests."""
    world = standin.world
    assert world.bugs == []
    for kept in (world.objects, world._ids, world._due):
        kept.clear()
    return standin


def marks(standin: RunningStandIn) -> int:
    """How many events there are; what `told` is to begin after."""
    return len(standin.events())
