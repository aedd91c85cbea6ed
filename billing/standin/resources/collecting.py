"""Collecting what invoices are over: finalize, take the money, try again, give up."""

import contextlib
from typing import Any

from billing.standin.failures import StripeFailure
from billing.standin.resources import invoice_states, paying, subscription_states
from billing.standin.resources.periods import DAY_S
from billing.standin.world import World, scheduled

Invoice = dict[str, Any]

DRAFT_FOR_S = 3600
"""A renewal's invoice stays a draft for an hour."""

RETRIES_AFTER_S = (3 * DAY_S, 5 * DAY_S, 7 * DAY_S)
"""After each failed try but the last."""


@scheduled("invoice_finalizes")
def finalize(world: World, invoice_id: str) -> None:
    """Finalize a draft and collect it, unless collection is paused."""
    invoice = world.objects[invoice_id]
    if invoice["status"] != "draft":
        return
    subscription = subscription_of(world, invoice)
    pause = subscription and subscription["pause_collection"]
    if pause and pause["behavior"] == "keep_as_draft":
        return
    invoice_states.finalize(world, invoice)
    if pause and invoice["status"] == "open":
        if pause["behavior"] == "void":
            invoice_states.become_void(world, invoice)
        else:
            invoice_states.become_uncollectible(world, invoice)
        return
    collect(world, invoice)


def finalize_only(world: World, invoice: Invoice) -> None:
    """Make a draft due and leave paying it to somebody; one over nothing is paid by that."""
    invoice_states.finalize(world, invoice)
    if invoice["status"] == "paid":
        _settled(world, invoice)


def collect(world: World, invoice: Invoice, method: dict[str, Any] | None = None) -> bool:
    """Try once to take an open invoice's money without the buyer; whether it is paid."""
    if invoice["status"] == "open":
        method = method or method_for(world, invoice)
        intent = invoice_states.intent_of(world, invoice)
        if intent is not None and method is not None and intent["status"] != "processing":
            # If it is refused, the intent says why, and `follow` does what comes of it.
            with contextlib.suppress(StripeFailure):
                paying.attempt(world, intent, method, off_session=True)
        if method is None:
            _failed(world, invoice)
        else:
            follow(world, invoice["id"])
    elif invoice["status"] == "paid":
        _settled(world, invoice)
    return bool(invoice["status"] == "paid")


@scheduled("invoice_follows")
def follow(world: World, invoice_id: str) -> None:
    """Bring an invoice to where the intent that pays it is. A repeat changes nothing."""
    invoice = world.objects[invoice_id]
    if invoice["status"] not in {"open", "uncollectible"}:
        return
    intent = invoice_states.intent_of(world, invoice)
    status = intent["status"] if intent else None
    if status == "succeeded":
        invoice_states.become_paid(world, invoice)
        _settled(world, invoice)
    elif status == "processing":
        invoice |= {"attempted": True, "attempt_count": max(1, invoice["attempt_count"])}
    elif status in {"requires_payment_method", "requires_action"}:
        _failed(world, invoice, needs_buyer=status == "requires_action")


@scheduled("invoice_retries")
def retry(world: World, invoice_id: str) -> None:
    """Try again to collect an invoice, if it is still owed."""
    invoice = world.objects[invoice_id]
    if invoice["status"] == "open" and invoice["next_payment_attempt"] is not None:
        collect(world, invoice)


def method_for(world: World, invoice: Invoice) -> dict[str, Any] | None:
    """Give the payment method an invoice is collected from: the subscription's or customer's."""
    subscription = subscription_of(world, invoice) or {}
    customer = world.objects.get(invoice["customer"] or "", {})
    settings = customer.get("invoice_settings") or {}
    for method_id in (
        subscription.get("default_payment_method"),
        settings.get("default_payment_method"),
    ):
        method = world.objects.get(method_id or "")
        if method is not None and method["customer"] == invoice["customer"]:
            return method
    return None


def subscription_of(world: World, invoice: Invoice) -> dict[str, Any] | None:
    """Give the subscription an invoice is for."""
    if invoice["parent"] is None:
        return None
    return world.objects[invoice["parent"]["subscription_details"]["subscription"]]


def _settled(world: World, invoice: Invoice) -> None:
    subscription = subscription_of(world, invoice)
    if subscription is not None and subscription["latest_invoice"] == invoice["id"]:
        subscription_states.paid(world, subscription)


def _failed(world: World, invoice: Invoice, *, needs_buyer: bool = False) -> None:
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    tries = invoice["attempt_count"]
    retries = invoice["billing_reason"] == "subscription_cycle"
    if retries and tries <= len(RETRIES_AFTER_S):
        after = RETRIES_AFTER_S[tries - 1]
        invoice["next_payment_attempt"] = world.now_s() + after
        world.later(after, "invoice_retries", invoice["id"])
    else:
        invoice["next_payment_attempt"] = None
    world.emit("invoice.updated", invoice, {"attempt_count": tries - 1})
    world.emit("invoice.payment_failed", invoice)
    intent = invoice_states.intent_of(world, invoice)
    error = (intent or {}).get("last_payment_error") or {}
    if needs_buyer or error.get("decline_code") == "authentication_required":
        world.emit("invoice.payment_action_required", invoice)
    subscription = subscription_of(world, invoice)
    if subscription is None:
        return
    subscription_states.paying_failed(world, subscription)
    if retries and tries > len(RETRIES_AFTER_S):
        subscription_states.paying_given_up(world, subscription)
