"""
Checkouts that are still open, before a card is charged for the same thing.

Otherwise the buyer could pay on the page what automatic top-up has just charged.
"""

from datetime import timedelta

from billing.errors import StripeRefused
from billing.purchases import sessions
from billing.shop import Shop
from billing.stripe_door import translated
from ledger.database import Queries

BEING_MADE = timedelta(minutes=10)
"""An order without a session, as old as this, was given up by whoever made it."""

_SQL = Queries("topups", package="billing")


async def closed(shop: Shop, account_id: int, package: str) -> bool:
    """
    Settle an account's checkouts of a package, and end those that nobody has paid.

    Returns:
        False if one is just being made: wait for it.

    Raises:
        Quarantined, StripeRefused, StripeUnavailable: One could not be looked at, or does not
            fit its order; it may still be paid.

    """
    async with shop.ledger.database.connection() as connection:
        rows = await connection.fetch(
            _SQL.open_checkouts, account_id, shop.livemode, package, BEING_MADE
        )
    for row in rows:
        session = row["session_id"]
        if session is None:
            return False
        try:
            if (await sessions.settle(shop, session)).outcome != "waiting":
                continue
        except StripeRefused as refused:
            if refused.code != "resource_missing":
                raise
            continue  # nobody can pay on a page that is not there
        await end(shop, session)
    return True


async def end(shop: Shop, session: str) -> None:
    """
    End a session that nobody has paid, and settle it: it may be completed at this very moment.

    Raises:
        Quarantined, StripeRefused, StripeUnavailable: As `closed`.

    """
    try:
        with translated():
            await shop.stripe.v1.checkout.sessions.expire_async(session)
    except StripeRefused:
        pass  # it was completed, or expired already: settling shows which
    await sessions.settle(shop, session)
