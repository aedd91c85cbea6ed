"""Webhook endpoints: who is told of events."""

from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources.changes import change, metadata, remains
from billing.standin.world import World

Json = dict[str, Any]

MOST_ENDPOINTS = 16


def make(world: World, given: Json) -> Json:
    """Add an endpoint; its `_secret` signs what it is sent."""
    if sum(1 for _ in world.every("webhook_endpoint")) >= MOST_ENDPOINTS:
        raise invalid(
            f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.",
            code="limit_exceeded",
        )
    _check(given)
    return world.put(
        {
            "id": world.new_id("we"),
            "object": "webhook_endpoint",
            "api_version": given.get("api_version"),
            "application": None,
            "created": world.now_s(),
            "description": given.get("description") or None,
            "enabled_events": given["enabled_events"],
            "livemode": False,
            "metadata": metadata(given.get("metadata")),
            "status": "enabled",
            "url": given["url"],
            "_secret": world.new_id("whsec", 32),
        }
    )


def _check(given: Json) -> None:
    address = urlsplit(given.get("url", "http://example.com"))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url")
    if given.get("enabled_events") == []:
        raise invalid("You must enable at least one event.", "enabled_events")
    if given.get("connect"):
        raise invalid("The stand-in has no connected accounts.", "connect")


@endpoint(
    "POST",
    "/v1/webhook_endpoints",
    params="WebhookEndpointCreateParams",
    answers=stripe.WebhookEndpoint,
)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Add an endpoint. Only this answer shows its secret."""
    del path
    made = make(world, given)
    return {**made, "secret": made["_secret"]}


@endpoint(
    "GET",
    "/v1/webhook_endpoints/{webhook_endpoint}",
    params="WebhookEndpointRetrieveParams",
    answers=stripe.WebhookEndpoint,
)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer an endpoint, without its secret."""
    del given
    return world.get("webhook_endpoint", path["webhook_endpoint"])


@endpoint(
    "POST",
    "/v1/webhook_endpoints/{webhook_endpoint}",
    params="WebhookEndpointUpdateParams",
    answers=stripe.WebhookEndpoint,
)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Change the address, the events, or switch it off and on."""
    one = world.get("webhook_endpoint", path["webhook_endpoint"])
    _check(given)
    names = ("description", "enabled_events", "metadata", "url")
    fields = {name: given[name] for name in names if name in given}
    if "disabled" in given:
        fields["status"] = "disabled" if given["disabled"] else "enabled"
    change(one, fields)
    return one


@endpoint(
    "DELETE",
    "/v1/webhook_endpoints/{webhook_endpoint}",
    params="WebhookEndpointDeleteParams",
    answers=stripe.WebhookEndpoint,
)
def delete(world: World, given: Json, path: dict[str, str]) -> Json:
    """Remove an endpoint; nothing more is sent to it."""
    del given
    return world.put(remains(world.get("webhook_endpoint", path["webhook_endpoint"])))


@endpoint(
    "GET",
    "/v1/webhook_endpoints",
    params="WebhookEndpointListParams",
    answers=stripe.WebhookEndpoint,
)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List endpoints. Those for thin events are event destinations, which API v1 does not list."""
    del path
    found = [one for one in world.every("webhook_endpoint") if not one.get("_thin")]
    return listed(given, found, "/v1/webhook_endpoints")
