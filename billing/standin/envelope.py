"""Making the request that carries an event: body, signature, and spoiled ones on demand."""

import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from billing.standin.drift import as_of
from billing.standin.post import Delivery
from billing.standin.rendering import public

if TYPE_CHECKING:
    from billing.standin.world import World

OVERSIZED_BYTES = 1_100_000  # a little more than the mebibyte that receivers commonly take
TOO_FAR_S = 310  # a little more than the SDK's tolerance of 300 s
HEADERS = {
    "accept": "*/*; q=0.5, application/xml",
    "cache-control": "no-cache",
    "content-type": "application/json; charset=utf-8",
    "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}


def sealed(world: "World", delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Make the body of a delivery and its headers, signature included."""
    endpoint = world.get("webhook_endpoint", delivery.endpoint_id)
    event = public(world.get("event", delivery.event_id))
    if endpoint.get("_thin"):
        content = thin(event)
    else:
        content = as_of(world, event, endpoint["api_version"] or event["api_version"])
    spoil(content, delivery.forgery)
    body = json.dumps(content, indent=2).encode()
    # Receivers compare with their own machine's clock, so signatures carry real time.
    at_s = world.clock.wall_s()
    at_s += {"stale": -TOO_FAR_S, "future": TOO_FAR_S}.get(delivery.forgery or "", 0)
    secrets = [endpoint["_secret"]]
    if endpoint.get("_old_secret_until", 0) > world.clock.now():
        secrets.append(endpoint["_old_secret"])
    if delivery.forgery == "wrong_secret":
        secrets = ["whsec_of_somebody_else"]
    return body, {**HEADERS, "stripe-signature": signature(body, at_s, secrets)}


def signature(body: bytes, at_s: int, secrets: list[str]) -> str:
    """Sign as Stripe does: HMAC-SHA256 over `time.body`, a `v1` per secret and the decoy `v0`."""
    signed = str(at_s).encode() + b"." + body
    marks = [hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets]
    decoy = sha256(signed).hexdigest()
    return ",".join([f"t={at_s}", *(f"v1={mark}" for mark in marks), f"v0={decoy}"])


def thin(event: dict[str, Any]) -> dict[str, Any]:
    """Make the thin twin of a snapshot event: ids and no content."""
    about = event["data"]["object"]
    moment = datetime.fromtimestamp(event["created"], UTC)
    return {
        "id": event["id"].replace("evt_", "evt_test_", 1),
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "livemode": event["livemode"],
        "created": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "context": None,
        "reason": None,
        "related_object": {
            "id": about.get("id"),
            "type": about.get("object"),
            "url": f"/v1/{path_of(about.get('object', ''))}/{about.get('id')}",
        },
    }


def path_of(kind: str) -> str:
    """Where objects of a kind live: `checkout.session` below `checkout/sessions`."""
    return f"{kind.replace('.', '/')}s"


def spoil(content: dict[str, Any], forgery: str | None) -> None:
    """Change an event's content into what a receiver must not act upon."""
    about = content.get("data", {}).get("object", {})
    if forgery == "wrong_mode":
        content["livemode"] = about["livemode"] = True
    elif forgery == "oversized":
        about["description"] = "x" * OVERSIZED_BYTES
    elif forgery == "unknown_type":
        content["id"] = f"{content['id']}Type"
        content["type"] = "moon.landed"
    elif forgery == "unknown_customer":
        content["id"] = f"{content['id']}Customer"
        content["type"] = "customer.updated"
        unknown = {"id": "cus_NobodyKnowsMe", "object": "customer", "livemode": False}
        content["data"] = {"object": {**unknown, "metadata": {}}}
