"""
The states of an invoice, and what is said when it moves.

    draft -> open -> paid
                  -> void
                  -> uncollectible -> paid, void

An invoice over nothing is paid the moment it is finalized.
"""

from typing import Any

from billing.standin.failures import StripeFailure, invalid
from billing.standin.resources import payment_intents
from billing.standin.world import World

Invoice = dict[str, Any]


def create(world: World, made: Invoice) -> Invoice:
    """Keep a draft: `invoice.created`."""
    world.put(made)
    world.emit("invoice.created", made)
    return made


def finalize(world: World, invoice: Invoice, intent: dict[str, Any] | None = None) -> None:
    """
    Make a draft due: `invoice.finalized`. The customer's balance is used up first.

    It is paid by `intent`, where that was made before; else one is made if anything is due.
    """
    if invoice["status"] != "draft":
        raise _wrong_state(invoice, "finalized")
    now = world.now_s()
    number = sum(1 for each in world.every("invoice") if each["number"]) + 1
    _use_balance(world, invoice)
    invoice |= {
        "status": "open",
        "number": f"STANDIN-{number:04d}",
        "effective_at": now,
        "hosted_invoice_url": f"{world.base_url}/invoices/{invoice['id']}",
        "invoice_pdf": f"{world.base_url}/invoices/{invoice['id']}/pdf",
    }
    invoice["status_transitions"]["finalized_at"] = now
    world.emit("invoice.finalized", invoice)
    if invoice["amount_due"] > 0 or intent is not None:
        _expect_payment(world, invoice, intent)
    else:
        become_paid(world, invoice)


def become_paid(
    world: World, invoice: Invoice, *, tell: bool = True, out_of_band: bool = False
) -> None:
    """Note that nothing is owed any more; says so in three events, if any money moved."""
    if invoice["status"] not in {"open", "uncollectible"}:
        raise _wrong_state(invoice, "paid")
    now = world.now_s()
    owed = invoice["amount_remaining"]
    payment = payment_of(world, invoice)
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "auto_advance": False,
    }
    if owed and not out_of_band:
        invoice["attempt_count"] = max(1, invoice["attempt_count"])
    if out_of_band:
        invoice |= {"amount_paid_off_stripe": owed}
    invoice["status_transitions"]["paid_at"] = now
    if payment is not None and payment["status"] == "open":
        if out_of_band:
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = now
            intent = world.objects[payment["payment"]["payment_intent"]]
            if intent["status"] in payment_intents.OPEN:
                payment_intents.cancel(world, intent)
        else:
            payment |= {"status": "paid", "amount_paid": owed}
            payment["status_transitions"]["paid_at"] = now
    if not tell:
        return
    world.emit("invoice.updated", invoice, {"status": "open"})
    world.emit("invoice.paid", invoice)
    if not out_of_band:
        world.emit("invoice.payment_succeeded", invoice)
    if payment is not None and payment["status"] == "paid":
        world.emit("invoice_payment.paid", payment)


def become_void(world: World, invoice: Invoice) -> None:
    """Take an invoice back: nobody owes it any more."""
    _give_up(world, invoice, "void", "voided_at", "invoice.voided")


def become_uncollectible(world: World, invoice: Invoice) -> None:
    """Write an invoice off; it can still be paid."""
    _give_up(
        world, invoice, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible"
    )


def payment_of(world: World, invoice: Invoice) -> dict[str, Any] | None:
    """Give the payment that an invoice was, or is to be, paid with."""
    for payment in world.every("invoice_payment"):
        if payment["invoice"] == invoice["id"] and payment["status"] != "canceled":
            return payment
    return None


def intent_of(world: World, invoice: Invoice) -> dict[str, Any] | None:
    """Give the payment intent of an invoice."""
    payment = payment_of(world, invoice)
    return world.objects[payment["payment"]["payment_intent"]] if payment else None


def _expect_payment(world: World, invoice: Invoice, intent: dict[str, Any] | None) -> None:
    if intent is None:
        reason = invoice["billing_reason"]
        intent = payment_intents.make(
            world,
            amount_minor=invoice["amount_due"],
            currency=invoice["currency"],
            customer=invoice["customer"],
            description="Subscription update"
            if reason == "subscription_update"
            else "Subscription creation"
            if reason == "subscription_create"
            else f"Payment for Invoice {invoice['number']}",
            setup_future_usage="off_session" if reason == "subscription_create" else None,
        )
    intent["_invoice"] = invoice["id"]
    world.put(
        {
            "id": world.new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": world.now_s(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _use_balance(world: World, invoice: Invoice) -> None:
    """Pay from what the customer has left with us, or put back what a downgrade leaves."""
    customer = world.objects.get(invoice["customer"] or "")
    balance = (customer or {}).get("balance", 0)  # negative: in the customer's favour
    invoice["starting_balance"] = balance
    ending = min(0, balance + invoice["total"])
    invoice |= {"ending_balance": ending}
    owed = max(0, invoice["total"] + min(0, balance))
    invoice |= {"amount_due": owed, "amount_remaining": owed}
    if customer is not None and ending != balance:
        customer["balance"] = ending
        world.emit("customer.updated", customer, {"balance": balance})


def _give_up(world: World, invoice: Invoice, status: str, transition: str, event_type: str) -> None:
    if invoice["status"] not in {"open", "uncollectible"} or invoice["status"] == status:
        raise _wrong_state(invoice, status)
    previous = {"status": invoice["status"]}
    invoice |= {"status": status, "next_payment_attempt": None, "auto_advance": False}
    invoice["status_transitions"][transition] = world.now_s()
    if status == "void":
        payment = payment_of(world, invoice)
        if payment is not None:
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = world.now_s()
            intent = world.objects[payment["payment"]["payment_intent"]]
            if intent["status"] in payment_intents.OPEN:
                payment_intents.cancel(world, intent, "void_invoice")
    world.emit("invoice.updated", invoice, previous)
    world.emit(event_type, invoice)


def _wrong_state(invoice: Invoice, wanted: str) -> StripeFailure:
    if invoice["status"] == "paid" and wanted == "paid":
        return invalid("Invoice is already paid", code="invoice_not_editable")
    return invalid(
        f"The invoice {invoice['id']} is {invoice['status']} and cannot be {wanted}.",
        code="invoice_not_editable",
    )
