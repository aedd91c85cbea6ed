"""Cards and bank accounts of buyers, and which customer they are kept for."""

# ruff: noqa: ARG001 - handlers share one signature

import hashlib
from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import StripeFailure, invalid
from billing.standin.rendering import listed
from billing.standin.resources.selection import asked_for, matching, referred_to
from billing.standin.test_cards import (
    INCORRECT_NUMBER,
    Decline,
    TestAccount,
    TestCard,
    account_of_iban,
    card_of_name,
    card_of_number,
)
from billing.standin.world import World

Method = dict[str, Any]

EXPIRES_MONTH, EXPIRES_YEAR = 12, 2034


def fingerprint(number: str) -> str:
    """Name a number without saying it; the same number always has the same name, as at Stripe."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def behaviour(method: Method) -> TestCard | TestAccount | None:
    """Say which test card or account a payment method is."""
    number = method["_number"]
    return account_of_iban(number) if is_slow(method) else card_of_number(number)


def is_slow(method: Method) -> bool:
    """Whether a payment with it is known only days later."""
    return bool(method["type"] == "sepa_debit")


def card_failure(decline: Decline, **more: Any) -> StripeFailure:
    """Give Stripe's answer 402 to a refused card."""
    return StripeFailure(
        decline.message,
        status=402,
        type="card_error",
        code=decline.code,
        decline_code=decline.decline_code,
        param="number" if decline is INCORRECT_NUMBER else None,
        **more,
    )


def from_card(
    world: World,
    number: str,
    *,
    exp_month: int = EXPIRES_MONTH,
    exp_year: int = EXPIRES_YEAR,
    email: str | None = None,
    name: str | None = None,
) -> Method:
    """Make a payment method of a card number; raises 402 for one that no card can have."""
    card = card_of_number(number)
    if card is None:
        raise card_failure(INCORRECT_NUMBER)
    return _made(world, card.number, _card_details(card, exp_month, exp_year), email, name)


def from_iban(
    world: World, iban: str, *, email: str | None = None, name: str | None = None
) -> Method:
    """Make a payment method of a test bank account."""
    account = account_of_iban(iban)
    if account is None:
        raise invalid("The IBAN you entered is invalid.", code="invalid_iban")
    details = {
        "bank_code": account.iban[4:9],
        "branch_code": None,
        "country": account.iban[:2],
        "fingerprint": fingerprint(account.iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": account.iban[-4:],
    }
    return _made(world, account.iban, details, email, name)


def named(world: World, given: str, param: str = "payment_method") -> Method:
    """Give the payment method with an id; one of Stripe's ready names makes a new one."""
    card = card_of_name(given)
    if card is not None:
        return from_card(world, card.number)
    return referred_to(world, "payment_method", given, param)


def in_path(world: World, path: dict[str, str]) -> Method:
    """Give the payment method that a request's path names, as `named` does."""
    given = path["payment_method"]
    if card_of_name(given) is not None:
        return named(world, given)
    return asked_for(world, "payment_method", given, "payment_method")


def check_usable(method: Method) -> None:
    """Refuse a method that was detached, or used once without being kept for a customer."""
    if method.get("_spent"):
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
            "times, you must attach it to a Customer first.",
            "payment_method",
        )


def attach(world: World, method: Method, customer_id: str) -> None:
    """Keep a method for a customer. A card that is refused when added raises 402."""
    if method["customer"] == customer_id:
        return
    check_usable(method)
    refuse_to_add(method)
    method["customer"] = customer_id
    world.emit("payment_method.attached", method)


def refuse_to_add(method: Method, **more: Any) -> None:
    """Raise 402 if already adding this card is refused."""
    card = behaviour(method)
    if isinstance(card, TestCard) and card.decline and card.declines_on == "adding":
        raise card_failure(card.decline, **more)


def detach(world: World, method: Method) -> None:
    """Let a customer's method go; it can never be used again."""
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            param="payment_method",
        )
    previous = {"customer": method["customer"]}
    method |= {"customer": None, "_spent": True}
    world.emit("payment_method.detached", method, previous)


def _card_details(card: TestCard, exp_month: int, exp_year: int) -> dict[str, Any]:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": fingerprint(card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _made(
    world: World, number: str, details: dict[str, Any], email: str | None, name: str | None
) -> Method:
    kind = "card" if "brand" in details else "sepa_debit"
    return world.put(
        {
            "id": world.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": billing_details(email, name),
            "created": world.now_s(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "type": kind,
            kind: details,
            "_number": number,
        }
    )


def billing_details(email: str | None, name: str | None) -> dict[str, Any]:
    """Give who pays, in Stripe's shape."""
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    return {
        "address": dict.fromkeys(parts),
        "email": email,
        "name": name,
        "phone": None,
        "tax_id": None,
    }


@endpoint(
    "POST", "/v1/payment_methods", params="PaymentMethodCreateParams", answers=stripe.PaymentMethod
)
def create(world: World, given: dict[str, Any], path: dict[str, str]) -> Method:
    """Make a payment method of a test card or a test bank account."""
    details = given.get("billing_details") or {}
    who = {"email": details.get("email"), "name": details.get("name")}
    if given.get("type") == "sepa_debit":
        return from_iban(world, given["sepa_debit"]["iban"], **who)
    card = given.get("card") or {}
    if given.get("type") != "card" or "number" not in card:
        raise invalid("Only cards by number and sepa_debit are played here.", "type")
    return from_card(
        world, card["number"], exp_month=card["exp_month"], exp_year=card["exp_year"], **who
    )


@endpoint(
    "GET",
    "/v1/payment_methods/{payment_method}",
    params="PaymentMethodRetrieveParams",
    answers=stripe.PaymentMethod,
)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> Method:
    """Give one payment method; one of Stripe's ready names makes a new one."""
    return in_path(world, path)


@endpoint(
    "POST",
    "/v1/payment_methods/{payment_method}/attach",
    params="PaymentMethodAttachParams",
    answers=stripe.PaymentMethod,
)
def attach_asked(world: World, given: dict[str, Any], path: dict[str, str]) -> Method:
    """Keep a method for a customer."""
    method = in_path(world, path)
    customer = referred_to(world, "customer", given["customer"], "customer")
    attach(world, method, customer["id"])
    return method


@endpoint(
    "POST",
    "/v1/payment_methods/{payment_method}/detach",
    params="PaymentMethodDetachParams",
    answers=stripe.PaymentMethod,
)
def detach_asked(world: World, given: dict[str, Any], path: dict[str, str]) -> Method:
    """Let a customer's method go."""
    method = asked_for(world, "payment_method", path["payment_method"], "payment_method")
    detach(world, method)
    return method


@endpoint(
    "GET", "/v1/payment_methods", params="PaymentMethodListParams", answers=stripe.PaymentMethod
)
def listing(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List a customer's methods."""
    if given.get("customer"):
        referred_to(world, "customer", given["customer"], "customer")
    found = matching(world.every("payment_method"), given, "customer", "type")
    return listed(given, found, "/v1/payment_methods")


@endpoint(
    "GET",
    "/v1/customers/{customer}/payment_methods",
    params="CustomerPaymentMethodListParams",
    answers=stripe.PaymentMethod,
)
def of_customer(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """List a customer's methods."""
    customer = asked_for(world, "customer", path["customer"], "customer")
    wanted = given | {"customer": customer["id"]}
    found = matching(world.every("payment_method"), wanted, "customer", "type", "allow_redisplay")
    return listed(given, found, f"/v1/customers/{customer['id']}/payment_methods")
