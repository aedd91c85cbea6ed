"""Events: what happened, for thirty days."""

import fnmatch
from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid, missing_object
from billing.standin.rendering import listed
from billing.standin.world import World

Json = dict[str, Any]

HORIZON_S = 30 * 86_400
MOST_TYPES = 20


@endpoint("GET", "/v1/events/{id}", params="EventRetrieveParams", answers=stripe.Event)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer an event that is not too old."""
    del given
    event = world.get("event", path["id"])
    if not _is_kept(world, event):
        raise missing_object("event", path["id"])
    return event


@endpoint("GET", "/v1/events", params="EventListParams", answers=stripe.Event)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List events, by type and by whether every endpoint has taken them."""
    del path
    types = given.get("types")
    if types is not None and "type" in given:
        raise invalid("You may pass either `type` or `types`, but not both.", "types")
    if types is not None and len(types) > MOST_TYPES:
        raise invalid(f"You may pass at most {MOST_TYPES} types.", "types")
    patterns = types if types is not None else [given.get("type", "*")]
    delivered = given.get("delivery_success")
    found = [
        event
        for event in world.every("event")
        if _is_kept(world, event)
        and any(fnmatch.fnmatchcase(event["type"], pattern) for pattern in patterns)
        and delivered in (None, event["pending_webhooks"] == 0)
    ]
    return listed(given, found, "/v1/events")


def _is_kept(world: World, event: Json) -> bool:
    return bool(event["created"] > world.now_s() - HORIZON_S)
