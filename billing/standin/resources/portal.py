"""The customer portal: a session for one customer, opened by the merchant."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.world import World

CONFIGURATION = "bpc_standin"
"""There is one: buyers may cancel, go on, and change their cards, not their plan."""


@endpoint(
    "POST",
    "/v1/billing_portal/sessions",
    params="billing_portal.SessionCreateParams",
    answers=stripe.billing_portal.Session,
)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Open the portal for a customer."""
    del path
    if not given.get("customer"):
        raise invalid("You must provide a customer.", "customer", "parameter_missing")
    if given.get("flow_data"):
        raise invalid("The stand-in has no flows in its portal.", "flow_data")
    customer = world.get("customer", given["customer"], "customer")
    session_id = world.new_id("bps")
    return world.put(
        {
            "id": session_id,
            "object": "billing_portal.session",
            "configuration": given.get("configuration", CONFIGURATION),
            "created": world.now_s(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": None,
            "livemode": False,
            "locale": given.get("locale"),
            "on_behalf_of": None,
            "return_url": given.get("return_url"),
            "url": f"{world.base_url}/portal/{session_id}",
        }
    )
