"""Subscriptions: how they begin, renew and end."""

from typing import Any, Literal

from billing.standin.failures import invalid
from billing.standin.resources import (
    collecting,
    invoice_making,
    invoice_states,
    paying,
    payment_intents,
    subscription_making,
)
from billing.standin.resources.periods import DAY_S, end_after
from billing.standin.resources.subscription_states import ENDED, changed, end
from billing.standin.world import World, scheduled

Subscription = dict[str, Any]

TRIAL_WARNING_S = 3 * DAY_S
"""So long before a trial ends, `trial_will_end` is said."""


def begin(world: World, session: dict[str, Any], method: dict[str, Any] | None) -> Subscription:
    """
    Begin what a Checkout session sells; the buyer is there and has completed 3-D Secure.

    The session then names the subscription and its first invoice. A bank debit leaves the
    invoice open and the subscription incomplete until the bank has answered.

    Raises:
        StripeFailure: 402; the card was refused, and nothing began.

    """
    data = session["_subscription_data"]
    discounts = session["discounts"] or [{}]
    subscription = subscription_making.make(
        world,
        customer=session["customer"],
        items=[(line["price"], line["quantity"]) for line in session["_lines"]],
        metadata=data.get("metadata") or {},
        method_id=method["id"] if method else None,
        trial_days=data.get("trial_period_days") or 0,
        taxed=session["automatic_tax"]["enabled"],
        coupon_id=discounts[0].get("coupon"),
    )
    invoice = start(world, subscription, method, off_session=False)
    session |= {"subscription": subscription["id"], "invoice": invoice["id"]}
    return subscription


def renew(world: World, subscription: Subscription) -> None:
    """Let time pass until its period has ended and the invoice for the next one is collected."""
    left = _period_end(subscription) - world.clock.now()
    world.advance(max(0.0, left) + collecting.DRAFT_FOR_S + 1)


@scheduled("subscription_period_ends")
def period_ends(world: World, subscription_id: str, period_end_s: int) -> None:
    """Begin the next period, or end the subscription; ignored if its periods have moved since."""
    subscription = world.objects[subscription_id]
    if subscription["status"] in {*ENDED, "paused"} or _period_end(subscription) != period_end_s:
        return
    if subscription["cancel_at_period_end"]:
        end(world, subscription, "cancellation_requested")
        return
    begin_period(world, subscription, period_end_s, "subscription_cycle")


@scheduled("subscription_cancels")
def cancels(world: World, subscription_id: str, cancel_at_s: int) -> None:
    """End a subscription at the moment that was chosen, if it still is."""
    subscription = world.objects[subscription_id]
    if subscription["status"] not in ENDED and subscription["cancel_at"] == cancel_at_s:
        end(world, subscription, "cancellation_requested")


@scheduled("subscription_trial_warns")
def trial_warns(world: World, subscription_id: str) -> None:
    """Say that a trial ends soon."""
    subscription = world.objects[subscription_id]
    if subscription["status"] == "trialing":
        world.emit("customer.subscription.trial_will_end", subscription)


@scheduled("subscription_expires")
def expires(world: World, subscription_id: str) -> None:
    """Give a subscription up whose first invoice was not paid within 23 hours."""
    subscription = world.objects[subscription_id]
    if subscription["status"] == "incomplete":
        invoice = world.objects[subscription["latest_invoice"]]
        intent = invoice_states.intent_of(world, invoice)
        if intent is not None and intent["status"] == "processing":
            return  # a bank takes longer than that
        if invoice["status"] == "open":
            invoice_states.become_void(world, invoice)
        changed(world, subscription, status="incomplete_expired", ended_at=world.now_s())


@scheduled("resumption_voids")
def resumption_voids(world: World, invoice_id: str) -> None:
    """Take a resumption's invoice back that nobody tried to pay; it stays paused."""
    invoice = world.objects[invoice_id]
    if invoice["status"] == "open" and not invoice["attempted"]:
        invoice_states.become_void(world, invoice)
        subscription = world.objects[invoice["parent"]["subscription_details"]["subscription"]]
        subscription["_resuming"] = None


