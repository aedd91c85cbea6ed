"""Controls for what time, buyers and the merchant do with subscriptions and invoices."""

from typing import Any, Literal

from billing.standin.control import control
from billing.standin.failures import StripeFailure
from billing.standin.rendering import public
from billing.standin.resources import invoices, payment_methods, subscriptions
from billing.standin.world import World

Json = dict[str, Any]


@control("renew")
def renew(world: World, subscription: str) -> Json:
    """Let time pass until the next period's invoice has been collected. Answers that invoice."""
    found = world.get("subscription", subscription)
    subscriptions.renew(world, found)
    return dict(public(world.objects[found["latest_invoice"]]))


@control("change_card")
def change_card(world: World, subscription: str, card: str) -> Json:
    """
    Have the buyer save another card for a subscription, as the portal does.

    `4000000000000341` can be saved and is refused whenever it is charged.
    """
    found = world.get("subscription", subscription)
    method = payment_methods.from_card(world, card)
    payment_methods.attach(world, method, found["customer"])
    previous = {"default_payment_method": found["default_payment_method"]}
    found["default_payment_method"] = method["id"]
    world.emit("customer.subscription.updated", found, previous)
    return dict(public(found))


@control("pay_invoice")
def pay_invoice(world: World, invoice: str, card: str = "4242424242424242") -> Json:
    """Have the buyer pay an open invoice on its page, completing 3-D Secure if it comes."""
    found = world.get("invoice", invoice)
    method = payment_methods.from_card(world, card)
    try:
        invoices.pay_by_hand(world, found, method, authenticated=True)
    except StripeFailure:
        world.changes += 1
        raise
    return dict(public(found))


@control("overdue")
def overdue(world: World, invoice: str) -> Json:
    """Say that an open invoice is overdue."""
    found = world.get("invoice", invoice)
    world.emit("invoice.overdue", found)
    return dict(public(found))


@control("when_unpaid")
def when_unpaid(world: World, subscription: str, then: Literal["cancel", "unpaid"]) -> Json:
    """Choose what happens after the last failed try; at Stripe a setting of the merchant."""
    found = world.get("subscription", subscription)
    found["_when_unpaid"] = then
    return dict(public(found))
