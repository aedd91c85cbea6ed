"""Controls for what time, buyers and the merchant do with subscriptions and invoices."""

from typing import Any, Literal

from billing.standin.control import control
from billing.standin.failures import StripeFailure
from billing.standin.rendering import public
from billing.standin.resources import (
    collecting,
    invoices,
    payment_methods,
    subscription_states,
    subscriptions,
)
from billing.standin.test_cards import TestCard
from billing.standin.world import World

Json = dict[str, Any]

GOOD_CARD = "4242424242424242"
REFUSED_CARD = "4000000000000341"
"""Can be saved, and is refused whenever it is charged."""


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

    `4000000000000341` (`REFUSED_CARD`) can be saved and is refused whenever it is charged.
    """
    found = world.get("subscription", subscription)
    method = payment_methods.from_card(world, card)
    payment_methods.attach(world, method, found["customer"])
    previous = {"default_payment_method": found["default_payment_method"]}
    found["default_payment_method"] = method["id"]
    world.emit("customer.subscription.updated", found, previous)
    return dict(public(found))


@control("refuse_payments")
def refuse_payments(world: World, subscription: str, *, refused: bool = True) -> Json:
    """
    Have the next payments of a subscription fail, by another card; or go back to the card before.

    A repeat changes nothing. Answers the subscription.
    """
    found = world.get("subscription", subscription)
    if refused and not payments_fail(world, found):
        found["_card_before"] = found["default_payment_method"]
        change_card(world, subscription, REFUSED_CARD)
    elif not refused and payments_fail(world, found):
        if "_card_before" in found:
            _card_before(world, found)
        # There may have been none, or it is gone by now.
        if payments_fail(world, found):
            change_card(world, subscription, GOOD_CARD)
    return dict(public(found))


def _card_before(world: World, subscription: Json) -> None:
    """Go back to the card before the refused one, which is then the customer's no more."""
    refused = world.objects[subscription["default_payment_method"]]
    before = subscription.pop("_card_before")
    subscription_states.changed(world, subscription, default_payment_method=before)
    if refused["customer"] is not None:
        payment_methods.detach(world, refused)


def payments_fail(world: World, subscription: Json) -> bool:
    """Say whether the next payment would be refused, or there is nothing to take it from."""
    invoice = world.objects[subscription["latest_invoice"]]
    method = collecting.method_for(world, invoice)
    card = payment_methods.behaviour(method) if method else None
    return method is None or (isinstance(card, TestCard) and card.decline is not None)


@control("pay_invoice")
def pay_invoice(world: World, invoice: str, card: str = GOOD_CARD) -> Json:
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
