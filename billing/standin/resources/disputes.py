"""
Disputes: the buyer's bank takes a charge back, or asks first.

    needs_response -> under_review -> won | lost
    lost -> appeal_needs_response -> appeal_under_review -> won | lost
    warning_needs_response -> warning_under_review -> warning_closed   (an inquiry, without money)
    warning_needs_response -> needs_response                           (escalated: now it moves)

Money moves by balance transactions: one withdraws, a second gives back.
"""

# ruff: noqa: ARG001 - handlers share one signature

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources import balance_transactions, changes
from billing.standin.resources.selection import matching
from billing.standin.world import World

Dispute = dict[str, Any]

# What Stripe asks for each dispute, in minor units; a won dispute gives it back with the money.
FEE_MINOR = 1500
ANSWER_WITHIN_S = 9 * 24 * 3600
OPEN = (
    *("needs_response", "under_review", "warning_needs_response", "warning_under_review"),
    *("appeal_needs_response", "appeal_under_review"),
)
EVIDENCE = (
    *("access_activity_log", "billing_address", "cancellation_policy"),
    *("cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication"),
    *("customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature"),
    *("duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id"),
    *("product_description", "receipt", "refund_policy", "refund_policy_disclosure"),
    *("refund_refusal_explanation", "service_date", "service_documentation"),
    *("shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation"),
    *("shipping_tracking_number", "uncategorized_file", "uncategorized_text"),
)
# Which step each word of the control API stands for, and from where it may be taken.
STEPS = {
    "respond": ("needs_response", "warning_needs_response", "appeal_needs_response"),
    "escalate": ("warning_needs_response", "warning_under_review"),
    "win": ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review"),
    "lose": ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review"),
    "close_inquiry": ("warning_needs_response", "warning_under_review"),
    "appeal": ("lost",),
    "prevent": ("needs_response", "warning_needs_response"),
}
_RESPONDED = {
    "needs_response": "under_review",
    "warning_needs_response": "warning_under_review",
    "appeal_needs_response": "appeal_under_review",
}


def make(
    world: World,
    charge: dict[str, Any],
    amount_minor: int | None = None,
    *,
    reason: str = "fraudulent",
    inquiry: bool = False,
) -> Dispute:
    """Dispute a charge, all of it if no amount is said; an inquiry leaves the money there."""
    if charge["status"] != "succeeded":
        raise invalid(f"The charge {charge['id']} has no money that could be disputed.")
    amount = amount_minor or charge["amount"]
    dispute = world.put(_new(world, charge, amount, reason, inquiry=inquiry))
    charge["disputed"] = True
    if inquiry:
        world.emit("charge.dispute.created", dispute)
        return dispute
    _withdraw(world, dispute)
    world.emit("charge.dispute.created", dispute)
    world.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def step(world: World, dispute: Dispute, word: str) -> None:
    """
    Move a dispute on, as the bank or the merchant would.

    respond: evidence went in. escalate: an inquiry becomes a dispute. win, lose: the bank has
    decided. close_inquiry: the bank needs no more. appeal: a lost one is taken further.
    prevent: it was resolved before any money moved for good.
    """
    was = dispute["status"]
    if word not in STEPS:
        raise invalid(f"A dispute knows no step {word}: one of {', '.join(STEPS)}.", "step")
    if was not in STEPS[word]:
        raise invalid(f"The dispute {dispute['id']} is {was}: it cannot {word}.", "step")
    if word == "respond":
        _become(world, dispute, _RESPONDED[was])
    elif word == "escalate":
        dispute["payment_method_details"] = _method_details(world, dispute["charge"], "chargeback")
        dispute["is_charge_refundable"] = False
        _withdraw(world, dispute)
        _become(world, dispute, "needs_response")
        world.emit("charge.dispute.funds_withdrawn", dispute)
    elif word == "win":
        _close(world, dispute, "won", gives_back=True)
    elif word == "lose":
        _close(world, dispute, "lost", gives_back=False)
    elif word == "close_inquiry":
        _close(world, dispute, "warning_closed", gives_back=False)
    elif word == "prevent":
        _close(world, dispute, "prevented", gives_back=bool(dispute["balance_transactions"]))
    else:
        _become(world, dispute, "appeal_needs_response")


