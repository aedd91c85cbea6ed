"""Customers: who pays."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources.changes import change, metadata, remains
from billing.standin.world import World

Json = dict[str, Any]

# Given and kept as they are; the others have an effect of their own.
PLAIN = (
    "address",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)


def make(world: World, **fields: Any) -> Json:
    """Make a customer and tell of it; also for Checkout, which makes them by itself."""
    given = {name: value for name, value in fields.items() if value is not None}
    _check_email(given)
    customer_id = world.new_id("cus", 14)
    customer = world.put(
        {
            "id": customer_id,
            "object": "customer",
            "address": None,
            "balance": given.get("balance", 0),
            "created": world.now_s(),
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "discount": None,
            "email": None,
            "invoice_prefix": given.get("invoice_prefix", customer_id[-8:].upper()),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": metadata(given.get("metadata")),
            "name": None,
            "next_invoice_sequence": 1,
            "phone": None,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    change(customer, {name: given[name] for name in PLAIN if name in given})
    world.emit("customer.created", customer)
    return customer


@endpoint("POST", "/v1/customers", params="CustomerCreateParams", answers=stripe.Customer)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Make a customer."""
    del path
    for name in ("source", "tax_id_data", "test_clock", "cash_balance", "payment_method"):
        if name in given:
            raise invalid(f"The stand-in does not support {name} on customers.", name)
    return make(world, **given)


@endpoint(
    "GET", "/v1/customers/{customer}", params="CustomerRetrieveParams", answers=stripe.Customer
)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer a customer; of a deleted one little is left."""
    del given
    return world.get("customer", path["customer"], deleted=True)


@endpoint(
    "POST", "/v1/customers/{customer}", params="CustomerUpdateParams", answers=stripe.Customer
)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Change what is given."""
    customer = world.get("customer", path["customer"])
    _check_email(given)
    fields = {name: given[name] for name in (*PLAIN, "metadata", "balance") if name in given}
    settings = dict(customer["invoice_settings"])
    for name, value in (given.get("invoice_settings") or {}).items():
        if name == "default_payment_method" and value:
            method = world.get("payment_method", value, "invoice_settings[default_payment_method]")
            if method.get("customer") != customer["id"]:
                raise invalid(
                    "The customer does not have a payment method with the ID "
                    f"{value}. The payment method must be attached to the customer.",
                    "invoice_settings[default_payment_method]",
                )
        settings[name] = value or None
    before = change(customer, {**fields, "invoice_settings": settings})
    if before:
        world.emit("customer.updated", customer, before)
    return customer


@endpoint(
    "DELETE", "/v1/customers/{customer}", params="CustomerDeleteParams", answers=stripe.Customer
)
def delete(world: World, given: Json, path: dict[str, str]) -> Json:
    """Delete a customer; what refers to it keeps its id."""
    del given
    return remove(world, path["customer"])


def remove(world: World, customer_id: str) -> Json:
    """Delete a customer, as the API or the dashboard would; a deleted one is not found again."""
    customer = world.get("customer", customer_id)
    world.emit("customer.deleted", customer)
    return world.put(remains(customer))


@endpoint("GET", "/v1/customers", params="CustomerListParams", answers=stripe.Customer)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List customers, by e-mail address if one is given."""
    del path
    wanted = given.get("email")
    found = [one for one in world.every("customer") if wanted in (None, one["email"])]
    return listed(given, found, "/v1/customers")


def _check_email(given: Json) -> None:
    email = given.get("email")
    if email and "@" not in email:
        raise invalid(f"Invalid email address: {email}", "email", "email_invalid")
