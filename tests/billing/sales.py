"""Paid purchases for tests about what comes after: refunds, disputes, money back."""

from typing import Any

from billing.invoicing import invoices
from billing.purchases import payments, sessions
from billing.purchases.checkout import Purchase, start
from billing.purchases.payments import Payment
from billing.shop import Shop
from ledger import accounts, controls
from tests.standin import RunningStandIn


async def paid(
    shop: Shop, standin: RunningStandIn, account: int, package: str = "starter", quantity: int = 1
) -> str:
    """A session that was paid at Stripe, of which we have heard nothing yet."""
    started = await start(shop, account, Purchase(package=package, quantity=quantity))
    standin.pay(started.session_id)
    return started.session_id


async def sold(
    shop: Shop, standin: RunningStandIn, account: int, package: str = "starter", quantity: int = 1
) -> Payment:
    """A payment that was booked, and its credits granted."""
    session = await paid(shop, standin, account, package, quantity)
    await sessions.settle(shop, session)
    found = await payment(shop, session)
    assert found is not None
    return found


async def subscribed(shop: Shop, standin: RunningStandIn, account: int) -> Payment:
    """The payment of a subscription's first invoice, booked."""
    session = await paid(shop, standin, account, "monthly")
    await sessions.settle(shop, session)
    [invoice] = standin.world.every("invoice")
    await invoices.settle(shop, invoice["id"])
    found = await payment(shop, invoice["id"])
    assert found is not None
    return found


async def payment(shop: Shop, object_id: str) -> Payment | None:
    async with shop.ledger.database.connection() as connection:
        return await payments.of_object(connection, shop.livemode, object_id)


def intent_of(standin: RunningStandIn, session: str) -> str:
    return str(standin.world.objects[session]["payment_intent"])


async def ordered(shop: Shop, account: int) -> int:
    """What all controls of an account come to: credits granted less those taken back."""
    return await value(
        shop,
        "SELECT coalesce(sum(CASE kind WHEN 'g' THEN amount ELSE -amount END), 0)::bigint"
        " FROM controls WHERE account_id = $1 AND kind IN ('g', 'w')",
        account,
    )


async def frozen(shop: Shop, account: int) -> bool:
    async with shop.ledger.database.transaction() as connection:
        last = await controls.last_freeze(connection, account)
    return last is not None and last.frozen


async def freeze(shop: Shop, account: int, *, is_frozen: bool) -> None:
    """An admin's own doing."""
    async with shop.ledger.database.connection() as connection:
        await accounts.freeze(
            connection, account, frozen=is_frozen, actor="admin", reason="a person's decision"
        )


async def value(shop: Shop, statement: str, *given: Any) -> Any:
    async with shop.ledger.database.connection() as connection:
        return await connection.fetchval(statement, *given)


async def rows(shop: Shop, statement: str, *given: Any) -> list[Any]:
    async with shop.ledger.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(statement, *given)]