def begin_period(
    world: World,
    subscription: Subscription,
    start_s: int,
    reason: str,
    *,
    then: Literal["wait", "collect", "finalize"] = "wait",
) -> dict[str, Any]:
    """
    Move every item into the period that begins, and make its invoice with what has waited.

    The invoice waits as a draft for an hour, or is collected or only finalized at once.
    """
    before = {name: subscription[name] for name in ("status", "latest_invoice")}
    anchor = subscription["billing_cycle_anchor"]
    for item in subscription["items"]["data"]:
        every = item["price"]["recurring"]
        item["current_period_start"] = start_s
        item["current_period_end"] = end_after(
            anchor, every["interval"], every["interval_count"], start_s
        )
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    lines = [*subscription["_pending"], *subscription_making.period_lines(world, subscription)]
    subscription["_pending"] = []
    invoice = make_invoice(world, subscription, lines, reason)
    world.emit("customer.subscription.updated", subscription, before)
    schedule(world, subscription)
    if subscription["status"] == "unpaid":
        # Invoices go on being made, and nobody tries to collect them.
        invoice["auto_advance"] = False
    elif then == "collect":
        collecting.finalize(world, invoice["id"])
    elif then == "finalize":
        collecting.finalize_only(world, invoice)
    else:
        invoice["automatically_finalizes_at"] = world.now_s() + collecting.DRAFT_FOR_S
        world.later(collecting.DRAFT_FOR_S, "invoice_finalizes", invoice["id"])
    return invoice


def make_invoice(
    world: World, subscription: Subscription, lines: list[dict[str, Any]], reason: str
) -> dict[str, Any]:
    """Keep the draft of an invoice, and name it on the subscription."""
    invoice = invoice_making.draft(
        world,
        customer=subscription["customer"],
        currency=subscription["currency"],
        lines=lines,
        billing_reason=reason,
        subscription=subscription,
        taxed=subscription["automatic_tax"]["enabled"],
        coupon=subscription_making.coupon_of(world, subscription),
    )
    subscription["latest_invoice"] = invoice["id"]
    return invoice_states.create(world, invoice)


def schedule(world: World, subscription: Subscription) -> None:
    """See to it that something happens when its period ends."""
    at_s = _period_end(subscription)
    after = at_s - world.clock.now()
    world.later(max(0.0, after), "subscription_period_ends", subscription["id"], at_s)


def start(
    world: World, subscription: Subscription, method: dict[str, Any] | None, *, off_session: bool
) -> dict[str, Any]:
    """Take the first period's money, and only then keep the subscription and its invoice."""
    trial = subscription["trial_end"] is not None
    lines = subscription_making.period_lines(world, subscription, trial=trial)
    invoice = invoice_making.draft(
        world,
        customer=subscription["customer"],
        currency=subscription["currency"],
        lines=lines,
        billing_reason="subscription_create",
        subscription=subscription,
        taxed=subscription["automatic_tax"]["enabled"],
        coupon=subscription_making.coupon_of(world, subscription),
    )
    customer = world.objects[subscription["customer"]]
    owed = max(0, invoice["total"] + min(0, customer.get("balance") or 0))
    intent = None
    if owed:
        intent = payment_intents.make(
            world,
            amount_minor=owed,
            currency=subscription["currency"],
            customer=subscription["customer"],
            description="Subscription creation",
            setup_future_usage="off_session",
        )
        if method is None:
            raise invalid(
                "This customer has no attached payment source or default payment method.",
                code="resource_missing",
            )
        paying.attempt(
            world, intent, method, off_session=off_session, authenticated=not off_session
        )
    subscription["latest_invoice"] = invoice["id"]
    if not trial and (intent is None or intent["status"] == "succeeded"):
        subscription["status"] = "active"
    world.put(subscription)
    world.emit("customer.subscription.created", subscription)
    invoice_states.create(world, invoice)
    invoice_states.finalize(world, invoice, intent)
    if intent is not None:
        collecting.follow(world, invoice["id"])
    _look_ahead(world, subscription)
    return invoice


def _look_ahead(world: World, subscription: Subscription) -> None:
    schedule(world, subscription)
    if subscription["trial_end"] is not None:
        after = subscription["trial_end"] - world.now_s() - TRIAL_WARNING_S
        world.later(max(0, after), "subscription_trial_warns", subscription["id"])
    if subscription["status"] == "incomplete":
        world.later(23 * 3600, "subscription_expires", subscription["id"])


def _period_end(subscription: Subscription) -> int:
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])
