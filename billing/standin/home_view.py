"""What the home page looks like: lists of the newest things, each with its buttons."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html import escape
from itertools import islice
from typing import Any

from billing.money import exponent, money_text
from billing.standin.checkout_view import filled
from billing.standin.resources import disputes, payment_methods, refunds
from billing.standin.resources.subscription_controls import payments_fail
from billing.standin.resources.subscription_states import ENDED
from billing.standin.world import World

Json = dict[str, Any]
Form = dict[str, str]

MOST_SHOWN = 50
"""Of each kind: a demo that ran for weeks still has a page that opens at once."""

SECTIONS = ("payments", "disputes", "debits", "subscriptions", "events")

SAID = {
    "refunded": "The money was given back.",
    "win": "The bank has decided for us: the money is back.",
    "lose": "The bank has decided for the buyer, who keeps the money.",
    "reinstate": "The bank has returned the money.",
    "appeal": "The decision is appealed.",
    "respond": "The bank has our evidence.",
    "escalate": "The bank's question has become a dispute, and it has taken the money.",
    "close_inquiry": "The bank asks no more.",
    "debit_paid": "The bank debit has come through.",
    "debit_failed": "The bank debit has failed.",
    "renewed": "Time has passed: the next period is paid.",
    "not_renewed": "Time has passed, and the payment for the next period did not go through.",
    "ended": "Time has passed: the subscription has ended.",
    "refusing": "The next payment of the subscription will fail.",
    "paying": "The next payment of the subscription will go through.",
    "canceled": "The subscription has ended.",
    "canceling": "The subscription will end with its period.",
    "going_on": "The subscription goes on.",
    "sent": "The event was sent again.",
    "not_sent": "No webhook endpoint wants this event: it was not sent.",
}

# The steps that have a button, in this order; `disputes.STEPS` says when each may be taken.
STEPS = {
    "win": "The bank decides for us",
    "lose": "The bank decides for the buyer",
    "respond": "Send evidence",
    "escalate": "Make it a dispute",
    "close_inquiry": "The bank asks no more",
    "appeal": "Appeal",
}


def home(world: World, *, done: str = "", error: str = "", form: Form | None = None) -> str:
    """Give the page; `form` is what was typed where that led to the error."""
    tried = [intent for intent in world.every("payment_intent") if intent["latest_charge"]]
    under_way = _newest(intent for intent in tried if intent["status"] == "processing")
    charged = _newest(intent for intent in tried if intent["status"] != "processing")
    fields = {
        "clock": _clock(world),
        "sections": " ".join(f'<a href="#{one}">{one.capitalize()}</a>' for one in SECTIONS),
        "said": _said(done, error),
        "payments": _list(charged, lambda one: _payment(world, one, form or {})),
        "disputes": _list(_newest(world.every("dispute")), _dispute),
        "debits": _list(under_way, lambda one: _debit(world, one)),
        "subscriptions": _list(
            _newest(world.every("subscription")), lambda one: _subscription(world, one)
        ),
        "events": _list(_newest(world.every("event")), lambda one: _event(world, one)),
    }
    return filled("Dashboard", "home", fields)


def _payment(world: World, intent: Json, form: Form) -> str:
    charge = world.objects[intent["latest_charge"]]
    currency, left = charge["currency"], refunds.left_minor(world, charge)
    about = [
        *_marks(world, intent),
        _method(world, charge["payment_method"]),
        _at(charge["created"]),
        intent["id"],
    ]
    buttons = ""
    if left and refunds.bank_leaves_it(world, charge):
        name = f"of {money_text(charge['amount'], currency)}, {intent['id']}"
        all_of_it = _button("refund", intent["id"], "Refund all", name)
        buttons = all_of_it + _amount(intent["id"], currency, form)
    return _item(money_text(charge["amount"], currency), [_state(charge)], about, buttons)


def _state(charge: Json) -> str:
    """Say how a charge stands, and why where it was refused."""
    refunded = charge["amount_refunded"]
    if charge["status"] == "failed":
        state = f"failed: {charge['failure_message'].rstrip('.')}"
    elif charge["refunded"]:
        state = "refunded"
    elif refunded:
        state = f"{money_text(refunded, charge['currency'])} refunded"
    else:
        state = "paid"
    return f"{state}, disputed" if charge["disputed"] else state


def _amount(intent_id: str, currency: str, form: Form) -> str:
    """Give the form for a part of a payment, with what was typed into it before."""
    typed = form.get("amount", "") if form.get("thing") == intent_id else ""
    example = "5.00" if exponent(currency) else "500"
    field = f"amount-{intent_id}"
    fields = (
        f'<label for="{field}">Amount in {currency.upper()}</label>'
        f'<input id="{field}" name="amount" inputmode="decimal" value="{escape(typed)}" '
        f'placeholder="{example}" required>'
    )
    return _button("refund", intent_id, "Refund this amount", f"of {intent_id}", fields)


def _dispute(dispute: Json) -> str:
    name = f"in {dispute['id']}"
    status = dispute["status"]
    buttons = [
        _button("dispute", dispute["id"], label, name, _hidden("step", word))
        for word, label in STEPS.items()
        if status in disputes.STEPS[word]
    ]
    if sum(booked["amount"] for booked in dispute["balance_transactions"]) < 0:
        step = _hidden("step", "reinstate")
        label = "The bank returns the money"
        buttons.append(_button("dispute", dispute["id"], label, name, step))
    amount = money_text(dispute["amount"], dispute["currency"])
    facts = [_words(status), f"reason: {_words(dispute['reason'])}"]
    about = [f"of {dispute['payment_intent']}", _at(dispute["created"]), dispute["id"]]
    return _item(amount, facts, about, "".join(buttons))


def _debit(world: World, intent: Json) -> str:
    name = intent["id"]
    buttons = _button("debit", name, "Let it succeed", name, _hidden("outcome", "succeeds"))
    buttons += _button("debit", name, "Let it fail", name, _hidden("outcome", "fails"))
    method = _method(world, intent["payment_method"])
    about = [*_marks(world, intent), method, _at(intent["created"]), name]
    amount = money_text(intent["amount"], intent["currency"])
    return _item(amount, ["under way"], about, buttons)


def _subscription(world: World, subscription: Json) -> str:
    item = subscription["items"]["data"][0]
    product = world.objects.get(item["price"]["product"], {})
    title = f"{item['quantity']} x {product.get('name') or 'Subscription'}"
    facts, buttons = [_words(subscription["status"])], ""
    if subscription["status"] not in ENDED:
        ends = "ends with its period," if subscription["cancel_at_period_end"] else "period ends"
        facts.append(f"{ends} {_at(item['current_period_end'])}")
        if payments_fail(world, subscription):
            facts.append("the next payment fails")
        buttons = _subscription_buttons(world, subscription)
    about = [*_marks(world, subscription), subscription["id"]]
    return _item(title, facts, about, buttons)


def _subscription_buttons(world: World, subscription: Json) -> str:
    name = subscription["id"]
    fails, ending = payments_fail(world, subscription), subscription["cancel_at_period_end"]
    refused = _hidden("refused", "off" if fails else "on")
    label = "Let the next payment succeed" if fails else "Let the next payment fail"
    later = _hidden("when", "never" if ending else "period_end")
    buttons = [
        _button("fail_next", name, label, f"of {name}", refused),
        _button("cancel", name, "Go on" if ending else "Cancel at the period's end", name, later),
        _button("cancel", name, "Cancel now", name, _hidden("when", "now")),
    ]
    # Time brings nothing to a paused one, and takes one that never began away.
    if subscription["status"] not in {"paused", "incomplete"}:
        buttons.insert(0, _button("renew", name, "Renew now", name))
    return "".join(buttons)


def _event(world: World, event: Json) -> str:
    states = world.post.states(event["id"])
    told = ", ".join(states) if states else "no endpoint wants it"
    about = [str(event["data"]["object"].get("id")), _at(event["created"])]
    buttons = _button("resend", event["id"], "Send again", event["type"])
    return _item(event["type"], [told], about, buttons)


def _newest(things: Iterable[Json]) -> list[Json]:
    return list(islice(reversed(list(things)), MOST_SHOWN))


def _list(things: list[Json], item: Callable[[Json], str]) -> str:
    if not things:
        return '<p class="quiet">None yet.</p>'
    return f'<ul class="items">\n{"".join(item(thing) for thing in things)}</ul>'


def _item(title: str, facts: list[str], about: list[str], buttons: str) -> str:
    """Give a line: what it is, how it stands, what else is known of it, what can be done."""
    shown = "; ".join(escape(fact) for fact in facts)
    quiet = " &middot; ".join(escape(one) for one in about)
    can = f'<div class="do">{buttons}</div>' if buttons else ""
    return (
        f"<li><div><strong>{escape(title)}</strong> {shown}<br>"
        f'<span class="quiet">{quiet}</span></div>{can}</li>\n'
    )


def _button(do: str, thing: str, label: str, of: str, fields: str = "") -> str:
    """Give a form with one button, which says aloud what it is about: lists repeat labels."""
    return (
        f'<form method="post" action="/">{_hidden("do", do)}{_hidden("thing", thing)}{fields}'
        f'<button aria-label="{escape(label)} {escape(of)}">{escape(label)}</button></form>'
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def _said(done: str, error: str) -> str:
    if error:
        return f'<p class="error" role="alert">{escape(error)}</p>'
    return f'<p class="said" role="status">{SAID[done]}</p>' if done in SAID else ""


def _clock(world: World) -> str:
    """Say what time it is here, once that is not the machine's time."""
    moved = world.clock.ahead_s >= 1
    return f"The clock was moved on: here it is {_at(world.now_s())}." if moved else ""


def _marks(world: World, thing: Json) -> list[str]:
    """Give an object's metadata, and what a payment without any was made for."""
    invoice = world.objects.get(thing.get("_invoice") or "")
    parent = (invoice or {}).get("parent") or {}
    of = parent.get("subscription_details", {}).get("subscription")
    known = [f"{name} {value}" for name, value in thing["metadata"].items()]
    return [*known, f"for {of}"] if of else known


def _method(world: World, method_id: str | None) -> str:
    method = world.objects.get(method_id or "")
    if method is None:
        return "no card"
    about = method[method["type"]]
    kind = "bank account" if payment_methods.is_slow(method) else about["brand"]
    return f"{kind} ending in {about['last4']}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _at(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
