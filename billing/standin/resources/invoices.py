"""Invoices: what is asked about them, and paying or giving up one by hand."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources import (
    collecting,
    invoice_making,
    invoice_states,
    paying,
    payment_methods,
)
from billing.standin.resources.changes import change
from billing.standin.resources.selection import matching
from billing.standin.world import World

Invoice = dict[str, Any]


def for_session(world: World, session: dict[str, Any]) -> Invoice:
    """Make the invoice of a purchase that Checkout has just been paid for, paid already."""
    data = session["invoice_creation"]["invoice_data"]
    lines = [
        invoice_making.line(world, line["price"], line["quantity"], (world.now_s(), world.now_s()))
        for line in session["_lines"]
    ]
    invoice = invoice_making.draft(
        world,
        customer=session["customer"],
        currency=session["currency"],
        lines=lines,
        billing_reason="manual",
        taxed=session["automatic_tax"]["enabled"],
        discount_minor=session["total_details"]["amount_discount"],
        metadata=data["metadata"],
    )
    invoice_states.create(world, invoice)
    intent = world.objects.get(session["payment_intent"] or "")
    invoice_states.finalize(world, invoice, intent)
    session["invoice"] = invoice["id"]
    collecting.follow(world, invoice["id"])
    return invoice


def pay_by_hand(
    world: World, invoice: Invoice, method: dict[str, Any], *, authenticated: bool = False
) -> None:
    """
    Have the buyer pay an open invoice on its page, or save another card and try again.

    Raises:
        StripeFailure: 402, the card was refused; 400, nothing is owed.

    """
    intent = invoice_states.intent_of(world, invoice)
    if invoice["status"] not in {"open", "uncollectible"} or intent is None:
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if method["customer"] is None and invoice["customer"]:
        payment_methods.attach(world, method, invoice["customer"])
    paying.attempt(world, intent, method, authenticated=authenticated)
    subscription = collecting.subscription_of(world, invoice)
    if subscription is not None:
        subscription["default_payment_method"] = method["id"]
    collecting.follow(world, invoice["id"])


@endpoint("GET", "/v1/invoices/{invoice}", params="InvoiceRetrieveParams", answers=stripe.Invoice)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Give one invoice."""
    del given
    return world.get("invoice", path["invoice"])


@endpoint("GET", "/v1/invoices", params="InvoiceListParams", answers=stripe.Invoice)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List invoices, by customer, subscription, status or time."""
    del path
    found = matching(world.every("invoice"), given, "customer", "status")
    if "subscription" in given:
        wanted = given["subscription"]
        found = iter([one for one in found if _subscription_id(one) == wanted])
    return listed(given, found, "/v1/invoices")


@endpoint(
    "GET",
    "/v1/invoices/{invoice}/lines",
    params="InvoiceListLinesParams",
    answers=stripe.InvoiceLineItem,
)
def lines(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List an invoice's lines, in the order in which it shows them."""
    invoice = world.get("invoice", path["invoice"])
    # `listed` turns things round, and lines have no time they were made at.
    found = [{**line, "created": 0} for line in invoice["_lines"][::-1]]
    page = listed(given, found, f"/v1/invoices/{invoice['id']}/lines")
    page["data"] = [
        {name: value for name, value in line.items() if name != "created"} for line in page["data"]
    ]
    return page


@endpoint("POST", "/v1/invoices/{invoice}", params="InvoiceUpdateParams", answers=stripe.Invoice)
def update(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Change an invoice's metadata or description."""
    invoice = world.get("invoice", path["invoice"])
    fields: dict[str, Any] = {
        name: given[name] for name in ("metadata", "description") if name in given
    }
    previous = change(invoice, fields)
    if previous:
        world.emit("invoice.updated", invoice, previous)
    return invoice


@endpoint(
    "POST",
    "/v1/invoices/{invoice}/finalize",
    params="InvoiceFinalizeInvoiceParams",
    answers=stripe.Invoice,
)
def finalize(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Make a draft due now; what it is over is collected as usual."""
    del given
    invoice = world.get("invoice", path["invoice"])
    invoice_states.finalize(world, invoice)
    if invoice["auto_advance"]:
        collecting.collect(world, invoice)
    return invoice


@endpoint("POST", "/v1/invoices/{invoice}/pay", params="InvoicePayParams", answers=stripe.Invoice)
def pay(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Try to collect an invoice now; 402 if the card is refused."""
    invoice = world.get("invoice", path["invoice"])
    if invoice["status"] == "draft":
        invoice_states.finalize(world, invoice)
    if given.get("paid_out_of_band"):
        invoice_states.become_paid(world, invoice, out_of_band=True)
        collecting.collect(world, invoice)
        return invoice
    if "payment_method" in given:
        method: dict[str, Any] | None = payment_methods.named(world, given["payment_method"])
    else:
        method = collecting.method_for(world, invoice)
    if method is None:
        raise invalid(
            "There is no default_payment_method set on this Customer or Invoice.",
            code="invoice_payment_intent_requires_action",
        )
    pay_by_hand(world, invoice, method)
    return invoice


@endpoint(
    "POST", "/v1/invoices/{invoice}/void", params="InvoiceVoidInvoiceParams", answers=stripe.Invoice
)
def void(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Take an open invoice back."""
    del given
    invoice = world.get("invoice", path["invoice"])
    invoice_states.become_void(world, invoice)
    return invoice


@endpoint(
    "POST",
    "/v1/invoices/{invoice}/mark_uncollectible",
    params="InvoiceMarkUncollectibleParams",
    answers=stripe.Invoice,
)
def mark_uncollectible(world: World, given: dict[str, Any], path: dict[str, str]) -> Invoice:
    """Write an open invoice off."""
    del given
    invoice = world.get("invoice", path["invoice"])
    invoice_states.become_uncollectible(world, invoice)
    return invoice


def _subscription_id(invoice: Invoice) -> str | None:
    parent = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None
