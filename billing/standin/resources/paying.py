"""
What happens when a payment intent is paid: the one place where money is taken.

    requires_payment_method -> succeeded                 a card that works
                            -> requires_payment_method   a refused card: 402, a failed charge
                            -> requires_action           3-D Secure, then one of the two above
                            -> processing                a bank debit, then one of the first two
"""

from typing import Any

from billing.standin.failures import invalid
from billing.standin.resources import charges, disputes, payment_methods, warnings
from billing.standin.test_cards import (
    AUTHENTICATION_REQUIRED,
    Decline,
    TestAccount,
    TestCard,
)
from billing.standin.world import World, scheduled

Intent = dict[str, Any]
Method = dict[str, Any]

# The bank acts after the payment and everything that is said about it.
SOON_S = 0.0

AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment "
    "method and try again.",
)
DEBIT_FAILED = Decline(
    "payment_intent_payment_attempt_failed", None, "The bank refused the direct debit."
)


def attempt(
    world: World,
    intent: Intent,
    method: Method,
    *,
    off_session: bool = False,
    error_on_requires_action: bool = False,
    authenticated: bool = False,
    return_url: str | None = None,
) -> None:
    """
    Try once to take an intent's money from a payment method.

    With `off_session` the buyer is not there, so a card that wants 3-D Secure is refused;
    `authenticated` says that they have just completed it. Afterwards they are sent to
    `return_url`.

    Raises:
        StripeFailure: 402; the intent is at `requires_payment_method` and says why.

    """
    intent["payment_method"] = method["id"]
    card = payment_methods.behaviour(method)
    if needs_authentication(method) and not authenticated:
        if off_session or error_on_requires_action:
            _refused(world, intent, method, AUTHENTICATION_REQUIRED)
        require_action(world, intent, return_url)
        return
    if isinstance(card, TestCard) and card.decline:
        _refused(world, intent, method, card.decline)
    if payment_methods.is_slow(method):
        _processing(world, intent, method)
        return
    charge = charges.begin(world, intent, method, "succeeded")
    _succeeded(world, intent, charge)


def needs_authentication(method: Method) -> bool:
    """Whether the bank wants 3-D Secure for a payment with this method now."""
    card = payment_methods.behaviour(method)
    if not isinstance(card, TestCard) or card.authentication is None:
        return False
    return card.authentication == "always" or not method.get("_set_up")


def require_action(world: World, intent: Intent, return_url: str | None) -> None:
    """Park an intent until the buyer has completed or failed 3-D Secure."""
    intent["status"] = "requires_action"
    intent["last_payment_error"] = None
    intent["next_action"] = {
        "type": "redirect_to_url",
        "redirect_to_url": {
            "return_url": return_url,
            "url": f"{world.base_url}/authenticate/{intent['id']}",
        },
    }
    world.emit("payment_intent.requires_action", intent)


def authentication_failed(world: World, intent: Intent) -> None:
    """Let the buyer fail 3-D Secure: the intent wants another card. Makes no charge."""
    method = world.objects[intent["payment_method"]]
    _wants_another(world, intent, method, AUTHENTICATION_FAILED, charge_id=None)


def finish(world: World, intent: Intent, *, succeeds: bool) -> None:
    """Let a bank debit that is in processing come through or fail."""
    if intent["status"] != "processing":
        message = f"{intent['id']} is {intent['status']}, not processing."
        raise invalid(message)
    charge = world.objects[intent["latest_charge"]]
    if succeeds:
        charges.succeed_later(world, charge)
        _succeeded(world, intent, charge)
        return
    charges.refuse(charge, DEBIT_FAILED)
    world.emit("charge.failed", charge)
    method = world.objects[intent["payment_method"]]
    _wants_another(world, intent, method, DEBIT_FAILED, charge_id=charge["id"])
    _tell_invoice(world, intent)


def _succeeded(world: World, intent: Intent, charge: dict[str, Any]) -> None:
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "next_action": None,
    }
    _keep(world, intent)
    world.emit("payment_intent.succeeded", intent)
    world.emit("charge.succeeded", charge)
    charges.receive(world, charge)
    _tell_invoice(world, intent)
    _afterwards(world, charge)


def _tell_invoice(world: World, intent: Intent) -> None:
    """Have the invoice that an intent pays brought to where the intent is."""
    if intent.get("_invoice"):
        world.later(0, "invoice_follows", intent["_invoice"])


def _keep(world: World, intent: Intent) -> None:
    """Keep the method for the customer if the intent or the buyer asks for it."""
    method = world.objects[intent["payment_method"]]
    method["_set_up"] = method.get("_set_up") or intent["setup_future_usage"] == "off_session"
    by_buyer = bool(method.get("_kept_for_buyer"))
    kept = by_buyer or intent["setup_future_usage"]
    if kept and intent["customer"] and method["customer"] is None:
        # Only what the buyer chose to keep is offered again on a page.
        method["allow_redisplay"] = "always" if by_buyer else "limited"
        payment_methods.attach(world, method, intent["customer"])
    if method["customer"] is None:
        method["_spent"] = True


def _afterwards(world: World, charge: dict[str, Any]) -> None:
    """Let the bank do what the test card stands for, after the payment and all its events."""
    card = charges.tricks(world, charge)
    if isinstance(card, TestAccount) and card.outcome == "disputed":
        world.later(SOON_S, "dispute", charge["id"], "debit_not_authorized", False)
    if not isinstance(card, TestCard):
        return
    if card.dispute == "inquiry":
        world.later(SOON_S, "dispute", charge["id"], "fraudulent", True)
    elif card.dispute:
        world.later(SOON_S, "dispute", charge["id"], card.dispute, False)
    if card.warned:
        world.later(SOON_S, "warn", charge["id"])
    if card.reviewed:
        world.later(SOON_S, "review", charge["id"])


@scheduled("dispute")
def _disputed(world: World, charge_id: str, reason: str, inquiry: bool) -> None:  # noqa: FBT001
    disputes.make(world, world.objects[charge_id], reason=reason, inquiry=inquiry)


@scheduled("warn")
def _warned(world: World, charge_id: str) -> None:
    warnings.warn(world, world.objects[charge_id])


@scheduled("review")
def _reviewed(world: World, charge_id: str) -> None:
    warnings.open_review(world, world.objects[charge_id])


def _processing(world: World, intent: Intent, method: Method) -> None:
    charge = charges.begin(world, intent, method, "pending")
    intent |= {"status": "processing", "last_payment_error": None, "next_action": None}
    _keep(world, intent)
    world.emit("charge.pending", charge)
    world.emit("payment_intent.processing", intent)


def _refused(world: World, intent: Intent, method: Method, decline: Decline) -> None:
    charge = charges.begin(world, intent, method, "failed")
    charges.refuse(charge, decline)
    world.emit("charge.failed", charge)
    _wants_another(world, intent, method, decline, charge_id=charge["id"])
    raise payment_methods.card_failure(
        decline, charge=charge["id"], payment_intent=intent, payment_method=method
    )


def _wants_another(
    world: World, intent: Intent, method: Method, decline: Decline, *, charge_id: str | None
) -> None:
    intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None}
    intent["last_payment_error"] = {
        "code": decline.code,
        "message": decline.message,
        "payment_method": dict(method),
        "type": "card_error" if method["type"] == "card" else "invalid_request_error",
    }
    if charge_id:
        intent["last_payment_error"]["charge"] = charge_id
    if decline.decline_code:
        intent["last_payment_error"]["decline_code"] = decline.decline_code
        intent["last_payment_error"]["advice_code"] = charges.advice(decline)
    world.emit("payment_intent.payment_failed", intent)
