"""What an invoice says of how it was paid."""

from typing import Any

import pytest

from billing.errors import Quarantined
from billing.invoicing import invoices
from billing.invoicing.invoice_reading import from_balance_minor
from billing.shop import Shop
from config import PriceList, load_price_list
from tests.billing.conftest import rows
from tests.billing.subscribing import PRICES, subscribe, upgrade
from tests.standin import RunningStandIn


@pytest.mark.parametrize(
    ("total", "before", "after", "taken"),
    [
        (2000, 0, 0, 0),
        (2000, -500, 0, 500),
        (2000, -5000, -3000, 2000),
        (-700, 0, -700, 0),
        (0, -500, -500, 0),
        (30, 0, 30, 0),  # too little to be charged: it is owed, and comes with the next one
        (2000, 30, 0, 0),
    ],
)
def test_what_the_balance_paid_is_what_it_lost_of_the_customers_own(
    total: int, before: int, after: int, taken: int
) -> None:
    invoice: dict[str, Any] = {
        "total": total,
        "starting_balance": before,
        "ending_balance": after,
    }

    assert from_balance_minor(invoice) == taken


@pytest.fixture
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


@pytest.mark.anyio
async def test_a_price_in_tiers_is_for_a_person(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """It has no amount for each one, so that no share of a period can be told."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await upgrade(shop, subscription)
    price = subscription["items"]["data"][0]["price"]["id"]
    stripe_standin.world.objects[price]["unit_amount"] = None

    with pytest.raises(Quarantined, match="whole minor units for each one"):
        await invoices.settle(shop, subscription["latest_invoice"])

    assert await rows(shop, "SELECT FROM grants") == []
