"""What is asked about subscriptions: make, look, list, end."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources import payment_methods, subscription_making, subscriptions
from billing.standin.resources.selection import matching
from billing.standin.resources.subscription_states import ENDED, end
from billing.standin.world import World

Subscription = dict[str, Any]


@endpoint(
    "POST", "/v1/subscriptions", params="SubscriptionCreateParams", answers=stripe.Subscription
)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:  # noqa: ARG001
    """Begin a subscription without Checkout, paid with a method the customer has saved."""
    customer = world.get("customer", given.get("customer"), "customer")
    items = [
        (world.get("price", item.get("price"), f"items[{number}][price]"), item.get("quantity", 1))
        for number, item in enumerate(given.get("items") or [])
    ]
    if not items:
        raise invalid("You must provide at least one item.", "items", "parameter_missing")
    settings = customer.get("invoice_settings") or {}
    named = given.get("default_payment_method") or settings.get("default_payment_method")
    method = payment_methods.named(world, named, "default_payment_method") if named else None
    subscription = subscription_making.make(
        world,
        customer=customer["id"],
        items=items,
        metadata=given.get("metadata") or {},
        method_id=given.get("default_payment_method"),
        trial_days=given.get("trial_period_days") or 0,
        taxed=(given.get("automatic_tax") or {}).get("enabled", False),
        coupon_id=((given.get("discounts") or [{}])[0]).get("coupon"),
    )
    subscriptions.start(world, subscription, method, off_session=True)
    return subscription


@endpoint(
    "GET",
    "/v1/subscriptions/{subscription}",
    params="SubscriptionRetrieveParams",
    answers=stripe.Subscription,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:  # noqa: ARG001
    """Give one subscription."""
    return world.get("subscription", path["subscription"])


@endpoint("GET", "/v1/subscriptions", params="SubscriptionListParams", answers=stripe.Subscription)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001
    """List subscriptions; those that were canceled only if asked for by status."""
    found = list(matching(world.every("subscription"), given, "customer"))
    status = given.get("status")
    if status is None:
        found = [one for one in found if one["status"] not in ENDED]
    elif status == "ended":
        found = [one for one in found if one["status"] in ENDED]
    elif status != "all":
        found = [one for one in found if one["status"] == status]
    if "price" in given:
        found = [
            one
            for one in found
            if any(item["price"]["id"] == given["price"] for item in one["items"]["data"])
        ]
    return listed(given, found, "/v1/subscriptions")


@endpoint(
    "DELETE",
    "/v1/subscriptions/{subscription}",
    params="SubscriptionCancelParams",
    answers=stripe.Subscription,
)
def cancel(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:
    """End a subscription now. Nothing is given back."""
    subscription = world.get("subscription", path["subscription"])
    if subscription["status"] in ENDED:
        raise invalid(f"No such subscription: '{subscription['id']}'", "id", "resource_missing")
    details = given.get("cancellation_details") or {}
    subscription["cancellation_details"] |= {
        name: details.get(name) or None for name in ("comment", "feedback")
    }
    end(world, subscription, "cancellation_requested")
    return subscription
