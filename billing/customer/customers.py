"""
Customers: Stripe's object for who pays, one for each account, mode and Stripe account.

One is made when an account first buys, and a new one only when Stripe says that the old one is
gone. The account's credits have nothing to do with it: they stay.
"""

from collections.abc import Mapping
from typing import Any

from billing.errors import Quarantined, StripeRefused, StripeUnavailable
from billing.invoicing import subscriptions
from billing.marks import MARK, marks
from billing.shop import Settled, Shop
from billing.stripe_door import IDEMPOTENCY_ERROR, Livemode, at, translated
from billing.topup import topup_settings
from ledger.database import Connection, Queries
from ledger.ids import account_text, parse_account

TRIES = 4
"""A key that is used up and an address that Stripe does not take cost one try each."""

_SQL = Queries("customers", package="billing")


async def customer_of(shop: Shop, account_id: int) -> str:
    """
    Return the account's customer (`cus_...`), made now if there is none.

    Any number of calls at once make one: the idempotency key is made of the account. Never call it
    inside a transaction: what it notes must be seen by all.

    Raises:
        StripeRefused, StripeUnavailable: None could be made; ask again.

    """
    stripe_account = await shop.stripe.account_id()
    with_email = True
    for _ in range(TRIES):
        row = await _row(shop, account_id, stripe_account)
        if row["customer_id"] is not None:
            return str(row["customer_id"])
        try:
            made = await _make(shop, account_id, row, with_email=with_email)
        except StripeRefused as refused:
            # An address that mail could never reach must not keep anybody from buying.
            with_email = with_email and refused.param != "email"
            if refused.code != IDEMPOTENCY_ERROR and refused.param != "email":
                raise
            await _execute(shop, _SQL.next_generation, account_id, stripe_account, row)
        else:
            await _execute(shop, _SQL.made, account_id, stripe_account, row, made)
    raise StripeUnavailable("no customer could be made at Stripe; ask again")


async def known(shop: Shop, account_id: int) -> str | None:
    """Return the account's customer if it has one, without making any."""
    stripe_account = await shop.stripe.account_id()
    async with shop.ledger.database.connection() as connection:
        row = await connection.fetchrow(_SQL.find, account_id, shop.livemode, stripe_account)
    return None if row is None else row["customer_id"]


async def account_of(connection: Connection, livemode: Livemode, customer_id: str) -> int | None:
    """Return the account that a customer stands for."""
    found: int | None = await connection.fetchval(_SQL.account_of, livemode, customer_id)
    return found


def is_gone(refused: StripeRefused) -> bool:
    """Whether Stripe refused because the customer is gone, and not for want of something else."""
    return refused.code == "resource_missing" and refused.param == "customer"


async def forget(shop: Shop, customer_id: str) -> int | None:
    """
    Unlink a customer that Stripe does not have any more; a repeat changes nothing.

    The credits stay. Its cards are gone, so nothing is charged automatically any more, which the
    account is told.

    Returns:
        Whose it was; None if nobody's.

    """
    async with shop.ledger.database.transaction() as connection:
        # In the order in which a removed card locks them: card, customer, top-up.
        await connection.execute(_SQL.detach_cards, shop.livemode, customer_id)
        account_id: int | None = await connection.fetchval(_SQL.unlink, shop.livemode, customer_id)
        if account_id is not None:
            why = "The cards that were saved at Stripe are gone."
            await topup_settings.switch_off(connection, account_id, shop.livemode, why)
    return account_id


async def settle(shop: Shop, object_id: str) -> Settled:
    """
    Bring what we know of a customer to what Stripe has: above all, whether it still exists.

    Raises:
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    try:
        with translated():
            customer = await shop.stripe.v1.customers.retrieve_async(object_id)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        customer = {"deleted": True}
    async with shop.ledger.database.connection() as connection:
        account_id = await account_of(connection, shop.livemode, object_id)
        if account_id is None:
            return await _unknown(shop, connection, customer, object_id)
        begun = await connection.fetch(_SQL.subscriptions, shop.livemode, object_id)
    if not at(customer, "deleted"):
        return Settled("unchanged", "the customer is there", account_id)
    # First what may fail and be tried again: once it is unlinked, nobody asks for these again.
    for row in begun:
        try:
            await subscriptions.settle(shop, row["id"])
        except Quarantined:
            continue  # an event of its own puts it before a person
    await forget(shop, object_id)
    return Settled("updated", "the customer was deleted; the account's credits stay", account_id)


async def _unknown(shop: Shop, connection: Connection, customer: Any, object_id: str) -> Settled:
    """Link a customer of ours whose making was never answered; leave all others alone."""
    account_id = parse_account(at(customer, "metadata.account") or "")
    if at(customer, f"metadata.{MARK}") != shop.installation or account_id is None:
        return Settled("ignored", "a customer of nobody here")
    stripe_account = await shop.stripe.account_id()
    row = await connection.fetchrow(_SQL.find, account_id, shop.livemode, stripe_account)
    if row is None or row["customer_id"] is not None:
        return Settled("ignored", "another customer stands for the account", account_id)
    await connection.execute(
        _SQL.made, account_id, shop.livemode, stripe_account, row["generation"], object_id
    )
    return Settled("updated", "the customer was linked to its account", account_id)


async def _row(shop: Shop, account_id: int, stripe_account: str) -> Mapping[str, Any]:
    async with shop.ledger.database.connection() as connection:
        key = (account_id, shop.livemode, stripe_account)
        row = await connection.fetchrow(_SQL.find, *key)
        if row is None:
            await connection.execute(_SQL.begin, *key)
            row = await connection.fetchrow(_SQL.find, *key)
    found: Mapping[str, Any] = row
    return found


async def _make(shop: Shop, account_id: int, row: Mapping[str, Any], *, with_email: bool) -> str:
    mode = "live" if shop.livemode else "test"
    key = f"account:{shop.installation}:{account_text(account_id)}:{mode}:{row['generation']}"
    params: dict[str, Any] = {"metadata": marks(shop, account_id=account_id)}
    if row["email"] and with_email:
        params["email"] = row["email"]
    if row["name"]:
        params["name"] = row["name"]
    with translated():
        customer = await shop.stripe.v1.customers.create_async(
            params, {"idempotency_key": f"{key}:customer"}
        )
    return str(customer.id)


async def _execute(
    shop: Shop,
    statement: str,
    account_id: int,
    stripe_account: str,
    row: Mapping[str, Any],
    *more: str,
) -> None:
    async with shop.ledger.database.connection() as connection:
        await connection.execute(
            statement, account_id, shop.livemode, stripe_account, row["generation"], *more
        )
