"""Changing a subscription: another price or quantity in mid-period, pausing, ending it later."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import StripeFailure, invalid
from billing.standin.resources import (
    collecting,
    invoice_making,
    payment_methods,
    subscription_making,
    subscriptions,
)
from billing.standin.resources.subscription_states import ENDED, changed
from billing.standin.world import World

Subscription = dict[str, Any]
Item = dict[str, Any]

RESUMES_WITHIN_S = 23 * 3600
"""So long somebody may try to pay the invoice of a resumption."""


@endpoint(
    "POST",
    "/v1/subscriptions/{subscription}",
    params="SubscriptionUpdateParams",
    answers=stripe.Subscription,
)
def update(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:
    """Change a subscription; what an item costs for the rest of its period is prorated."""
    subscription = world.get("subscription", path["subscription"])
    if subscription["status"] in ENDED and set(given) - {"metadata"}:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    fields: dict[str, Any] = {}
    if "metadata" in given:
        fields["metadata"] = _merged(subscription["metadata"], given["metadata"] or {})
    if "default_payment_method" in given:
        method = payment_methods.named(
            world, given["default_payment_method"], "default_payment_method"
        )
        if method["customer"] is None:
            payment_methods.attach(world, method, subscription["customer"])
        fields["default_payment_method"] = method["id"]
    if "cancel_at_period_end" in given:
        fields |= _ending(world, subscription, at_period_end=given["cancel_at_period_end"])
    if given.get("cancel_at"):
        at_s = int(given["cancel_at"])
        fields |= {"cancel_at": at_s, "canceled_at": world.now_s()}
        world.later(max(0, at_s - world.now_s()), "subscription_cancels", subscription["id"], at_s)
    if "pause_collection" in given:
        fields["pause_collection"] = _pause(given["pause_collection"])
    if given.get("items"):
        _change_items(world, subscription, given)
    if given.get("trial_end") == "now" and subscription["status"] == "trialing":
        subscription |= {"trial_end": world.now_s(), "billing_cycle_anchor": world.now_s()}
        subscriptions.begin_period(
            world, subscription, world.now_s(), "subscription_cycle", then="collect"
        )
    changed(world, subscription, **fields)
    return subscription


@endpoint(
    "POST",
    "/v1/subscriptions/{subscription}/pause",
    params="SubscriptionPauseParams",
    answers=stripe.Subscription,
)
def pause(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:
    """Stop periods and invoices; what is left of this period is credited on the next invoice."""
    subscription = world.get("subscription", path["subscription"])
    if subscription["status"] not in {"active", "trialing", "past_due"}:
        raise invalid(f"You cannot pause a subscription that is {subscription['status']}.")
    unused = ((given.get("bill_for") or {}).get("unused_time_from") or {}).get("type", "now")
    if unused != "none" and subscription["status"] != "trialing":
        for item in subscription["items"]["data"]:
            subscription["_pending"].append(
                _part(world, subscription, item, given_back=True, whole=unused != "now")
            )
    changed(
        world,
        subscription,
        status="paused",
        status_details={
            "paused": {
                "subscription": {"type": "pause_requested"},
                "transitioned_at": world.now_s(),
                "type": "subscription",
            }
        },
    )
    world.emit("customer.subscription.paused", subscription)
    return subscription


@endpoint(
    "POST",
    "/v1/subscriptions/{subscription}/resume",
    params="SubscriptionResumeParams",
    answers=stripe.Subscription,
)
def resume(world: World, given: dict[str, Any], path: dict[str, str]) -> Subscription:
    """
    Begin a new period now, once its invoice is paid.

    With `resume_on_payment_success` that is tried at once; else somebody has to try within 23
    hours, and the subscription stays paused until then.
    """
    subscription = world.get("subscription", path["subscription"])
    if subscription["status"] != "paused":
        raise invalid(
            f"You cannot resume subscription {subscription['id']} because it is not paused."
        )
    if (given.get("billing_cycle_anchor") or {}).get("type") == "unchanged":
        raise StripeFailure(
            "The stand-in resumes with a new cycle only: billing_cycle_anchor unchanged is not "
            "supported.",
            status=501,
            type="api_error",
        )
    behavior = given.get("payment_behavior", "resume_on_payment_attempt")
    now = world.now_s()
    subscription |= {"billing_cycle_anchor": now, "_resuming": behavior}
    invoice = subscriptions.begin_period(
        world,
        subscription,
        now,
        "subscription_update",
        then="collect" if behavior == "resume_on_payment_success" else "finalize",
    )
    world.later(RESUMES_WITHIN_S, "resumption_voids", invoice["id"])
    return subscription


def _change_items(world: World, subscription: Subscription, given: dict[str, Any]) -> None:
    """Give items other prices and quantities, and bill or credit the rest of the period."""
    before = {"items": _copied(subscription["items"])}
    lines: list[invoice_making.Line] = []
    new_cycle = False
    for number, wanted in enumerate(given["items"]):
        item = _named(subscription, wanted, number)
        prorated = subscription["status"] != "trialing"
        if item is not None and prorated:
            lines.append(_part(world, subscription, item, given_back=True))
        if wanted.get("deleted"):
            subscription["items"]["data"].remove(item)
            continue
        price = _price(world, wanted, number)
        if item is None:
            item = subscription_making.item_of(world, subscription, price or {}, 1)
            subscription["items"]["data"].append(item)
        elif price is not None:
            new_cycle = new_cycle or _cycle(price) != _cycle(item["price"])
            subscription_making.set_price(item, price)
            item["quantity"] = 1
        item["quantity"] = wanted.get("quantity", item["quantity"])
        if prorated and not new_cycle:
            lines.append(_part(world, subscription, item, given_back=False))
    behavior = given.get("proration_behavior", "create_prorations")
    if behavior != "none":
        subscription["_pending"] += lines
    if new_cycle:
        subscription["billing_cycle_anchor"] = world.now_s()
        subscriptions.begin_period(
            world, subscription, world.now_s(), "subscription_update", then="collect"
        )
        return
    world.emit("customer.subscription.updated", subscription, before)
    if behavior == "always_invoice" and subscription["_pending"]:
        waiting, subscription["_pending"] = subscription["_pending"], []
        invoice = subscriptions.make_invoice(world, subscription, waiting, "subscription_update")
        collecting.finalize(world, invoice["id"])


def _copied(items: dict[str, Any]) -> dict[str, Any]:
    """Copy items, so that an event can say what they were."""
    return items | {"data": [dict(item) for item in items["data"]]}


def _part(
    world: World,
    subscription: Subscription,
    item: Item,
    *,
    given_back: bool,
    whole: bool = False,
) -> invoice_making.Line:
    """Make the line for the rest of an item's period, to the second; rounded half up."""
    start, finish = item["current_period_start"], item["current_period_end"]
    now = start if whole else min(world.now_s(), finish)
    full = int(item["price"]["unit_amount"]) * item["quantity"]
    amount = (2 * full * (finish - now) + (finish - start)) // (2 * (finish - start))
    word = "Unused time on" if given_back else "Remaining time on"
    return invoice_making.line(
        world,
        item["price"],
        item["quantity"],
        (now, finish),
        amount_minor=-amount if given_back else amount,
        subscription=subscription,
        item=item,
        proration=True,
        description=f"{word} {item['quantity']} x {item['price']['id']}",
    )


