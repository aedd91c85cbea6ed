"""Refunds: money of a charge given back, at once, later, or not after all."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import expands, listed
from billing.standin.resources import balance_transactions, changes, charges
from billing.standin.resources.selection import matching, referred_to
from billing.standin.test_cards import TestCard
from billing.standin.world import World, scheduled

Refund = dict[str, Any]

# In these the money counts as given back.
COUNTED = ("pending", "requires_action", "succeeded")
# How long a refund of the test cards for later results takes, on the world's clock.
LATER_S = 60
FINAL = {
    "pending": ("requires_action", "succeeded", "failed", "canceled"),
    "requires_action": ("pending", "succeeded", "failed", "canceled"),
    # A bank may send money back days after the refund had succeeded.
    "succeeded": ("failed",),
}


def left_minor(world: World, charge: dict[str, Any]) -> int:
    """Give how much of a charge was not given back yet, in minor units."""
    return int(charge["amount_captured"] - _refunded_minor(world, charge["id"]))


def bank_leaves_it(world: World, charge: dict[str, Any]) -> bool:
    """Say whether no dispute has taken a charge out of our hands; an inquiry has not."""
    return all(
        dispute["is_charge_refundable"]
        for dispute in world.every("dispute")
        if dispute["charge"] == charge["id"]
    )


def make(
    world: World,
    charge: dict[str, Any],
    amount_minor: int | None = None,
    *,
    status: str | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
    pending_reason: str | None = None,
) -> Refund:
    """
    Give money of a charge back; everything that is left if no amount is said.

    `status` is what the refund begins with; None lets the card decide. `pending_reason` says
    why it is pending, like `insufficient_funds` on our balance.

    Raises:
        StripeFailure: 400; there is not so much left, or the bank has taken it already.

    """
    amount = _checked_amount(world, charge, amount_minor)
    card = charges.tricks(world, charge)
    refunds_by = card.refunds if isinstance(card, TestCard) else "at_once"
    began = status or ("pending" if refunds_by == "pending" else "succeeded")
    refund = world.put(_new(world, charge, amount, began))
    refund |= {"reason": reason, "metadata": changes.metadata(metadata)}
    if began == "pending":
        refund["pending_reason"] = pending_reason or "processing"
    if began in COUNTED:
        booked = balance_transactions.book(
            world,
            kind="refund",
            source=refund["id"],
            amount_minor=-amount,
            currency=refund["currency"],
        )
        refund["balance_transaction"] = booked["id"]
    previous = _recount(world, charge)
    world.emit("refund.created", refund)
    if previous:
        world.emit("charge.refunded", charge, previous)
    if status is None and refunds_by != "at_once":
        later = "succeeded" if refunds_by == "pending" else "failed"
        world.later(LATER_S, "refund", refund["id"], later)
    return refund


def become(world: World, refund: Refund, status: str) -> None:
    """
    Move a refund on: it succeeds, fails, is canceled or needs the buyer.

    A repeat changes nothing. Failed and canceled give the money back to our balance.
    """
    was = refund["status"]
    if status == was:
        return
    if status not in FINAL.get(was, ()):
        raise invalid(f"The refund {refund['id']} is {was} and cannot become {status}.")
    charge = world.objects[refund["charge"]]
    refund["status"] = status
    refund.pop("pending_reason", None)
    if status == "failed":
        refund["failure_reason"] = "lost_or_stolen_card"
    if status in {"failed", "canceled"}:
        booked = balance_transactions.book(
            world,
            kind="refund_failure",
            source=refund["id"],
            amount_minor=refund["amount"],
            currency=refund["currency"],
        )
        refund["failure_balance_transaction"] = booked["id"]
    _recount(world, charge)
    previous = {"status": was}
    world.emit("refund.updated", refund, previous)
    world.emit("charge.refund.updated", refund, previous)
    if status == "failed":
        world.emit("refund.failed", refund, previous)


@scheduled("refund")
def _moved_on(world: World, refund_id: str, status: str) -> None:
    refund = world.objects[refund_id]
    # Somebody may have moved it on meanwhile.
    if status in FINAL.get(refund["status"], ()):
        become(world, refund, status)


def _recount(world: World, charge: dict[str, Any]) -> dict[str, Any]:
    """Note on the charge what was given back; answers what changed, as it was before."""
    refunded = _refunded_minor(world, charge["id"])
    now = {"amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}
    previous = {name: charge[name] for name in now if charge[name] != now[name]}
    charge |= now
    return previous


def _refunded_minor(world: World, charge_id: str) -> int:
    return sum(
        refund["amount"]
        for refund in world.every("refund")
        if refund["charge"] == charge_id and refund["status"] in COUNTED
    )


def _checked_amount(world: World, charge: dict[str, Any], asked_minor: int | None) -> int:
    if not bank_leaves_it(world, charge):
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    left = left_minor(world, charge)
    if left == 0:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.",
            code="charge_already_refunded",
        )
    amount = left if asked_minor is None else asked_minor
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    if amount > left:
        raise invalid(
            f"Refund amount ({_money(amount, charge['currency'])}) is greater than unrefunded "
            f"amount on charge ({_money(left, charge['currency'])})",
            param="amount",
        )
    return amount


def _new(world: World, charge: dict[str, Any], amount: int, status: str) -> Refund:
    kind = charge["payment_method_details"]["type"]
    details: dict[str, Any] = {"type": kind}
    if kind == "card":
        details[kind] = {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
    return {
        "id": world.new_id("pyr" if charge["id"].startswith("py_") else "re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": world.now_s(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": details,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def _money(amount_minor: int, currency: str) -> str:
    if currency == "usd":
        return f"${amount_minor / 100:,.2f}"
    return f"{amount_minor} {currency.upper()} in minor units"


def _charge_of(world: World, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("charge"):
        return referred_to(world, "charge", given["charge"], "charge")
    if not given.get("payment_intent"):
        raise invalid(
            "One of the following params should be provided for this request: payment_intent "
            "or charge.",
        )
    intent = referred_to(world, "payment_intent", given["payment_intent"], "payment_intent")
    charge = world.objects.get(intent["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        raise invalid(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return charge


@endpoint("POST", "/v1/refunds", params="RefundCreateParams", answers=stripe.Refund)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Refund:
    """Give money back, by payment intent or by charge."""
    charge = _charge_of(world, given)
    return make(
        world,
        charge,
        given.get("amount"),
        reason=given.get("reason"),
        metadata=given.get("metadata"),
    )


@endpoint("POST", "/v1/refunds/{refund}/cancel", params="RefundCancelParams", answers=stripe.Refund)
def cancel(world: World, given: dict[str, Any], path: dict[str, str]) -> Refund:
    """Take a refund back that still waits for the buyer."""
    refund = world.get("refund", path["refund"], "id")
    if refund["status"] != "requires_action":
        raise invalid(
            f"Refund {refund['id']} cannot be canceled because its status is "
            f"{refund['status']}, not requires_action.",
        )
    become(world, refund, "canceled")
    return refund


@endpoint("GET", "/v1/refunds/{refund}", params="RefundRetrieveParams", answers=stripe.Refund)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Refund:
    """Give one refund."""
    return world.get("refund", path["refund"], "id")


@endpoint("GET", "/v1/refunds", params="RefundListParams", answers=stripe.Refund)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List refunds, of a charge or a payment intent."""
    found = matching(world.every("refund"), given, "charge", "payment_intent")
    return listed(given, found, "/v1/refunds")


@expands("charge", "refunds")
def _of_charge(world: World, charge: dict[str, Any]) -> dict[str, Any]:
    found = [one for one in world.every("refund") if one["charge"] == charge["id"]]
    return listed({}, found, f"/v1/charges/{charge['id']}/refunds")
