"""Controls for what buyers, banks and the merchant's dashboard do with payments."""

from typing import Any

from billing.standin.control import control
from billing.standin.failures import invalid
from billing.standin.rendering import public
from billing.standin.resources import (
    completing,
    disputes,
    paying,
    payment_methods,
    refunds,
    session_lines,
    sessions,
    warnings,
)
from billing.standin.test_cards import ACCOUNTS
from billing.standin.world import World

Json = dict[str, Any]


@control("pay")
def pay(
    world: World,
    session: str,
    card: str | None = "4242424242424242",
    *,
    saved: str | None = None,
    quantity: int | None = None,
    promotion_code: str | None = None,
    email: str | None = None,
    name: str | None = None,
    save: bool = False,
    authentication: str = "complete",
) -> Json:
    """
    Have the buyer pay a session. Answers the session; a refused card is answered with 402.

    `card` is a number (None where nothing is due), `saved` a payment method in its place,
    `quantity` for the first line whose quantity may change, `save` to keep the card for the
    buyer, `authentication` what becomes of 3-D Secure: complete, fail, or leave (it waits).
    """
    found = world.get("checkout.session", session)
    completing.check_open(found)
    if quantity is not None:
        choose_quantity(found, quantity)
    if saved is not None:
        method: Json | None = world.get("payment_method", saved)
    else:
        method = payment_methods.from_card(world, card) if card is not None else None
    result = completing.pay(
        world, found, method, email=email, name=name, promotion_code=promotion_code, save=save
    )
    if result == "authenticate" and authentication == "complete":
        completing.authenticated(world, found)
    elif result == "authenticate" and authentication == "fail":
        completing.not_authenticated(world, found)
    return _shown(found)


@control("pay_slowly")
def pay_slowly(world: World, session: str, quantity: int | None = None) -> Json:
    """Complete a session with a bank debit, which is then in processing. Answers the session."""
    found = world.get("checkout.session", session)
    completing.check_open(found)
    if quantity is not None:
        choose_quantity(found, quantity)
    completing.pay(world, found, payment_methods.from_iban(world, ACCOUNTS[0].iban))
    return _shown(found)


@control("finish_payment")
def finish_payment(world: World, session: str, *, succeeds: bool = True) -> Json:
    """Let a session's bank debit come through or fail. Answers the session."""
    found = world.get("checkout.session", session)
    completing.finish(world, found, succeeds=succeeds)
    return _shown(found)


@control("authenticate")
def authenticate(world: World, session: str, *, succeeds: bool = True) -> Json:
    """Complete or fail the 3-D Secure that a session waits for. Answers the session."""
    found = world.get("checkout.session", session)
    if succeeds:
        completing.authenticated(world, found)
    else:
        completing.not_authenticated(world, found)
    return _shown(found)


@control("expire")
def expire(world: World, session: str) -> Json:
    """Let a session expire by itself, before its time. Answers the session."""
    found = world.get("checkout.session", session)
    completing.check_open(found)
    sessions.expire(world, found)
    return _shown(found)


@control("present_in")
def present_in(world: World, session: str, amount: int, currency: str) -> Json:
    """Have the page show the total in the buyer's currency, as adaptive pricing does."""
    found = world.get("checkout.session", session)
    found["presentment_details"] = {
        "presentment_amount": amount,
        "presentment_currency": currency,
    }
    return _shown(found)


@control("save_card")
def save_card(world: World, customer: str, card: str = "4242424242424242") -> Json:
    """Keep a card for a customer, agreed to for payments without them. Answers the method."""
    found = world.get("customer", customer)
    method = payment_methods.from_card(world, card)
    payment_methods.attach(world, method, found["id"])
    method["allow_redisplay"] = "always"
    method["_set_up"] = True
    return _shown(method)


@control("refund")
def refund(
    world: World,
    payment_intent: str,
    amount: int | None = None,
    *,
    status: str | None = None,
    pending_reason: str | None = None,
    reason: str | None = None,
) -> Json:
    """Refund as from the dashboard, whole or in part. Answers the refund."""
    charge = _charge(world, payment_intent)
    made = refunds.make(
        world, charge, amount, status=status, pending_reason=pending_reason, reason=reason
    )
    return _shown(made)


@control("set_refund_status")
def set_refund_status(world: World, refund: str, status: str) -> Json:
    """Move a refund on: succeeded, failed, canceled, requires_action. Answers the refund."""
    found = world.get("refund", refund)
    refunds.become(world, found, status)
    return _shown(found)


@control("dispute")
def dispute(
    world: World,
    payment_intent: str,
    amount: int | None = None,
    *,
    inquiry: bool = False,
    reason: str = "fraudulent",
) -> Json:
    """Dispute a payment, or only ask about it (inquiry). Answers the dispute."""
    charge = _charge(world, payment_intent)
    return _shown(disputes.make(world, charge, amount, reason=reason, inquiry=inquiry))


@control("dispute_step")
def dispute_step(world: World, dispute: str, step: str) -> Json:
    """Move a dispute on; the steps are those of `disputes.STEPS`, and `reinstate`."""
    found = world.get("dispute", dispute)
    if step == "reinstate":
        disputes.reinstate(world, found)
    else:
        disputes.step(world, found, step)
    return _shown(found)


@control("warn")
def warn(world: World, payment_intent: str) -> Json:
    """Send an early fraud warning about a payment. Answers the warning."""
    return _shown(warnings.warn(world, _charge(world, payment_intent)))


@control("open_review")
def open_review(world: World, payment_intent: str) -> Json:
    """Put a payment into the review queue. Answers the review."""
    return _shown(warnings.open_review(world, _charge(world, payment_intent)))


@control("close_review")
def close_review(world: World, review: str, reason: str = "approved") -> Json:
    """Take a payment out of the review queue. Answers the review."""
    found = world.get("review", review)
    warnings.close_review(world, found, reason)
    return _shown(found)


@control("finish_intent")
def finish_intent(world: World, payment_intent: str, *, succeeds: bool = True) -> Json:
    """Let a bank debit without a session come through or fail. Answers the intent."""
    intent = world.get("payment_intent", payment_intent)
    paying.finish(world, intent, succeeds=succeeds)
    return _shown(intent)


def choose_quantity(session: Json, quantity: int) -> None:
    """Change the quantity of the first line that allows it."""
    for line in session["_lines"]:
        if line["adjustable_quantity"]:
            session_lines.choose_quantity(session, line["id"], quantity)
            return
    raise invalid("No quantity of this session can be changed.", "quantity")


def _charge(world: World, payment_intent: str) -> Json:
    intent = world.get("payment_intent", payment_intent)
    charge = world.objects.get(intent["latest_charge"] or "")
    if charge is None:
        raise invalid(f"{payment_intent} has no charge.", "payment_intent")
    return charge


def _shown(thing: Json) -> Json:
    shown: Json = public(thing)
    return shown
