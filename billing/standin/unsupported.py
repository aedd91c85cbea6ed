"""What Stripe has and the stand-in has not, in one place."""

from billing.standin.failures import StripeFailure

# First parts of paths below /v1 of which nothing is played.
ONLY_AT_STRIPE = frozenset(
    {
        "account_links",
        "account_sessions",
        "accounts",
        "apple_pay",
        "application_fees",
        "apps",
        "balance",
        "balance_settings",
        "billing",
        "climate",
        "confirmation_tokens",
        "country_specs",
        "customer_sessions",
        "entitlements",
        "ephemeral_keys",
        "exchange_rates",
        "file_links",
        "files",
        "financial_connections",
        "forwarding",
        "identity",
        "invoice_rendering_templates",
        "invoiceitems",
        "issuing",
        "mandates",
        "payment_attempt_records",
        "payment_links",
        "payment_method_configurations",
        "payment_method_domains",
        "payment_records",
        "payouts",
        "plans",
        "product_catalog",
        "quotes",
        "reporting",
        "setup_attempts",
        "shipping_rates",
        "sigma",
        "sources",
        "subscription_items",
        "subscription_schedules",
        "tax",
        "tax_codes",
        "tax_ids",
        "tax_rates",
        "terminal",
        "test_helpers",
        "three_d_secure",
        "tokens",
        "topups",
        "transfers",
        "treasury",
    }
)
# Of these some endpoints have handlers and others not.
PARTLY = frozenset(
    {
        "account",
        "balance_transactions",
        "billing_portal",
        "charges",
        "checkout",
        "coupons",
        "credit_notes",
        "customers",
        "disputes",
        "events",
        "invoice_payments",
        "invoices",
        "payment_intents",
        "payment_methods",
        "prices",
        "products",
        "promotion_codes",
        "radar",
        "refunds",
        "reviews",
        "setup_intents",
        "subscriptions",
        "webhook_endpoints",
    }
)


def refuse_unknown(method: str, path: str) -> StripeFailure:
    """Make the answer to a path nobody handles: 501 if Stripe has something there, else its 404."""
    parts = path.strip("/").split("/")
    if parts[0] == "v2" or (len(parts) > 1 and parts[1] in ONLY_AT_STRIPE | PARTLY):
        return StripeFailure(
            f"The stand-in does not support {method} {path}. Stripe itself may.",
            status=501,
            type="api_error",
        )
    return StripeFailure(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
        status=404,
    )
