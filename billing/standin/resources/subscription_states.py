"""
The states of a subscription, and what is said when it moves.

    incomplete -> active, incomplete_expired
    trialing   -> active, past_due, canceled
    active     -> past_due -> active, unpaid, canceled
    active     -> paused -> active
"""

from typing import Any

from billing.standin.world import World

Subscription = dict[str, Any]

ENDED = frozenset({"canceled", "incomplete_expired"})


def changed(world: World, subscription: Subscription, **fields: Any) -> None:
    """Set fields and say `customer.subscription.updated`, if anything is new."""
    previous = {name: subscription[name] for name in fields if subscription[name] != fields[name]}
    if previous:
        subscription |= fields
        world.emit("customer.subscription.updated", subscription, previous)


def end(world: World, subscription: Subscription, reason: str | None) -> None:
    """End it for good, now: `customer.subscription.deleted`."""
    now = world.now_s()
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
    }
    subscription["cancellation_details"] |= {"reason": reason}
    world.emit("customer.subscription.deleted", subscription)


def paid(world: World, subscription: Subscription) -> None:
    """Let it run again once its latest invoice is paid."""
    if subscription["status"] in {"incomplete", "past_due", "unpaid"}:
        changed(world, subscription, status="active")
    elif subscription["status"] == "paused" and subscription["_resuming"]:
        subscription["_resuming"] = None
        changed(world, subscription, status="active", status_details=None)
        world.emit("customer.subscription.resumed", subscription)


def paying_failed(world: World, subscription: Subscription) -> None:
    """Note that money is owed; a subscription that never began stays incomplete."""
    if subscription["status"] in {"active", "trialing"}:
        changed(world, subscription, status="past_due")
    elif subscription["_resuming"] == "resume_on_payment_attempt":
        subscription["_resuming"] = None
        changed(world, subscription, status="past_due", status_details=None)


def paying_given_up(world: World, subscription: Subscription) -> None:
    """Do what the merchant wants done after the last try: cancel, or leave it unpaid."""
    if subscription["status"] != "past_due":
        return
    if subscription["_when_unpaid"] == "cancel":
        end(world, subscription, "payment_failed")
    else:
        changed(world, subscription, status="unpaid")
