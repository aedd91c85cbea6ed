"""Opening a Checkout session: what may stand together in the request, and what comes of it."""

from typing import Any

from billing.money import money_text
from billing.standin.failures import invalid
from billing.standin.resources import coupons, payment_intents, promotion_codes
from billing.standin.resources.changes import metadata
from billing.standin.resources.selection import referred_to, refuse_unplayed
from billing.standin.world import World

Session = dict[str, Any]

# Parameters that would change what is sold or how it is paid.
UNPLAYED = (
    *("custom_fields", "customer_account", "managed_payments", "optional_items"),
    *("payment_method_data", "shipping_address_collection", "shipping_options"),
)
LEAST_OPEN_S = 30 * 60
MOST_OPEN_S = 24 * 3600


def check(world: World, given: dict[str, Any], mode: str) -> None:
    """Refuse what Stripe refuses across several parameters, and what is not played here."""
    refuse_unplayed(given, UNPLAYED, "sessions")
    if given.get("customer") and given.get("customer_email"):
        raise invalid(
            "You may only specify one of these parameters: customer, customer_email.", "customer"
        )
    if given.get("customer"):
        referred_to(world, "customer", given["customer"], "customer")
    if given.get("customer") and given.get("customer_creation"):
        raise invalid("You may not set `customer_creation` with `customer`.", "customer_creation")
    if mode != "payment":
        for field in ("payment_intent_data", "invoice_creation", "customer_creation"):
            if field in given:
                raise invalid(f"You can not pass `{field}` in `{mode}` mode.", field)
    if mode != "subscription" and "subscription_data" in given:
        raise invalid(
            f"You can not pass `subscription_data` in `{mode}` mode.", "subscription_data"
        )
    if mode == "setup" and given.get("line_items"):
        raise invalid("You can not pass `line_items` in `setup` mode.", "line_items")
    if mode == "setup" and not given.get("currency"):
        raise invalid("Missing required param: currency.", "currency", "parameter_missing")
    if mode != "setup" and not given.get("line_items"):
        raise invalid("Missing required param: line_items.", "line_items", "parameter_missing")
    if given.get("ui_mode", "hosted_page") != "hosted_page":
        raise invalid("Only the hosted page is played here.", "ui_mode")
    if not given.get("success_url"):
        raise invalid("Missing required param: success_url.", "success_url", "parameter_missing")
    for field in ("success_url", "cancel_url"):
        if not given.get(field, "https://").startswith(("http://", "https://")):
            raise invalid("Not a valid URL", field, "url_invalid")
    if given.get("allow_promotion_codes") and given.get("discounts"):
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            "allow_promotion_codes",
        )
    _check_expiry(world, given)


def _check_expiry(world: World, given: dict[str, Any]) -> None:
    if "expires_at" not in given:
        return
    lasts = given["expires_at"] - world.now_s()
    # A second's grace for the way here; Stripe is not stricter than that either.
    if not LEAST_OPEN_S - 1 <= lasts <= MOST_OPEN_S + 1:
        raise invalid(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            "expires_at",
        )


def check_total(session: Session) -> None:
    """Refuse a payment that is too small to be made; one of nothing is fine."""
    total, currency = session["amount_total"], session["currency"]
    least = payment_intents.LEAST_MINOR
    if session["mode"] == "payment" and 0 < total < least and payment_intents.has_least(currency):
        raise invalid(
            "The Checkout Session's total amount due must add up to at least "
            f"{money_text(least, currency)}.",
            code="amount_too_small",
        )


