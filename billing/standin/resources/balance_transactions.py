"""Movements on the merchant's balance: what a charge brought, and what was taken again."""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.rendering import listed
from billing.standin.resources.selection import matching
from billing.standin.world import World

# The stand-in's fee: 2.9 % of the amount, rounded half up, and 30 minor units.
FEE_PER_MILLE = 29
FEE_FIXED_MINOR = 30
AVAILABLE_AFTER_S = 2 * 24 * 3600


def fee_minor(amount_minor: int) -> int:
    """Give the fee of a charge, in minor units."""
    return (amount_minor * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED_MINOR


def book(
    world: World,
    *,
    kind: str,
    source: str,
    amount_minor: int,
    currency: str,
    fee: int = 0,
    reporting_category: str | None = None,
    description: str | None = None,
) -> dict[str, Any]:
    """Put a movement on the balance. The amount is negative when money leaves."""
    now = world.now_s()
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees" if kind == "charge" else "Dispute fee",
            "type": "stripe_fee",
        }
    ]
    return world.put(
        {
            "id": world.new_id("txn"),
            "object": "balance_transaction",
            "amount": amount_minor,
            "available_on": now + AVAILABLE_AFTER_S,
            "balance_type": "payments",
            "created": now,
            "currency": currency,
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details if fee else [],
            "net": amount_minor - fee,
            "reporting_category": reporting_category or kind,
            "source": source,
            "status": "pending",
            "type": kind,
        }
    )


@endpoint(
    "GET",
    "/v1/balance_transactions/{transaction}",
    params="BalanceTransactionRetrieveParams",
    answers=stripe.BalanceTransaction,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Give one movement."""
    return world.get("balance_transaction", path["transaction"])


@endpoint(
    "GET",
    "/v1/balance_transactions",
    params="BalanceTransactionListParams",
    answers=stripe.BalanceTransaction,
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List movements, of a source or a type."""
    found = matching(world.every("balance_transaction"), given, "currency", "source", "type")
    return listed(given, found, "/v1/balance_transactions")
