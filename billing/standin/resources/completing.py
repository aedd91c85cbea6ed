"""What the buyer does on a session's page: pay with something, fail, finish 3-D Secure."""

from typing import Any, Literal

from billing.standin.failures import invalid
from billing.standin.resources import (
    customers,
    invoice_states,
    invoices,
    paying,
    payment_intents,
    payment_methods,
    session_lines,
    session_opening,
    setup_intents,
    subscriptions,
)
from billing.standin.world import World

Session = dict[str, Any]
Method = dict[str, Any]
Paid = Literal["complete", "authenticate"]


def pay(
    world: World,
    session: Session,
    method: Method | None,
    *,
    email: str | None = None,
    name: str | None = None,
    promotion_code: str | None = None,
    save: bool = False,
    authenticated: bool = False,
) -> Paid:
    """
    Have the buyer press the button.

    `method` is what to pay with, None where nothing is due; `save` keeps it for the buyer's
    next purchases here; `authenticated` says that 3-D Secure has just been completed.

    Returns:
        `complete`, or `authenticate` where the bank wants 3-D Secure first.

    Raises:
        StripeFailure: 402 for a refused card (the session stays open), 400 for a session
            that is not open or a code that does not work.

    """
    check_open(session)
    if promotion_code:
        session_lines.apply_promotion(world, session, promotion_code)
    _know_buyer(session, method, email, name)
    if session["mode"] != "setup":
        session_lines.total(world, session, taxed=session["_taxed"])
    if save and method is not None:
        method["_kept_for_buyer"] = True
    if session["mode"] == "setup":
        return _set_up(world, session, _needed(method), authenticated=authenticated)
    if session["mode"] == "subscription":
        return _subscribe(world, session, method, authenticated=authenticated)
    if session["amount_total"] == 0:
        _complete(world, session, "no_payment_required")
        return "complete"
    return _charge(world, session, _needed(method), authenticated=authenticated)


def authenticated(world: World, session: Session) -> Paid:
    """Have the buyer complete 3-D Secure for the card they chose."""
    check_open(session)
    method = world.objects.get(session.get("_waiting_for") or "")
    if method is None:
        raise invalid(f"The session {session['id']} waits for no authentication.")
    session["_waiting_for"] = None
    return pay(world, session, method, authenticated=True)


def not_authenticated(world: World, session: Session) -> None:
    """Have the buyer fail 3-D Secure: the session stays open for another card."""
    check_open(session)
    session["_waiting_for"] = None
    intent = world.objects.get(session["payment_intent"] or session["setup_intent"] or "")
    if intent is None or intent["status"] != "requires_action":
        return
    if session["mode"] == "setup":
        setup_intents.authentication_failed(world, intent)
    else:
        paying.authentication_failed(world, intent)


def finish(world: World, session: Session, *, succeeds: bool) -> None:
    """Let the bank debit of a completed session come through or fail, days later."""
    intent = world.objects.get(session["payment_intent"] or "")
    if session["mode"] == "subscription" and session["invoice"]:
        intent = invoice_states.intent_of(world, world.objects[session["invoice"]])
    if intent is None:
        raise invalid(f"The session {session['id']} has no payment that could come through.")
    paying.finish(world, intent, succeeds=succeeds)
    if succeeds:
        session["payment_status"] = "paid"
        _invoice(world, session)
    word = "succeeded" if succeeds else "failed"
    world.emit(f"checkout.session.async_payment_{word}", session)


def check_open(session: Session) -> None:
    """Refuse to go on with a session that is complete or expired."""
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}.", "session")


def _needed(method: Method | None) -> Method:
    if method is None:
        raise invalid("Choose how to pay.", "payment_method")
    return method


def _know_buyer(
    session: Session, method: Method | None, email: str | None, name: str | None
) -> None:
    """Note who buys."""
    known = session["customer_details"] or {}
    billing = method["billing_details"] if method else {}
    email = known.get("email") or session["customer_email"] or email or billing.get("email")
    name = known.get("name") or name or billing.get("name")
    session["customer_details"] = session_opening.details(email or "buyer@example.com", name)
    if session["_taxed"]:
        session["automatic_tax"]["status"] = "complete"
        session["customer_details"]["address"] = {
            **dict.fromkeys(("city", "line1", "line2", "postal_code", "state")),
            "country": "DE",
        }


def _ensure_customer(world: World, session: Session) -> None:
    saves = session["_payment_intent_data"].get("setup_future_usage")
    if session["customer"] or not (session["customer_creation"] == "always" or saves):
        return
    details = session["customer_details"]
    customer = customers.make(world, email=details["email"], name=details["name"])
    session["customer"] = customer["id"]


def _charge(world: World, session: Session, method: Method, *, authenticated: bool) -> Paid:
    data = session["_payment_intent_data"]
    _ensure_customer(world, session)
    intent = world.objects.get(session["payment_intent"] or "")
    if intent is None:
        intent = payment_intents.make(
            world,
            amount_minor=session["amount_total"],
            currency=session["currency"],
            customer=session["customer"],
            metadata=data.get("metadata"),
            description=data.get("description"),
            receipt_email=data.get("receipt_email"),
            setup_future_usage=data.get("setup_future_usage"),
        )
        intent["presentment_details"] = session["presentment_details"]
        session["payment_intent"] = intent["id"]
    # The buyer may have changed the quantity since a card was refused.
    intent["amount"] = session["amount_total"]
    paying.attempt(
        world, intent, method, authenticated=authenticated, return_url=session["success_url"]
    )
    if intent["status"] == "requires_action":
        session["_waiting_for"] = method["id"]
        return "authenticate"
    _complete(world, session, "paid" if intent["status"] == "succeeded" else "unpaid")
    return "complete"


def _set_up(world: World, session: Session, method: Method, *, authenticated: bool) -> Paid:
    intent = world.objects[session["setup_intent"]]
    _ensure_customer(world, session)
    intent["customer"] = session["customer"]
    setup_intents.attempt(world, intent, method, authenticated=authenticated)
    if intent["status"] == "requires_action":
        session["_waiting_for"] = method["id"]
        return "authenticate"
    _complete(world, session, "no_payment_required")
    return "complete"


def _subscribe(
    world: World, session: Session, method: Method | None, *, authenticated: bool
) -> Paid:
    """Begin the subscription; its first invoice takes the money, or refuses with 402."""
    due = session["amount_total"] > 0 or session["payment_method_collection"] == "always"
    if due:
        method = _needed(method)
        if paying.needs_authentication(method) and not authenticated:
            session["_waiting_for"] = method["id"]
            return "authenticate"
    _ensure_customer(world, session)
    if method is not None:
        payment_methods.attach(world, method, session["customer"])
    subscriptions.begin(world, session, method)
    if session["amount_total"] == 0:
        _complete(world, session, "no_payment_required")
    else:
        paid = world.objects[session["invoice"]]["status"] == "paid"
        _complete(world, session, "paid" if paid else "unpaid")
    return "complete"


def _complete(world: World, session: Session, payment_status: str) -> None:
    session |= {"status": "complete", "payment_status": payment_status, "url": None}
    session_lines.redeem(world, session)
    if payment_status != "unpaid":
        _invoice(world, session)
    world.emit("checkout.session.completed", session)


def _invoice(world: World, session: Session) -> None:
    wanted = session["invoice_creation"]
    if wanted and wanted["enabled"]:
        invoices.for_session(world, session)
