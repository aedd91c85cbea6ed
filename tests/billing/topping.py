"""Accounts with a saved card and automatic top-up, for its tests."""

from collections.abc import Mapping
from typing import Any

from billing.customer import cards, customers
from billing.shop import Shop
from billing.topup import topup_settings
from billing.topup.topup_settings import TopUp, Wanted
from tests.billing.conftest import rows
from tests.standin import RunningStandIn

VISA = "4242424242424242"
ASKS_FOR_3DS = "4000002760003184"
DECLINED_LATER = "4000000000000341"
LOST = "4000000000009987"


async def save_card(shop: Shop, standin: RunningStandIn, account: int, number: str = VISA) -> str:
    """A card kept at Stripe for the account, and mirrored here."""
    customer = await customers.customer_of(shop, account)
    method = standin.save_card(customer, number)
    await cards.settle(shop, method["id"])
    return str(method["id"])


def becomes(standin: RunningStandIn, method: str, number: str, *, set_up: bool = True) -> None:
    """From now on the bank treats a saved card as this test card."""
    standin.world.objects[method] |= {"_number": number, "_set_up": set_up}


async def switch_on(shop: Shop, account: int, **fields: Any) -> TopUp:
    given = {
        "package": "starter",
        "threshold": 20,
        "most_minor_month": 5_000,
        "most_count_day": 3,
        "consent": True,
    } | fields
    return await topup_settings.put(shop, account, Wanted(**given))


async def settings_of(shop: Shop, account: int) -> TopUp:
    async with shop.ledger.database.connection() as connection:
        found = await topup_settings.get(connection, account, shop.livemode)
    assert found is not None
    return found


async def attempts(shop: Shop) -> list[Mapping[str, Any]]:
    return await rows(shop, "SELECT * FROM billing.topup_attempts ORDER BY created_at")


async def told(shop: Shop, kind: str) -> list[Mapping[str, Any]]:
    found = await rows(
        shop, "SELECT payload FROM billing.notices WHERE kind = $1 ORDER BY id", kind
    )
    return [row["payload"] for row in found]


async def execute(shop: Shop, statement: str, *values: Any) -> None:
    async with shop.ledger.database.connection() as connection:
        await connection.execute(statement, *values)


async def let_time_pass(shop: Shop, hours: float) -> None:
    """Make everything that was tried so much older."""
    await execute(
        shop,
        "UPDATE billing.topup_attempts SET created_at = created_at - $1 * interval '1 hour',"
        " asked_at = asked_at - $1 * interval '1 hour',"
        " updated_at = updated_at - $1 * interval '1 hour'",
        hours,
    )
    await execute(
        shop,
        "UPDATE billing.topup_settings SET rest_until = rest_until - $1 * interval '1 hour'",
        hours,
    )


def no_answer(
    standin: RunningStandIn, kind: str, path: str = "/v1/payment_intents", method: str = "POST"
) -> None:
    """Have a call fail in that way, and the SDK's own two repeats of it too."""
    standin.fault(kind=kind, path=path, method=method)
    repeated = "cut_before" if kind == "cut_after" else kind
    standin.fault(kind=repeated, path=path, method=method, count=2)


def charged(standin: RunningStandIn) -> list[int]:
    """What was really taken at Stripe, in minor units."""
    return [
        intent["amount_received"]
        for intent in standin.world.every("payment_intent")
        if intent["status"] == "succeeded"
    ]
