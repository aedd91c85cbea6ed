"""What invoices are paid with: each names an invoice and a payment intent."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.rendering import expands, listed
from billing.standin.resources.selection import matching
from billing.standin.world import World


@endpoint(
    "GET",
    "/v1/invoice_payments/{invoice_payment}",
    params="InvoicePaymentRetrieveParams",
    answers=stripe.InvoicePayment,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Give one payment of an invoice."""
    del given
    return world.get("invoice_payment", path["invoice_payment"])


@endpoint(
    "GET",
    "/v1/invoice_payments",
    params="InvoicePaymentListParams",
    answers=stripe.InvoicePayment,
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List payments of invoices, by invoice, status or payment intent."""
    del path
    found = list(matching(world.every("invoice_payment"), given, "invoice", "status"))
    wanted = (given.get("payment") or {}).get("payment_intent")
    if wanted is not None:
        found = [one for one in found if one["payment"]["payment_intent"] == wanted]
    return listed(given, found, "/v1/invoice_payments")


@expands("invoice", "payments")
def _of_invoice(world: World, invoice: dict[str, Any]) -> dict[str, Any]:
    found = matching(world.every("invoice_payment"), {"invoice": invoice["id"]}, "invoice")
    return listed({}, found, f"/v1/invoice_payments?invoice={invoice['id']}")
