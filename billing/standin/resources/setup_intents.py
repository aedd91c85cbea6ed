"""Setup intents: saving a card for later without a payment."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import StripeFailure
from billing.standin.rendering import listed
from billing.standin.resources import changes, payment_methods
from billing.standin.resources.selection import asked_for, matching, referred_to
from billing.standin.world import World

Intent = dict[str, Any]


def make(
    world: World, *, customer: str | None, metadata: dict[str, str] | None, usage: str
) -> Intent:
    """Make a setup intent without a card: `setup_intent.created`."""
    intent_id = world.new_id("seti")
    intent = world.put(
        {
            "id": intent_id,
            "object": "setup_intent",
            "allowed_payment_method_types": None,
            "application": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "cancellation_reason": None,
            "client_secret": f"{intent_id}_secret_{world.new_id('s')[2:]}",
            "created": world.now_s(),
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": changes.metadata(metadata),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": usage,
        }
    )
    world.emit("setup_intent.created", intent)
    return intent


def attempt(
    world: World,
    intent: Intent,
    method: dict[str, Any],
    *,
    authenticated: bool = False,
    return_url: str | None = None,
) -> None:
    """Save a card. A refused card raises 402; one that wants 3-D Secure parks the intent."""
    card = payment_methods.behaviour(method)
    try:
        payment_methods.refuse_to_add(method, setup_intent=intent)
    except StripeFailure as refused:
        _wants_another(world, intent, method, refused)
        raise
    wants = card is not None and getattr(card, "authentication", None) is not None
    if wants and not authenticated:
        intent |= {"status": "requires_action", "payment_method": method["id"]}
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": return_url,
                "url": f"{world.base_url}/authenticate/{intent['id']}",
            },
        }
        world.emit("setup_intent.requires_action", intent)
        return
    if intent["customer"]:
        payment_methods.attach(world, method, intent["customer"])
    method |= {"allow_redisplay": "limited", "_set_up": True}
    intent |= {"status": "succeeded", "payment_method": method["id"], "next_action": None}
    intent["last_setup_error"] = None
    world.emit("setup_intent.succeeded", intent)


def authentication_failed(world: World, intent: Intent) -> None:
    """Let the buyer fail 3-D Secure: the intent wants another card."""
    failure = StripeFailure(
        "We are unable to authenticate your payment method. Please choose a different payment "
        "method and try again.",
        code="setup_intent_authentication_failure",
    )
    _wants_another(world, intent, world.objects[intent["payment_method"]], failure)


def _wants_another(
    world: World, intent: Intent, method: dict[str, Any], failure: StripeFailure
) -> None:
    """Note that a card could not be saved: `setup_intent.setup_failed`."""
    intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    intent["last_setup_error"] = {
        "code": failure.code,
        "message": failure.message,
        "payment_method": dict(method),
        "type": "card_error",
    }
    if failure.more.get("decline_code"):
        intent["last_setup_error"]["decline_code"] = failure.more["decline_code"]
    world.emit("setup_intent.setup_failed", intent)


@endpoint("POST", "/v1/setup_intents", params="SetupIntentCreateParams", answers=stripe.SetupIntent)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Make a setup intent; with `confirm` also save the card at once."""
    if given.get("customer"):
        referred_to(world, "customer", given["customer"], "customer")
    method = None
    if given.get("payment_method"):
        method = payment_methods.named(world, given["payment_method"])
    intent = make(
        world,
        customer=given.get("customer"),
        metadata=given.get("metadata"),
        usage=given.get("usage", "off_session"),
    )
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        if given.get("confirm"):
            attempt(world, intent, method, return_url=given.get("return_url"))
    return intent


@endpoint(
    "GET",
    "/v1/setup_intents/{intent}",
    params="SetupIntentRetrieveParams",
    answers=stripe.SetupIntent,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Give one setup intent."""
    return asked_for(world, "setup_intent", path["intent"], "intent")


@endpoint("GET", "/v1/setup_intents", params="SetupIntentListParams", answers=stripe.SetupIntent)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List setup intents."""
    found = matching(world.every("setup_intent"), given, "customer", "payment_method")
    return listed(given, found, "/v1/setup_intents")
