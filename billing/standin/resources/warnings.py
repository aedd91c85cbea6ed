"""Early fraud warnings of card networks, and payments that a person is to look at."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources.selection import matching
from billing.standin.world import World


def warn(
    world: World, charge: dict[str, Any], fraud_type: str = "unauthorized_use_of_card"
) -> dict[str, Any]:
    """Have the network call a charge fraud: `radar.early_fraud_warning.created`."""
    warning = world.put(
        {
            "id": world.new_id("issfr"),
            "object": "radar.early_fraud_warning",
            "actionable": not charge["refunded"] and not charge["disputed"],
            "charge": charge["id"],
            "created": world.now_s(),
            "fraud_type": fraud_type,
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        }
    )
    charge["fraud_details"] = {"stripe_report": "fraudulent"}
    world.emit("radar.early_fraud_warning.created", warning)
    return warning


def open_review(world: World, charge: dict[str, Any]) -> dict[str, Any]:
    """Put a payment into the queue of those a person looks at: `review.opened`."""
    review = world.put(
        {
            "id": world.new_id("prv"),
            "object": "review",
            "billing_zip": None,
            "charge": charge["id"],
            "closed_reason": None,
            "created": world.now_s(),
            "ip_address": None,
            "ip_address_location": None,
            "livemode": False,
            "open": True,
            "opened_reason": "rule",
            "payment_intent": charge["payment_intent"],
            "reason": "rule",
            "session": None,
        }
    )
    charge["review"] = world.objects[charge["payment_intent"]]["review"] = review["id"]
    world.emit("review.opened", review)
    return review


def close_review(world: World, review: dict[str, Any], reason: str = "approved") -> None:
    """Take a payment out of the queue: `review.closed`."""
    if not review["open"]:
        raise invalid(f"The review {review['id']} is closed already.")
    review |= {"open": False, "closed_reason": reason, "reason": reason}
    for reviewed in (review["charge"], review["payment_intent"]):
        world.objects[reviewed]["review"] = None
    world.emit("review.closed", review)


@endpoint("GET", "/v1/reviews/{review}", params="ReviewRetrieveParams", answers=stripe.Review)
def retrieve_review(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Give one review."""
    return world.get("review", path["review"], "id")


@endpoint(
    "POST", "/v1/reviews/{review}/approve", params="ReviewApproveParams", answers=stripe.Review
)
def approve(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Say that a reviewed payment is fine."""
    review = world.get("review", path["review"], "id")
    close_review(world, review)
    return review


@endpoint(
    "GET",
    "/v1/radar/early_fraud_warnings/{warning}",
    params="radar.EarlyFraudWarningRetrieveParams",
    answers=stripe.radar.EarlyFraudWarning,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Give one early fraud warning."""
    return world.get("radar.early_fraud_warning", path["warning"], "id")


@endpoint(
    "GET",
    "/v1/radar/early_fraud_warnings",
    params="radar.EarlyFraudWarningListParams",
    answers=stripe.radar.EarlyFraudWarning,
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List early fraud warnings."""
    found = matching(world.every("radar.early_fraud_warning"), given, "charge", "payment_intent")
    return listed(given, found, "/v1/radar/early_fraud_warnings")


@endpoint("GET", "/v1/reviews", params="ReviewListParams", answers=stripe.Review)
def list_reviews(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List open reviews."""
    found = (one for one in world.every("review") if one["open"])
    return listed(given, found, "/v1/reviews")
