"""The hosted Checkout page and the bank's 3-D Secure page: forms, no script."""

# ruff: noqa: ARG001 - pages share one signature

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.money import money_text
from billing.standin.checkout_view import (
    checkout,
    due_minor,
    message,
    offers_saving,
    three_d_secure,
)
from billing.standin.endpoints import page
from billing.standin.failures import StripeFailure, invalid
from billing.standin.resources import (
    completing,
    paying,
    payment_methods,
    session_lines,
    sessions,
    setup_intents,
)
from billing.standin.test_cards import card_of_number
from billing.standin.world import World, scheduled

Json = dict[str, Any]
Form = dict[str, str]

DECLINED_CARD = "4000000000000002"
# How long a bank debit takes that was chosen on the page, on the world's clock.
DEBIT_TAKES_S = 20


@page("GET", "/pay/{session}")
def show(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show a session's page."""
    session = world.find("checkout.session", path["session"])
    if session is None or session["status"] != "open":
        return _over(session)
    return HTMLResponse(checkout(world, session, form))


@page("POST", "/pay/{session}")
def press(world: World, path: Form, query: Form, form: Form) -> Response:
    """Do what the pressed button says; errors are shown above the form."""
    session = world.find("checkout.session", path["session"])
    if session is None or session["status"] != "open":
        return _over(session)
    if "fill" in form:
        card = card_of_number(form["fill"])
        filled = {"card": form["fill"], "expiry": "12 / 34", "cvc": "123", "method": "card"}
        return HTMLResponse(checkout(world, session, form | filled if card else form))
    try:
        _change(world, session, form)
        total = due_minor(world, session)
        if form.get("action") != "change" and form.get("shown_total", str(total)) == str(total):
            return _pay(world, session, form)
        # Nobody pays another amount than the one on the button.
        return HTMLResponse(checkout(world, session, form))
    except StripeFailure as failure:
        answer = checkout(world, session, form, error=failure.message)
        return HTMLResponse(answer, status_code=failure.status)


@page("GET", "/pay/{session}/authenticate")
def ask(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show what the buyer's bank asks."""
    session = world.find("checkout.session", path["session"])
    if session is None or session["status"] != "open" or not session.get("_waiting_for"):
        return _over(session)
    return HTMLResponse(
        three_d_secure(f"/pay/{session['id']}/authenticate", session["amount_total"], session)
    )


@page("POST", "/pay/{session}/authenticate")
def answered(world: World, path: Form, query: Form, form: Form) -> Response:
    """Go on with what the bank said."""
    session = world.find("checkout.session", path["session"])
    if session is None or session["status"] != "open" or not session.get("_waiting_for"):
        return _over(session)
    try:
        if form.get("action") != "complete":
            completing.not_authenticated(world, session)
            raise invalid("We are unable to authenticate your payment method.")
        completing.authenticated(world, session)
    except StripeFailure as failure:
        answer = checkout(world, session, {}, error=failure.message)
        return HTMLResponse(answer, status_code=failure.status)
    return _see(success_url(session))


@page("GET", "/authenticate/{intent}")
def ask_for_intent(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show the bank's question about a payment that has no page."""
    intent = _waiting(world, path["intent"])
    amount = intent.get("amount")
    return HTMLResponse(three_d_secure(f"/authenticate/{intent['id']}", amount, intent))


@page("POST", "/authenticate/{intent}")
def answered_for_intent(world: World, path: Form, query: Form, form: Form) -> Response:
    """Go on with a payment that has no page, then back to its `return_url`."""
    intent = _waiting(world, path["intent"])
    back = intent["next_action"]["redirect_to_url"]["return_url"]
    succeeds = form.get("action") == "complete"
    try:
        _go_on(world, intent, succeeds=succeeds)
    except StripeFailure as failure:
        succeeds = False
        if back is None:
            return HTMLResponse(message("Not paid", failure.message), status_code=402)
    if back is None:
        return HTMLResponse(message("Done" if succeeds else "Not paid", "You can close this page."))
    mark = "&" if "?" in back else "?"
    status = "succeeded" if succeeds else "failed"
    return _see(f"{back}{mark}{intent['object']}={intent['id']}&redirect_status={status}")


@page("GET", "/receipts/{charge}")
def receipt(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show a charge's receipt."""
    charge = world.get("charge", path["charge"])
    return HTMLResponse(
        message("Receipt", f"Paid: {money_text(charge['amount'], charge['currency'])}.")
    )


@page("GET", "/recover/{session}")
def recover(world: World, path: Form, query: Form, form: Form) -> Response:
    """Open an expired session's copy, as Stripe's recovery links do."""
    session = world.get("checkout.session", path["session"])
    recovery = (session["after_expiration"] or {}).get("recovery") or {}
    if not recovery.get("expires_at") or recovery["expires_at"] < world.now_s():
        return _over(session)
    return _see(f"/pay/{sessions.again(world, session)['id']}")


def success_url(session: Json) -> str:
    """Give where the buyer goes after paying; Stripe fills in the session's id."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


@scheduled("debit_arrives")
def _debit_arrives(world: World, session_id: str, succeeds: bool) -> None:  # noqa: FBT001
    session = world.objects[session_id]
    if world.objects[session["payment_intent"]]["status"] == "processing":
        completing.finish(world, session, succeeds=succeeds)


def _change(world: World, session: Json, form: Form) -> None:
    """Take another quantity or a promotion code, if there is one in the form."""
    for line in session["_lines"]:
        chosen = form.get(f"quantity_{line['id']}", "")
        if line["adjustable_quantity"] and chosen:
            if not chosen.isdecimal() or len(chosen) > len(str(session_lines.MOST_QUANTITY)):
                raise invalid("The quantity must be a whole number.", "quantity")
            session_lines.choose_quantity(session, line["id"], int(chosen))
    if form.get("promotion") and not session["discounts"]:
        session_lines.apply_promotion(world, session, form["promotion"])
    if session["mode"] != "setup":
        session_lines.total(world, session, taxed=False)


def _pay(world: World, session: Json, form: Form) -> Response:
    method = _method(world, session, form)
    result = completing.pay(
        world,
        session,
        method,
        email=form.get("email") or None,
        name=form.get("name") or None,
        save="save" in form and offers_saving(session),
    )
    if result == "authenticate":
        return _see(f"/pay/{session['id']}/authenticate")
    if method is not None and payment_methods.is_slow(method):
        outcome = getattr(payment_methods.behaviour(method), "outcome", "succeeds")
        world.later(DEBIT_TAKES_S, "debit_arrives", session["id"], outcome != "fails")
    return _see(success_url(session))


def _method(world: World, session: Json, form: Form) -> Json | None:
    """Make the payment method of what was typed or chosen; None where nothing is due."""
    email, name = form.get("email") or None, form.get("name") or None
    if form.get("action") == "fail":
        return payment_methods.from_card(world, DECLINED_CARD, email=email, name=name)
    chosen = form.get("method", "card")
    if session["mode"] == "payment" and session["amount_total"] == 0:
        return None
    if chosen.startswith("saved:"):
        saved = world.get("payment_method", chosen.removeprefix("saved:"))
        if saved["customer"] is None or saved["customer"] != session["customer"]:
            raise invalid("This card is not yours.", "payment_method")
        return saved
    if chosen == "debit":
        return payment_methods.from_iban(world, form.get("iban", ""), email=email, name=name)
    month, year = _expiry(world, form.get("expiry", ""))
    if not form.get("cvc", "").isdecimal():
        raise invalid("Your card's security code is incomplete.", "cvc", "incomplete_cvc")
    return payment_methods.from_card(
        world, form.get("card", ""), exp_month=month, exp_year=year, email=email, name=name
    )


def _expiry(world: World, written: str) -> tuple[int, int]:
    """Read `MM / YY` or `MM / YYYY`."""
    month, _, year = written.replace(" ", "").partition("/")
    if not (month.isdecimal() and year.isdecimal() and len(year) in (2, 4)):
        raise invalid("Your card's expiration date is incomplete.", "expiry", "incomplete_expiry")
    full_year = int(year) + (2000 if len(year) == 2 else 0)
    now_year, now_month = _year_and_month(world)
    if not 1 <= int(month) <= 12:
        raise invalid("Your card's expiration date is invalid.", "expiry", "invalid_expiry_month")
    if (full_year, int(month)) < (now_year, now_month):
        raise invalid(
            "Your card's expiration date is in the past.", "expiry", "invalid_expiry_year_past"
        )
    return int(month), full_year


def _year_and_month(world: World) -> tuple[int, int]:
    now = datetime.fromtimestamp(world.now_s(), UTC)
    return now.year, now.month


def _go_on(world: World, intent: Json, *, succeeds: bool) -> None:
    """Do with an intent what its buyer has answered the bank; raises 402 for a refused card."""
    method = world.objects[intent["payment_method"]]
    if intent["object"] == "setup_intent":
        if succeeds:
            setup_intents.attempt(world, intent, method, authenticated=True)
        else:
            setup_intents.authentication_failed(world, intent)
    elif succeeds:
        paying.attempt(world, intent, method, authenticated=True)
    else:
        paying.authentication_failed(world, intent)


def _waiting(world: World, intent_id: str) -> Json:
    intent = world.find("payment_intent", intent_id) or world.find("setup_intent", intent_id)
    if intent is None or intent["status"] != "requires_action":
        raise StripeFailure("This payment waits for no authentication.", status=404)
    return intent


def _over(session: Json | None) -> Response:
    """Say that a session cannot be paid, or send the buyer on who has paid already."""
    if session is None:
        return HTMLResponse(message("Nothing is here", "This link is wrong."), status_code=404)
    if session["status"] == "complete":
        return _see(success_url(session))
    if session["status"] == "open":
        return _see(f"/pay/{session['id']}")
    text = "This page has expired. Nothing was paid."
    return HTMLResponse(message("Too late", text, session["cancel_url"]), status_code=410)


def _see(url: str) -> Response:
    return RedirectResponse(quote(url, safe="%/:=&?~#+!$,;'@()*[]"), status_code=303)
