"""
The stand-in's home page, in place of Stripe's dashboard.

It shows what there is, with buttons for what the merchant, the buyers' banks and time would do.
Every button is a form that does what a control or an endpoint does.
"""

import re
from collections.abc import Callable
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.money import exponent, money_text
from billing.standin import control, home_view
from billing.standin.endpoints import page
from billing.standin.failures import StripeFailure, invalid
from billing.standin.resources import refunds, subscription_changes, subscription_endpoints
from billing.standin.resources.subscription_states import ENDED
from billing.standin.world import World

Json = dict[str, Any]
Form = dict[str, str]

# Stripe's sentences name ids and parameters; who looks at a page wants to know why.
PLAIN = {
    "charge_disputed": "The buyer's bank has taken this payment back: it cannot be refunded.",
    "charge_already_refunded": "All of this payment has been refunded already.",
    "resource_missing": "That is not here any more.",
}
# Headers of a page whose buttons do things: nobody frames it, no browser keeps it.
HEADERS = {"content-security-policy": "frame-ancestors 'none'", "cache-control": "no-store"}

_WHOLE = re.compile(r"(\d{1,12})(?:\.(\d{1,3}))?", re.ASCII)


@page("GET", "/", guarded=True)
def show(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show what there is, and what the button before has done."""
    del path, form
    content = home_view.home(world, done=query.get("done", ""))
    return HTMLResponse(content, headers=HEADERS)


@page("POST", "/", guarded=True)
def press(world: World, path: Form, query: Form, form: Form) -> Response:
    """Do what the pressed button says; errors are shown above everything."""
    del path, query
    try:
        done = _action(form.get("do", ""))(world, form.get("thing", ""), form)
    except StripeFailure as failure:
        text = PLAIN.get(failure.code or "", failure.message)
        content = home_view.home(world, error=text, form=form)
        return HTMLResponse(content, status_code=failure.status, headers=HEADERS)
    return RedirectResponse(f"/?done={done}", status_code=303)


def _action(name: str) -> Callable[[World, str, Form], str]:
    if name not in _ACTIONS:
        raise invalid("There is no such button.")
    return _ACTIONS[name]


def _refund(world: World, intent_id: str, form: Form) -> str:
    """Give back what was typed, or all that is left where there is no field."""
    amount = None
    if "amount" in form:
        intent = world.get("payment_intent", intent_id)
        charge = world.get("charge", intent["latest_charge"])
        amount = _typed_minor(world, charge, form["amount"])
    control.call(world, "refund", intent_id, amount)
    return "refunded"


def _typed_minor(world: World, charge: Json, typed: str) -> int:
    """Read an amount like `5` or `5.00` as minor units; it must be there to be given back."""
    currency, left = charge["currency"], refunds.left_minor(world, charge)
    example = money_text(max(left, 1), currency)
    found, places = _WHOLE.fullmatch(typed.strip()), exponent(currency)
    if found is None or len(found[2] or "") > places:
        raise invalid(f"Write the amount as a number, like {example.split()[0]}.", "amount")
    amount = int(found[1] + (found[2] or "").ljust(places, "0"))
    if amount < 1:
        raise invalid("The amount must be more than nothing.", "amount")
    if amount > left > 0:
        raise invalid(
            f"{money_text(amount, currency)} is too much: only {example} of this payment is left.",
            "amount",
        )
    return amount


def _step(world: World, dispute_id: str, form: Form) -> str:
    """Move a dispute on."""
    step = form.get("step", "")
    control.call(world, "dispute_step", dispute_id, step)
    return step


def _debit(world: World, intent_id: str, form: Form) -> str:
    """Let a bank debit come through or fail, and tell the session it belongs to, if any."""
    succeeds = form.get("outcome") == "succeeds"
    session = _session_of(world, world.get("payment_intent", intent_id))
    if session is None:
        control.call(world, "finish_intent", intent_id, succeeds=succeeds)
    else:
        control.call(world, "finish_payment", session["id"], succeeds=succeeds)
    return "debit_paid" if succeeds else "debit_failed"


def _session_of(world: World, intent: Json) -> Json | None:
    """Find whose payment it is: a subscription's first is its session's, a renewal is nobody's."""
    invoice = intent.get("_invoice")
    for session in world.every("checkout.session"):
        first = session["mode"] == "subscription" and session["invoice"] == invoice
        if session["payment_intent"] == intent["id"] or (invoice and first):
            return session
    return None


def _renew(world: World, subscription_id: str, form: Form) -> str:
    del form
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] in ENDED:
        raise invalid("This subscription has ended.")
    control.call(world, "renew", subscription_id)
    if subscription["status"] in ENDED:
        return "ended"
    return "renewed" if subscription["status"] == "active" else "not_renewed"


def _fail_next(world: World, subscription_id: str, form: Form) -> str:
    refused = form.get("refused") == "on"
    control.call(world, "refuse_payments", subscription_id, refused=refused)
    return "refusing" if refused else "paying"


def _cancel(world: World, subscription_id: str, form: Form) -> str:
    """End a subscription now or with its period, or take the latter back."""
    when, path = form.get("when", ""), {"subscription": subscription_id}
    if when == "now":
        subscription_endpoints.cancel(world, {}, path)
        return "canceled"
    subscription_changes.update(world, {"cancel_at_period_end": when == "period_end"}, path)
    return "canceling" if when == "period_end" else "going_on"


def _resend(world: World, event_id: str, form: Form) -> str:
    del form
    sent = control.call(world, "resend", event_id)["sent"]
    return "sent" if sent else "not_sent"


_ACTIONS: dict[str, Callable[[World, str, Form], str]] = {
    "refund": _refund,
    "dispute": _step,
    "debit": _debit,
    "renew": _renew,
    "fail_next": _fail_next,
    "cancel": _cancel,
    "resend": _resend,
}
