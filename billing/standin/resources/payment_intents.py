"""Payment intents: create, confirm, cancel, look."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import StripeFailure, invalid
from billing.standin.rendering import listed
from billing.standin.resources import changes, paying, payment_methods
from billing.standin.resources.selection import asked_for, matching, referred_to, refuse_unplayed
from billing.standin.world import World

Intent = dict[str, Any]

# Stripe's least and largest amounts, in minor units: about half a dollar, and eight digits.
LEAST_MINOR = 50
MOST_MINOR = 99_999_999
# Parameters that would change who is paid, or how.
UNPLAYED = (
    *("application_fee_amount", "confirmation_token", "customer_account", "mandate"),
    *("on_behalf_of", "payment_method_data", "transfer_data"),
)
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def make(
    world: World,
    *,
    amount_minor: int,
    currency: str,
    customer: str | None = None,
    metadata: dict[str, str] | None = None,
    description: str | None = None,
    receipt_email: str | None = None,
    setup_future_usage: str | None = None,
) -> Intent:
    """Make an intent that nobody has paid yet, and say so: `payment_intent.created`."""
    intent_id = world.new_id("pi")
    intent = world.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            "allowed_payment_method_types": None,
            "amount": amount_minor,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": f"{intent_id}_secret_{world.new_id('s')[2:]}",
            "confirmation_method": "automatic",
            "created": world.now_s(),
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "description": description,
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": changes.metadata(metadata),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card", "sepa_debit"],
            "processing": None,
            "receipt_email": receipt_email,
            "review": None,
            "setup_future_usage": setup_future_usage,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        }
    )
    world.emit("payment_intent.created", intent)
    return intent


def has_least(currency: str) -> bool:
    """Whether `LEAST_MINOR` holds for a currency; Stripe has a table with one for each."""
    return currency in {"usd", "eur", "chf", "cad", "aud"}


def cancel(world: World, intent: Intent, reason: str | None = None) -> None:
    """End an intent that was not paid; nobody can pay it afterwards."""
    if intent["status"] not in OPEN:
        raise _unexpected_state(intent, "cancel")
    intent |= {
        "status": "canceled",
        "canceled_at": world.now_s(),
        "cancellation_reason": reason,
        "next_action": None,
    }
    world.emit("payment_intent.canceled", intent)


@endpoint(
    "POST",
    "/v1/payment_intents",
    params="PaymentIntentCreateParams",
    answers=stripe.PaymentIntent,
)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Make an intent; with `confirm` also try to take the money at once."""
    refuse_unplayed(given, UNPLAYED, "payment intents")
    if given.get("capture_method") == "manual":
        raise invalid("The stand-in does not capture later.", "capture_method")
    _check_amount(given["amount"], given["currency"])
    if given.get("customer"):
        referred_to(world, "customer", given["customer"], "customer")
    if given.get("confirm"):
        _check_return(given)
    if given.get("off_session") and not given.get("confirm"):
        raise invalid(
            "You can only set `off_session` when `confirm` is `true`.",
            param="off_session",
        )
    method = None
    if given.get("payment_method"):
        method = payment_methods.named(world, given["payment_method"])
        _check_owner(method, given.get("customer"))
    intent = make(
        world,
        amount_minor=given["amount"],
        currency=given["currency"].lower(),
        customer=given.get("customer"),
        metadata=given.get("metadata"),
        description=given.get("description"),
        receipt_email=given.get("receipt_email"),
        setup_future_usage=given.get("setup_future_usage"),
    )
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    if given.get("confirm"):
        _confirm(world, intent, given)
    return intent


