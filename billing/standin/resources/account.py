"""The account the key belongs to: the one merchant of this world."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.world import World

ACCOUNT_ID = "acct_1StandIn00000000"


@endpoint("GET", "/v1/account", params="AccountRetrieveCurrentParams", answers=stripe.Account)
def retrieve(world: World, given: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """Answer the merchant, who has been there from the beginning."""
    del given, path
    return world.find("account", ACCOUNT_ID) or world.put(
        {
            "id": ACCOUNT_ID,
            "object": "account",
            "business_profile": {"name": "Stand-in", "support_email": None, "url": None},
            "business_type": "company",
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "charges_enabled": True,
            "country": "US",
            "created": world.now_s(),
            "default_currency": "usd",
            "details_submitted": True,
            "email": "merchant@example.com",
            "metadata": {},
            "payouts_enabled": True,
            "type": "standard",
        }
    )
