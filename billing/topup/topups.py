"""
Automatic top-up: buys a package for accounts that asked for it, when their balance runs low.

Postgres decides, never Redis, and never a request: `scan` and `look_again` are the steward's jobs.
A try is committed before Stripe is asked, under a key made of its id. No answer means unknown, not
failed: the same key asks again, and nothing else is charged until the outcome is known.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg

from billing.errors import BillingError, NotForSale
from billing.ids import new_id
from billing.money import money_text
from billing.packages import catalogue
from billing.packages.offers import Offer
from billing.purchases import orders
from billing.purchases.orders import Order
from billing.shop import Shop
from billing.telling import notices
from billing.topup import open_checkouts, topup_attempts, topup_settings, topup_standing
from billing.topup.topup_attempts import Attempt, now
from billing.topup.topup_charges import confirm, look_again
from billing.topup.topup_settings import TopUp
from billing.topup.topup_standing import Standing, is_on
from ledger import credit_types
from ledger.database import Connection, Queries
from ledger.outage import OUTAGE

__all__ = ["look_again", "scan", "top_up"]

log = logging.getLogger(__name__)

PAGE = 100
"""Accounts looked at in one query."""

TROUBLE_REST = timedelta(minutes=1)
"""After a look that failed: each asks Stripe, and scans follow each other within seconds."""

_SQL = Queries("topups", package="billing")


async def scan(shop: Shop) -> int:
    """
    Start a top-up for each account that is due; return for how many.

    At any number of places at once: an account has one open try at most.
    """
    started, after = 0, 0
    while True:
        async with shop.ledger.database.connection() as connection:
            rows = await connection.fetch(_SQL.due, shop.livemode, after, PAGE)
        for row in rows:
            after = row["account_id"]
            try:
                started += await top_up(shop, after)
            except BillingError as odd:
                # One account's trouble is not the next one's.
                log.warning("no top-up for account %s: %s", after, odd)
                await _later(shop, after)
            except OUTAGE:
                raise
            except Exception:
                # Nor is a mistake of ours that only this account meets.
                log.exception("no top-up for account %s", after)
                await _later(shop, after)
        if len(rows) < PAGE:
            return started


async def top_up(shop: Shop, account_id: int) -> bool:
    """
    Charge an account, if it is still due once its open checkouts have been seen to.

    Returns:
        Whether a try was made, whatever became of it.

    Raises:
        StripeRefused, StripeUnavailable: Purchases under way could not be looked at, and no try
            was made.

    """
    stripe_account = await shop.stripe.account_id()
    async with shop.ledger.database.connection() as connection:
        wanted = await topup_settings.get(connection, account_id, shop.livemode)
        if wanted is None or not is_on(wanted, await now(connection)):
            return False
        standing = await topup_standing.of(connection, wanted)
    if not standing.due or not await open_checkouts.closed(shop, account_id, wanted.package):
        return False
    try:
        async with shop.ledger.database.transaction() as connection:
            begun = await _begin(shop, connection, account_id, stripe_account)
    except asyncpg.UniqueViolationError:
        return False
    if begun is None:
        return False
    await confirm(shop, *begun)
    return True


async def _begin(
    shop: Shop, connection: Connection, account_id: int, stripe_account: str
) -> tuple[Attempt, Order] | None:
    """Decide under the lock of the account's settings, and write the try and its order down."""
    wanted = await topup_settings.lock(connection, account_id, shop.livemode)
    if wanted is None or not is_on(wanted, await now(connection)):
        return None
    standing = await topup_standing.of(connection, wanted)
    if not standing.due or standing.trying:
        return None
    chargeable = await topup_settings.chargeable(
        connection, account_id, shop.livemode, stripe_account
    )
    if chargeable is None:
        why = "There is no saved card to charge."
        await topup_settings.switch_off(connection, account_id, shop.livemode, why)
        return None
    offer = await _offer(shop, connection, wanted)
    if standing.debt:
        offer = "Credits are owed after a refund or a dispute."
    if isinstance(offer, str):
        await topup_settings.pause(connection, account_id, shop.livemode, offer)
        return None
    if not await _within_limits(connection, wanted, standing):
        return None
    customer, card = chargeable
    order = await orders.create(
        connection,
        order_id=new_id("ord", shop.random_bytes),
        account_id=account_id,
        livemode=shop.livemode,
        kind="auto_topup",
        offer=offer,
        currency=wanted.currency,
        quantity=wanted.quantity,
    )
    await orders.link(connection, order.id, customer_id=customer)
    attempt = await topup_attempts.begin(
        connection, new_id("top", shop.random_bytes), order, card, wanted.amount_minor
    )
    return attempt, replace(order, customer_id=customer)


async def _offer(shop: Shop, connection: Connection, wanted: TopUp) -> Offer | str:
    """Return the package as it was agreed to, or a sentence that says why it is that no more."""
    try:
        offer = await catalogue.offer(shop, connection, wanted.package)
    except NotForSale:
        return "The package is not for sale any more."
    types = {row.name: row.id for row in await credit_types.every(connection)}
    same = (
        offer.interval is None
        and not offer.routes
        and offer.tax is None
        and types.get(offer.credit_type) == wanted.credit_type_id
        and offer.least_quantity <= wanted.quantity <= offer.most_quantity
        and offer.prices.get(wanted.currency, 0) * wanted.quantity == wanted.amount_minor
    )
    return offer if same else "The package, or its price, has changed since you agreed to it."


async def _later(shop: Shop, account_id: int) -> None:
    """Have the account looked at again in a while, not in the next scan."""
    async with shop.ledger.database.connection() as connection:
        until = await now(connection) + TROUBLE_REST
        await topup_settings.rest(connection, account_id, shop.livemode, until)


async def _within_limits(connection: Connection, wanted: TopUp, standing: Standing) -> bool:
    """Whether the account's own limits allow one more; if not, rest until they do and say so."""
    if standing.day_count >= wanted.most_count_day:
        return await _rest(connection, wanted, standing.next_day, "Your limit for a day is reached")
    if standing.month_minor + wanted.amount_minor > wanted.most_minor_month:
        limit = money_text(wanted.most_minor_month, wanted.currency)
        why = f"Your limit of {limit} for a month is reached"
        return await _rest(connection, wanted, standing.next_month, why)
    return True


async def _rest(connection: Connection, wanted: TopUp, until: datetime, why: str) -> bool:
    await topup_settings.rest(connection, wanted.account_id, wanted.livemode, until)
    await notices.tell(
        connection,
        "top_up_paused",
        account_id=wanted.account_id,
        key=f"{wanted.account_id}:limit:{until.isoformat()}",
        payload={
            "package": wanted.package,
            "amount_minor": wanted.amount_minor,
            "currency": wanted.currency,
            "reason": f"{why}; it goes on by itself on {until:%Y-%m-%d} (UTC).",
        },
    )
    return False