def reinstate(world: World, dispute: Dispute) -> None:
    """Give the withdrawn money back, whatever the status says. A repeat gives nothing more."""
    if _net_minor(dispute) >= 0:
        return
    taken = dispute["balance_transactions"][-1]
    back = balance_transactions.book(
        world,
        kind="adjustment",
        source=dispute["id"],
        amount_minor=-taken["amount"],
        currency=dispute["currency"],
        fee=-taken["fee"],
        reporting_category="dispute_reversal",
        description=f"Chargeback reversal for {dispute['charge']}",
    )
    dispute["balance_transactions"] = [*dispute["balance_transactions"], dict(back)]
    world.emit("charge.dispute.funds_reinstated", dispute)


def _close(world: World, dispute: Dispute, status: str, *, gives_back: bool) -> None:
    previous = {"status": dispute["status"]}
    dispute["status"] = status
    world.emit("charge.dispute.closed", dispute, previous)
    if gives_back:
        reinstate(world, dispute)


def _become(world: World, dispute: Dispute, status: str) -> None:
    previous = {"status": dispute["status"]}
    dispute["status"] = status
    world.emit("charge.dispute.updated", dispute, previous)


def _withdraw(world: World, dispute: Dispute) -> None:
    taken = balance_transactions.book(
        world,
        kind="adjustment",
        source=dispute["id"],
        amount_minor=-dispute["amount"],
        currency=dispute["currency"],
        fee=FEE_MINOR,
        reporting_category="dispute",
        description=f"Chargeback withdrawal for {dispute['charge']}",
    )
    dispute["balance_transactions"] = [*dispute["balance_transactions"], dict(taken)]


def _net_minor(dispute: Dispute) -> int:
    return sum(booked["amount"] for booked in dispute["balance_transactions"])


def _method_details(world: World, charge_id: str, case_type: str) -> dict[str, Any] | None:
    details = world.objects[charge_id]["payment_method_details"]
    if details["type"] != "card":
        return None
    brand = details["card"]["brand"]
    card = {"brand": brand, "case_type": case_type, "network": brand, "network_reason_code": "10.4"}
    return {"type": "card", "card": card}


def _new(
    world: World, charge: dict[str, Any], amount: int, reason: str, *, inquiry: bool
) -> Dispute:
    return {
        "id": world.new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now_s(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now_s() + ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(
            world, charge["id"], "inquiry" if inquiry else "chargeback"
        ),
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


@endpoint("POST", "/v1/disputes/{dispute}", params="DisputeUpdateParams", answers=stripe.Dispute)
def update(world: World, given: dict[str, Any], path: dict[str, str]) -> Dispute:
    """Answer a dispute; Stripe's words winning_evidence and losing_evidence decide it at once."""
    dispute = world.get("dispute", path["dispute"], "id")
    if dispute["status"] not in OPEN:
        raise invalid("This dispute is already closed")
    evidence = given.get("evidence") or {}
    dispute["metadata"] = changes.metadata(given.get("metadata"), dispute["metadata"])
    dispute["evidence"] |= {name: text for name, text in evidence.items() if name in EVIDENCE}
    dispute["evidence_details"]["has_evidence"] = bool(evidence)
    if given.get("submit", bool(evidence)) and evidence:
        details = dispute["evidence_details"]
        details |= {"submission_count": details["submission_count"] + 1}
        details["submission_method"] = "manual"
        if dispute["status"] in _RESPONDED:
            step(world, dispute, "respond")
        words = {"winning_evidence": "win", "losing_evidence": "lose"}
        decided = words.get(evidence.get("uncategorized_text", ""))
        if decided and dispute["status"] in STEPS[decided]:
            step(world, dispute, decided)
    return dispute


@endpoint(
    "POST", "/v1/disputes/{dispute}/close", params="DisputeCloseParams", answers=stripe.Dispute
)
def close(world: World, given: dict[str, Any], path: dict[str, str]) -> Dispute:
    """Accept a dispute: it is lost."""
    dispute = world.get("dispute", path["dispute"], "id")
    if dispute["status"] not in STEPS["lose"]:
        raise invalid("This dispute is already closed")
    step(world, dispute, "lose")
    return dispute


@endpoint("GET", "/v1/disputes/{dispute}", params="DisputeRetrieveParams", answers=stripe.Dispute)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Dispute:
    """Give one dispute."""
    return world.get("dispute", path["dispute"], "id")


@endpoint("GET", "/v1/disputes", params="DisputeListParams", answers=stripe.Dispute)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List disputes, of a charge or a payment intent."""
    found = matching(world.every("dispute"), given, "charge", "payment_intent")
    return listed(given, found, "/v1/disputes")
