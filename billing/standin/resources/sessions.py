"""
Checkout sessions: what is for sale on a hosted page, until when, and what became of it.

    open -> complete   paid | unpaid (a bank debit) | no_payment_required
         -> expired    by itself or asked for
"""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import expands, listed
from billing.standin.resources import (
    payment_intents,
    session_lines,
    session_opening,
    setup_intents,
)
from billing.standin.resources.changes import metadata
from billing.standin.resources.selection import asked_for, matching
from billing.standin.world import World, scheduled

Session = dict[str, Any]

RECOVERABLE_FOR_S = 30 * 24 * 3600


@endpoint(
    "POST",
    "/v1/checkout/sessions",
    params="checkout.SessionCreateParams",
    answers=stripe.checkout.Session,
)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Session:
    """Open a session; the buyer finds its page at `url`."""
    mode = given.get("mode") or "payment"
    session_opening.check(world, given, mode)
    currency = given["currency"].lower() if "currency" in given else None
    lines = session_lines.made(world, given.get("line_items") or [], mode, currency)
    session = session_opening.opened(world, given, mode, lines)
    session["discounts"] = session_opening.discounts(world, given)
    session_lines.total(world, session, taxed=False)
    session_opening.check_total(session)
    if mode == "setup":
        data = given.get("setup_intent_data") or {}
        intent = setup_intents.make(
            world,
            customer=session["customer"],
            metadata=data.get("metadata"),
            usage="off_session",
        )
        session |= {"setup_intent": intent["id"], "payment_status": "no_payment_required"}
        for absent in ("amount_subtotal", "amount_total", "total_details"):
            session[absent] = None
    world.put(session)
    world.later(session["expires_at"] - world.clock.now(), "session_expires", session["id"])
    return session


@endpoint(
    "GET",
    "/v1/checkout/sessions/{session}",
    params="checkout.SessionRetrieveParams",
    answers=stripe.checkout.Session,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Session:
    """Give one session."""
    return asked_for(world, "checkout.session", path["session"], "session")


@endpoint(
    "POST",
    "/v1/checkout/sessions/{session}",
    params="checkout.SessionUpdateParams",
    answers=stripe.checkout.Session,
)
def update(world: World, given: dict[str, Any], path: dict[str, str]) -> Session:
    """Change a session's metadata."""
    session = asked_for(world, "checkout.session", path["session"], "session")
    session["metadata"] = metadata(given.get("metadata"), session["metadata"])
    return session


@endpoint(
    "POST",
    "/v1/checkout/sessions/{session}/expire",
    params="checkout.SessionExpireParams",
    answers=stripe.checkout.Session,
)
def expire_asked(world: World, given: dict[str, Any], path: dict[str, str]) -> Session:
    """Close a session that nobody has completed."""
    session = asked_for(world, "checkout.session", path["session"], "session")
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {session['status']}."
        )
    expire(world, session)
    return session


@endpoint(
    "GET",
    "/v1/checkout/sessions",
    params="checkout.SessionListParams",
    answers=stripe.checkout.Session,
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List sessions, by customer, payment intent, subscription, status or time."""
    fields = ("customer", "payment_intent", "subscription", "status")
    found = matching(world.every("checkout.session"), given, *fields)
    return listed(given, found, "/v1/checkout/sessions")


@endpoint(
    "GET",
    "/v1/checkout/sessions/{session}/line_items",
    params="checkout.SessionListLineItemsParams",
    answers=stripe.LineItem,
)
def line_items(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List what a session sells, in the order it was given."""
    session = asked_for(world, "checkout.session", path["session"], "session")
    return _lines(session, given)


@expands("checkout.session", "line_items")
def _expanded_lines(world: World, session: Session) -> dict[str, Any]:
    return _lines(session, {})


def _lines(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    # Pages of other lists begin with the newest; here the order is the merchant's.
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return listed(given, session["_lines"][::-1], url)


def expire(world: World, session: Session) -> None:
    """Close an open session and what it had begun: `checkout.session.expired`."""
    session |= {"status": "expired", "url": None}
    recovery = (session["after_expiration"] or {}).get("recovery")
    if recovery and recovery["enabled"]:
        recovery |= {
            "expires_at": world.now_s() + RECOVERABLE_FOR_S,
            "url": f"{world.base_url}/recover/{session['id']}",
        }
    intent = world.objects.get(session["payment_intent"] or "")
    if intent is not None and intent["status"] in payment_intents.OPEN:
        payment_intents.cancel(world, intent, "automatic")
    world.emit("checkout.session.expired", session)


def again(world: World, expired: Session) -> Session:
    """Open a copy of an expired session, as its recovery link does."""
    now = world.now_s()
    session_id = world.new_id("cs_test", 58)
    session = expired | {
        "id": session_id,
        "created": now,
        "expires_at": now + session_opening.MOST_OPEN_S,
        "recovered_from": expired["id"],
        "status": "open",
        "payment_intent": None,
        "url": f"{world.base_url}/pay/{session_id}",
        "_lines": [line | {"id": world.new_id("li")} for line in expired["_lines"]],
        "after_expiration": None,
    }
    world.put(session)
    world.later(session_opening.MOST_OPEN_S, "session_expires", session_id)
    return session


@scheduled("session_expires")
def _expired(world: World, session_id: str) -> None:
    session = world.objects[session_id]
    if session["status"] == "open":
        expire(world, session)