def discounts(world: World, given: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Give the discount that a session begins with; None if it can have none."""
    wanted = given.get("discounts") or []
    if len(wanted) > 1:
        raise invalid("You may only specify one discount.", "discounts")
    for discount in wanted:
        if "promotion_code" in discount:
            where = "discounts[0][promotion_code]"
            promotion = world.get("promotion_code", discount["promotion_code"], where)
            if promotion_codes.usable(world, promotion["code"]) is None:
                raise invalid("This promotion code cannot be redeemed.", where)
            coupon_id = promotion["promotion"]["coupon"]
            return [{"coupon": coupon_id, "promotion_code": promotion["id"]}]
        coupon = world.get("coupon", discount.get("coupon"), "discounts[0][coupon]")
        if not coupons.is_valid(world, coupon):
            raise invalid(f"Coupon {coupon['id']} is used up or expired.", "discounts[0][coupon]")
        return [{"coupon": coupon["id"], "promotion_code": None}]
    return None if given.get("allow_promotion_codes") is None else []


def opened(world: World, given: dict[str, Any], mode: str, lines: list[dict[str, Any]]) -> Session:
    """Give the session that parameters describe, open and not yet kept."""
    session_id = world.new_id("cs_test", 58)
    tax = given.get("automatic_tax") or {"enabled": False}
    tax_ids = given.get("tax_id_collection")
    customer = world.objects.get(given.get("customer", ""), {})
    creation = "if_required" if mode == "payment" else "always"
    collects = "always" if mode == "subscription" else "if_required"
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {
            "enabled": bool((given.get("adaptive_pricing") or {}).get("enabled", True))
        },
        "after_expiration": _after_expiration(given.get("after_expiration")),
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {
            "enabled": tax["enabled"],
            "liability": {"type": "self"} if tax["enabled"] else None,
            "provider": "stripe" if tax["enabled"] else None,
            "status": "requires_location_inputs" if tax["enabled"] else None,
        },
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": given.get("consent_collection"),
        "created": world.now_s(),
        "currency": lines[0]["currency"] if lines else given["currency"].lower(),
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": (given.get("custom_text") or {}).get("submit"),
            "terms_of_service_acceptance": None,
        },
        "customer": given.get("customer"),
        "customer_account": None,
        "customer_creation": None if customer else given.get("customer_creation", creation),
        "customer_details": details(customer.get("email"), customer.get("name"))
        if customer
        else None,
        "customer_email": given.get("customer_email"),
        "expires_at": given.get("expires_at", world.now_s() + MOST_OPEN_S),
        "invoice": None,
        "invoice_creation": _invoice_creation(given) if mode == "payment" else None,
        "livemode": False,
        "locale": given.get("locale"),
        "metadata": metadata(given.get("metadata")),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": given.get("payment_method_collection", collects),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"] if mode == "setup" else ["card", "sepa_debit"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "presentment_details": None,
        "recovered_from": None,
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"],
            "payment_method_remove": "disabled",
            "payment_method_save": None,
        }
        | (given.get("saved_payment_method_options") or {}),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "tax_id_collection": tax_ids and {"required": "never"} | tax_ids,
        "total_details": None,
        "ui_mode": "hosted_page",
        "url": f"{world.base_url}/pay/{session_id}",
        "wallet_options": None,
        "_lines": lines,
        "_payment_intent_data": given.get("payment_intent_data") or {},
        "_subscription_data": given.get("subscription_data") or {},
        "_taxed": tax["enabled"],
    }


def details(email: str | None, name: str | None) -> dict[str, Any]:
    """Give what is known about the buyer, in the shape of `customer_details`."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _after_expiration(given: dict[str, Any] | None) -> dict[str, Any] | None:
    recovery = (given or {}).get("recovery")
    if recovery is None:
        return None
    return {
        "recovery": {
            "allow_promotion_codes": bool(recovery.get("allow_promotion_codes")),
            "enabled": recovery["enabled"],
            "expires_at": None,
            "url": None,
        }
    }


def _invoice_creation(given: dict[str, Any]) -> dict[str, Any]:
    wanted = given.get("invoice_creation") or {"enabled": False}
    data = wanted.get("invoice_data") or {}
    return {
        "enabled": wanted["enabled"],
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": data.get("description"),
            "footer": data.get("footer"),
            "issuer": None,
            "metadata": metadata(data.get("metadata")),
            "rendering_options": None,
        },
    }
