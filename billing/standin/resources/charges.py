"""Charges: one attempt each to take money for a payment intent."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.rendering import listed
from billing.standin.resources import balance_transactions, payment_methods
from billing.standin.resources.selection import matching
from billing.standin.test_cards import AUTHENTICATION_REQUIRED, Decline, TestAccount, TestCard
from billing.standin.world import World

Charge = dict[str, Any]

# What a charge repeats of its payment method.
OF_ACCOUNT = ("bank_code", "branch_code", "country", "fingerprint", "last4")
OF_CARD = (
    *("brand", "checks", "country", "exp_month", "exp_year"),
    *("fingerprint", "funding", "last4", "regulated_status"),
)
ISSUER_SAID_NO = "The bank did not return any further details with this decline."


def begin(world: World, intent: dict[str, Any], method: dict[str, Any], status: str) -> Charge:
    """Make the charge of an attempt and name it on the intent: succeeded, pending or failed."""
    charge = world.put(_new(world, intent, method, status))
    intent["latest_charge"] = charge["id"]
    return charge


def receive(world: World, charge: Charge) -> None:
    """Put a charge's money on the balance, a moment after it succeeded: `charge.updated`."""
    amount = charge["amount"]
    booked = balance_transactions.book(
        world,
        kind="charge",
        source=charge["id"],
        amount_minor=amount,
        currency=charge["currency"],
        fee=balance_transactions.fee_minor(amount),
        description=charge["description"],
    )
    previous = {"balance_transaction": charge["balance_transaction"]}
    charge["balance_transaction"] = booked["id"]
    world.emit("charge.updated", charge, previous)


def succeed_later(world: World, charge: Charge) -> None:
    """Let a pending charge come through."""
    charge |= {"status": "succeeded", "paid": True, "captured": True}
    charge["amount_captured"] = charge["amount"]
    charge["receipt_url"] = receipt_url(world, charge["id"])


def refuse(charge: Charge, decline: Decline) -> None:
    """Note on a charge why it failed."""
    blocked = decline.decline_code == "fraudulent"
    charge |= {
        "status": "failed",
        "paid": False,
        "captured": False,
        "amount_captured": 0,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "receipt_url": None,
    }
    charge["outcome"] |= {
        "advice_code": advice(decline),
        "network_decline_code": "05",
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": decline.decline_code or decline.code,
        "seller_message": ISSUER_SAID_NO,
        "type": "blocked" if blocked else "issuer_declined",
    }


def advice(decline: Decline) -> str | None:
    """Say what Stripe recommends after a decline."""
    if decline.decline_code in {"lost_card", "stolen_card", "fraudulent"}:
        return "do_not_try_again"
    if decline is AUTHENTICATION_REQUIRED or decline.code in {"expired_card", "incorrect_cvc"}:
        return "confirm_card_data"
    return "try_again_later"


def receipt_url(world: World, charge_id: str) -> str:
    """Give the address of a charge's receipt page."""
    return f"{world.base_url}/receipts/{charge_id}"


def tricks(world: World, charge: Charge) -> TestCard | TestAccount | None:
    """Say what the payment method behind a charge does."""
    return payment_methods.behaviour(world.objects[charge["payment_method"]])


def _new(
    world: World, intent: dict[str, Any], method: dict[str, Any], status: str
) -> dict[str, Any]:
    charge_id = world.new_id("py" if payment_methods.is_slow(method) else "ch")
    paid = status == "succeeded"
    card = payment_methods.behaviour(method)
    elevated = isinstance(card, TestCard) and card.reviewed
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "STAND-IN",
        "captured": paid,
        "created": world.now_s(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "elevated" if elevated else "normal",
            "risk_score": 65 if elevated else 12,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(method),
        "presentment_details": intent.get("presentment_details"),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": receipt_url(world, charge_id) if paid else None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def _details(method: dict[str, Any]) -> dict[str, Any]:
    kind = method["type"]
    about = method[kind]
    if kind == "sepa_debit":
        return {"type": kind, kind: {name: about[name] for name in OF_ACCOUNT} | {"mandate": None}}
    card = {name: about[name] for name in OF_CARD}
    card |= {
        "authorization_code": "123456",
        "installments": None,
        "mandate": None,
        "network": about["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "three_d_secure": None,
        "wallet": None,
    }
    return {"type": kind, kind: card}


@endpoint("GET", "/v1/charges/{charge}", params="ChargeRetrieveParams", answers=stripe.Charge)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Charge:
    """Give one charge."""
    return world.get("charge", path["charge"], "id")


@endpoint("GET", "/v1/charges", params="ChargeListParams", answers=stripe.Charge)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List charges, of a customer or a payment intent."""
    found = matching(world.every("charge"), given, "customer", "payment_intent")
    return listed(given, found, "/v1/charges")
