"""
What an account has agreed to about automatic top-up, and whether it is on.

Off until the account asks for it and says yes to being charged without being asked. It stops by
itself when that yes no longer covers what would happen: another price, a removed card, a decline.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.errors import WrongPurchase
from billing.money import money_text
from billing.packages import catalogue
from billing.purchases.purchase import Purchase, check
from billing.shop import Shop
from billing.stripe_door import Livemode
from billing.telling import notices
from ledger import credit_types
from ledger.database import Connection, Queries
from ledger.facts import MAX_AMOUNT

MOST_COUNT_DAY = 100
"""Top-ups a day that an account may allow at the most."""

_SQL = Queries("topups", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What an account asks for.

    Attributes:
        threshold: Smallest units of the package's credit type; below it the package is bought.
        currency: In lower case; None: the package's only or first one.
        most_minor_month: Money at most in a calendar month (UTC), in minor units.
        most_count_day: Charges at most in a day (UTC), failed ones too.
        consent: The account says yes to being charged without being asked.

    """

    package: str
    threshold: int
    most_minor_month: int
    most_count_day: int
    quantity: int = 1
    currency: str | None = None
    consent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """
    An account's row.

    Attributes:
        amount_minor: What one top-up costs, as agreed.
        paused: Why nothing is tried until the account asks for it again; None: it is not paused.
        rest_until: No try before that, after a decline or where a limit is reached.
        declines: In a row.

    """

    account_id: int
    livemode: Livemode
    enabled: bool
    package: str
    currency: str
    quantity: int
    credit_type_id: int
    amount_minor: int
    threshold: int
    most_minor_month: int
    most_count_day: int
    paused: str | None
    rest_until: datetime | None
    declines: int
    consented_at: datetime | None
    updated_at: datetime


async def get(connection: Connection, account_id: int, livemode: Livemode) -> TopUp | None:
    """Return what an account has asked for; None: it never did."""
    return _maybe(await connection.fetchrow(_SQL.settings, account_id, livemode))


async def lock(connection: Connection, account_id: int, livemode: Livemode) -> TopUp | None:
    """Return the same, and keep others from changing it until the transaction ends."""
    return _maybe(await connection.fetchrow(_SQL.lock_settings, account_id, livemode))


async def put(shop: Shop, account_id: int, wanted: Wanted) -> TopUp:
    """
    Switch automatic top-up on, as asked; also the way out of a pause.

    Raises:
        NotForSale: No such package, or not in that currency.
        WrongPurchase: A field cannot be used, or there is no saved card. Nothing changed.
        StripeUnavailable: Not known yet whose Stripe account this is; ask again.

    """
    stripe_account = await shop.stripe.account_id()
    async with shop.ledger.database.transaction() as connection:
        offer = await catalogue.offer(shop, connection, wanted.package)
        purchase = Purchase(
            package=wanted.package, quantity=wanted.quantity, currency=wanted.currency
        )
        currency = check(offer, purchase)
        if offer.interval is not None:
            raise WrongPurchase("package", "a subscription cannot be bought by automatic top-up")
        if offer.routes:
            # They would not count as there, and be bought again and again.
            raise WrongPurchase("package", "credits for some routes only cannot be topped up")
        if offer.tax is not None:
            # Stripe works tax out on its own page, where the buyer says where he is.
            raise WrongPurchase("package", "a taxed package cannot be bought by automatic top-up")
        amount_minor = offer.prices[currency] * wanted.quantity
        _check_limits(wanted, amount_minor, currency)
        if not await chargeable(connection, account_id, shop.livemode, stripe_account):
            raise WrongPurchase("card", "save a card first")
        types = {row.name: row.id for row in await credit_types.every(connection)}
        row = await connection.fetchrow(
            _SQL.put,
            account_id,
            shop.livemode,
            offer.name,
            currency,
            wanted.quantity,
            types[offer.credit_type],
            amount_minor,
            wanted.threshold,
            wanted.most_minor_month,
            wanted.most_count_day,
        )
    return TopUp(**row)


async def disable(connection: Connection, account_id: int, livemode: Livemode) -> None:
    """Switch it off, because the account says so. A repeat changes nothing."""
    await connection.execute(_SQL.switch_off, account_id, livemode, None)


async def switch_off(
    connection: Connection, account_id: int, livemode: Livemode, reason: str
) -> bool:
    """
    Switch it off without being asked to, and tell the account; whether it was on.

    `reason` is a sentence for the account.
    """
    row = await connection.fetchrow(_SQL.switch_off, account_id, livemode, reason)
    if row is not None:
        await _tell(connection, TopUp(**row), reason, None)
    return row is not None


async def pause(
    connection: Connection,
    account_id: int,
    livemode: Livemode,
    reason: str,
    retry_url: str | None = None,
) -> bool:
    """Try nothing until the account asks again, and tell it so; whether it was not paused yet."""
    row = await connection.fetchrow(_SQL.pause, account_id, livemode, reason)
    if row is not None:
        await _tell(connection, TopUp(**row), reason, retry_url)
    return row is not None


async def rest(
    connection: Connection, account_id: int, livemode: Livemode, until: datetime
) -> None:
    """Try nothing before `until`, or before what was said already if that is later."""
    await connection.execute(_SQL.rest, account_id, livemode, until)


async def chargeable(
    connection: Connection, account_id: int, livemode: Livemode, stripe_account: str
) -> tuple[str, str] | None:
    """Return the customer and the default card of an account; None if it has none."""
    row = await connection.fetchrow(_SQL.chargeable, livemode, account_id, stripe_account)
    return None if row is None else (row["customer_id"], row["card"])


def _check_limits(wanted: Wanted, amount_minor: int, currency: str) -> None:
    if not wanted.consent:
        raise WrongPurchase("consent", "say yes to being charged without being asked")
    if amount_minor < 1:
        raise WrongPurchase("package", "a free package cannot be bought by automatic top-up")
    if not 1 <= wanted.threshold <= MAX_AMOUNT:
        raise WrongPurchase("threshold", f"1 to {MAX_AMOUNT} of the smallest unit")
    if not 1 <= wanted.most_count_day <= MOST_COUNT_DAY:
        raise WrongPurchase("most_count_day", f"1 to {MOST_COUNT_DAY}")
    if not amount_minor <= wanted.most_minor_month <= MAX_AMOUNT:
        once = money_text(amount_minor, currency)
        raise WrongPurchase("most_minor_month", f"at least {once}, what one top-up costs")


async def _tell(connection: Connection, top_up: TopUp, reason: str, retry_url: str | None) -> None:
    await notices.tell(
        connection,
        "top_up_paused",
        account_id=top_up.account_id,
        key=f"{top_up.account_id}:{top_up.updated_at.isoformat()}",
        payload={
            "package": top_up.package,
            "amount_minor": top_up.amount_minor,
            "currency": top_up.currency,
            "reason": reason,
            "retry_url": retry_url,
        },
    )


def _maybe(row: Mapping[str, Any] | None) -> TopUp | None:
    return None if row is None else TopUp(**row)
