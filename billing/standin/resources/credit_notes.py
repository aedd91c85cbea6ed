"""Credit notes: an invoice is corrected, by a refund, a credit to the customer, or otherwise."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources import invoice_states, refunds
from billing.standin.resources.selection import matching
from billing.standin.world import World

Note = dict[str, Any]


@endpoint("POST", "/v1/credit_notes", params="CreditNoteCreateParams", answers=stripe.CreditNote)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Note:
    """
    Correct an open or paid invoice by an amount, with tax.

    Of a paid one the amount is given back: as a refund, to the customer's balance, or
    outside. Lines are not played, only `amount`.
    """
    del path
    invoice = world.get("invoice", given["invoice"], "invoice")
    if invoice["status"] not in {"open", "paid"}:
        raise invalid("Credit notes can only be created for open or paid invoices.", "invoice")
    parts = {
        name: given.get(name, 0)
        for name in ("refund_amount", "credit_amount", "out_of_band_amount")
    }
    amount = given.get("amount", sum(parts.values()))
    paid = invoice["status"] == "paid"
    _check(invoice, amount, parts, paid=paid)
    note = world.put(_new(world, given, invoice, amount, parts["out_of_band_amount"], paid=paid))
    if parts["refund_amount"]:
        note["refunds"] = [_refund(world, invoice, parts["refund_amount"])]
    if parts["credit_amount"]:
        customer = world.objects[invoice["customer"]]
        previous = {"balance": customer["balance"]}
        customer["balance"] -= parts["credit_amount"]
        world.emit("customer.updated", customer, previous)
    _count(world, invoice, amount, paid=paid)
    world.emit("credit_note.created", note)
    return note


@endpoint(
    "GET",
    "/v1/credit_notes/{credit_note}",
    params="CreditNoteRetrieveParams",
    answers=stripe.CreditNote,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Note:
    """Give one credit note."""
    del given
    return world.get("credit_note", path["credit_note"])


@endpoint("GET", "/v1/credit_notes", params="CreditNoteListParams", answers=stripe.CreditNote)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List credit notes, by invoice or customer."""
    del path
    found = matching(world.every("credit_note"), given, "customer", "invoice")
    return listed(given, found, "/v1/credit_notes")


@endpoint(
    "POST",
    "/v1/credit_notes/{credit_note}/void",
    params="CreditNoteVoidCreditNoteParams",
    answers=stripe.CreditNote,
)
def void(world: World, given: dict[str, Any], path: dict[str, str]) -> Note:
    """Take back the note of an open invoice; one that gave something back stays."""
    del given
    note = world.get("credit_note", path["credit_note"])
    if note["type"] == "post_payment" or note["status"] == "void":
        raise invalid("You can only void credit notes of open invoices.")
    note |= {"status": "void", "voided_at": world.now_s()}
    invoice = world.objects[note["invoice"]]
    _count(world, invoice, -note["amount"], paid=False)
    world.emit("credit_note.voided", note)
    return note


def _check(invoice: dict[str, Any], amount: int, parts: dict[str, int], *, paid: bool) -> None:
    if amount < 1:
        raise invalid("The credit note needs an amount of at least 1.", "amount")
    if not paid:
        if any(parts.values()):
            raise invalid("Nothing was paid that could be given back.", "refund_amount")
        if amount > invoice["amount_remaining"]:
            raise invalid("The amount is more than remains to be paid.", "amount")
        return
    left = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    if amount > left:
        raise invalid(
            f"The sum of credit amount, refund amount and out of band amount ({amount}) must be "
            f"less than or equal to the amount that is left ({left}).",
            "amount",
        )
    if sum(parts.values()) != amount:
        raise invalid(
            f"The sum of credit amount, refund amount and out of band amount "
            f"({sum(parts.values())}) must equal the credit note amount ({amount}).",
        )


def _refund(world: World, invoice: dict[str, Any], amount: int) -> dict[str, Any]:
    intent = invoice_states.intent_of(world, invoice)
    if intent is None or intent["latest_charge"] is None:
        raise invalid("There is no charge that could be refunded.", "refund_amount")
    refund = refunds.make(world, world.objects[intent["latest_charge"]], amount)
    return {
        "amount_refunded": amount,
        "payment_record_refund": None,
        "refund": refund["id"],
        "type": "refund",
    }


def _count(world: World, invoice: dict[str, Any], amount: int, *, paid: bool) -> None:
    name = f"{'post' if paid else 'pre'}_payment_credit_notes_amount"
    previous = {name: invoice[name]}
    invoice[name] += amount
    if not paid:
        invoice["amount_due"] -= amount
        invoice["amount_remaining"] -= amount
    world.emit("invoice.updated", invoice, previous)


def _new(
    world: World,
    given: dict[str, Any],
    invoice: dict[str, Any],
    amount: int,
    out_of_band: int,
    *,
    paid: bool,
) -> Note:
    note_id = world.new_id("cn")
    count = sum(1 for one in world.every("credit_note") if one["invoice"] == invoice["id"]) + 1
    line = {
        "id": world.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": "Correction",
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": None,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": world.now_s(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": world.now_s(),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": [line],
            "has_more": False,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": False,
        "memo": given.get("memo"),
        "metadata": dict(given.get("metadata") or {}),
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": out_of_band,
        "pdf": f"{world.base_url}/credit_notes/{note_id}/pdf",
        "post_payment_amount": amount if paid else 0,
        "pre_payment_amount": 0 if paid else amount,
        "pretax_credit_amounts": [],
        "reason": given.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment" if paid else "pre_payment",
        "voided_at": None,
    }