@endpoint(
    "POST",
    "/v1/payment_intents/{intent}/confirm",
    params="PaymentIntentConfirmParams",
    answers=stripe.PaymentIntent,
)
def confirm(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Try to take the money; raises 402 for a refused card."""
    intent = asked_for(world, "payment_intent", path["intent"], "intent")
    if intent["status"] not in OPEN:
        raise _unexpected_state(intent, "confirm")
    if given.get("payment_method"):
        method = payment_methods.named(world, given["payment_method"])
        _check_owner(method, intent["customer"])
        intent["payment_method"] = method["id"]
    if given.get("setup_future_usage"):
        intent["setup_future_usage"] = given["setup_future_usage"]
    _confirm(world, intent, given)
    return intent


@endpoint(
    "POST",
    "/v1/payment_intents/{intent}/cancel",
    params="PaymentIntentCancelParams",
    answers=stripe.PaymentIntent,
)
def cancel_asked(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Cancel an intent that was not paid."""
    intent = asked_for(world, "payment_intent", path["intent"], "intent")
    cancel(world, intent, given.get("cancellation_reason"))
    return intent


@endpoint(
    "POST",
    "/v1/payment_intents/{intent}",
    params="PaymentIntentUpdateParams",
    answers=stripe.PaymentIntent,
)
def update(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Change an intent's metadata or description."""
    intent = asked_for(world, "payment_intent", path["intent"], "intent")
    intent["metadata"] = changes.metadata(given.get("metadata"), intent["metadata"])
    if "description" in given:
        intent["description"] = given["description"]
    return intent


@endpoint(
    "GET",
    "/v1/payment_intents/{intent}",
    params="PaymentIntentRetrieveParams",
    answers=stripe.PaymentIntent,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Intent:
    """Give one intent."""
    return asked_for(world, "payment_intent", path["intent"], "intent")


def _confirm(world: World, intent: Intent, given: dict[str, Any]) -> None:
    if intent["payment_method"] is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You "
            "can either update the PaymentIntent with a payment method and then confirm it "
            "again, or confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    paying.attempt(
        world,
        intent,
        world.objects[intent["payment_method"]],
        off_session=bool(given.get("off_session")),
        error_on_requires_action=bool(given.get("error_on_requires_action")),
        return_url=given.get("return_url"),
    )


def _check_return(given: dict[str, Any]) -> None:
    """Ask for the address that a buyer who is there may have to come back to."""
    redirects = (given.get("automatic_payment_methods") or {}).get("allow_redirects", "always")
    if given.get("off_session") or given.get("return_url") or redirects == "never":
        return
    raise invalid(
        "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
        "Because some of these payment methods might redirect your customer off of your page, "
        "you must provide a `return_url`. If you don't want to accept redirect-based payment "
        "methods, set `automatic_payment_methods[enabled]` to `true` and "
        "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents "
        "and Payment Intents.",
    )


def _check_amount(amount_minor: int, currency: str) -> None:
    if amount_minor < 1:
        raise invalid(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    if amount_minor < LEAST_MINOR and has_least(currency.lower()):
        raise invalid(
            f"Amount must be at least 50 {currency.lower()} cents.",
            code="amount_too_small",
            param="amount",
        )
    if amount_minor > MOST_MINOR:
        raise invalid(
            f"Amount must be no more than {MOST_MINOR}.",
            code="amount_too_large",
            param="amount",
        )


def _check_owner(method: dict[str, Any], customer: str | None) -> None:
    payment_methods.check_usable(method)
    if method["customer"] in (None, customer):
        return
    if customer is None:
        whose = (
            f"The PaymentMethod {method['id']} belongs to a customer. Please include the "
            "Customer in the `customer` parameter on the PaymentIntent."
        )
    else:
        whose = f"The PaymentMethod {method['id']} belongs to another customer."
    raise invalid(whose, "payment_method")


def _unexpected_state(intent: Intent, verb: str) -> StripeFailure:
    return invalid(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


@endpoint(
    "GET", "/v1/payment_intents", params="PaymentIntentListParams", answers=stripe.PaymentIntent
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List intents, of a customer."""
    found = matching(world.every("payment_intent"), given, "customer")
    return listed(given, found, "/v1/payment_intents")