def _named(subscription: Subscription, wanted: dict[str, Any], number: int) -> Item | None:
    if "id" not in wanted:
        return None
    for item in subscription["items"]["data"]:
        if item["id"] == wanted["id"]:
            found: Item = item
            return found
    raise invalid(
        f"No such subscription item: '{wanted['id']}'", f"items[{number}][id]", "resource_missing"
    )


def _price(world: World, wanted: dict[str, Any], number: int) -> dict[str, Any] | None:
    if "price" in wanted:
        return world.get("price", wanted["price"], f"items[{number}][price]")
    if "id" not in wanted:
        raise invalid("A new item needs a price.", f"items[{number}][price]", "parameter_missing")
    return None


def _cycle(price: dict[str, Any]) -> tuple[str, int]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _ending(world: World, subscription: Subscription, *, at_period_end: bool) -> dict[str, Any]:
    if not at_period_end:
        return {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    details = subscription["cancellation_details"] | {"reason": "cancellation_requested"}
    return {
        "cancel_at_period_end": True,
        "cancel_at": ends,
        "canceled_at": subscription["canceled_at"] or world.now_s(),
        "cancellation_details": details,
    }


def _pause(given: Any) -> dict[str, Any] | None:
    if not given:
        return None
    return {"behavior": given["behavior"], "resumes_at": given.get("resumes_at")}


def _merged(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in (old | new).items() if text != ""}
