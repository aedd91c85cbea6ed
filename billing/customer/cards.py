"""
Saved cards, and other ways to pay that Stripe keeps: a mirror, never a source.

The first one that an account saves becomes its default, which automatic top-up charges. A card
that is taken away ends that until the account chooses again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.customer import customers
from billing.errors import NoSuchObject, StripeRefused
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, translated
from billing.topup import topup_settings
from ledger.database import Queries

_SQL = Queries("cards", package="billing")

_GONE = "resource_missing"


@dataclass(frozen=True, slots=True)
class Card:
    """A way to pay. `kind` is Stripe's word, like `card`; the rest is empty where it has none."""

    id: str
    kind: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None
    is_default: bool


async def settle(shop: Shop, object_id: str) -> Settled:
    """
    Mirror a payment method (`pm_`) as Stripe shows it now. A repeat changes nothing.

    Raises:
        StripeRefused, StripeUnavailable: Stripe could not be asked; nothing changed.

    """
    asked_at = _now(shop)
    try:
        with translated():
            method = await shop.stripe.v1.payment_methods.retrieve_async(object_id)
    except StripeRefused as refused:
        if refused.code != _GONE:
            raise
        return await _detached(shop, object_id, asked_at)
    if ident(at(method, "customer")) is None:
        return await _detached(shop, object_id, asked_at)
    return await _attached(shop, method, asked_at)


async def settle_setup_intent(shop: Shop, object_id: str) -> Settled:
    """
    Mirror the payment method that a setup intent (`seti_`) has saved, if it has succeeded.

    Raises:
        StripeRefused, StripeUnavailable: Stripe could not be asked; nothing changed.

    """
    with translated():
        intent = await shop.stripe.v1.setup_intents.retrieve_async(object_id)
    method = ident(at(intent, "payment_method"))
    if intent.status != "succeeded" or method is None:
        return Settled("waiting", f"the setup intent is {intent.status}")
    return await settle(shop, method)


async def listed(shop: Shop, account_id: int) -> list[Card]:
    """List the cards an account has saved and not removed."""
    async with shop.ledger.database.connection() as connection:
        rows = await connection.fetch(_SQL.listed, shop.livemode, account_id)
    return [Card(**row) for row in rows]


async def detach(shop: Shop, account_id: int, card_id: str) -> None:
    """
    Remove a card at Stripe and here. A repeat changes nothing.

    Raises:
        NoSuchObject: It is not there, or not this account's.
        StripeUnavailable: Whether it was removed is unknown; ask again.

    """
    async with shop.ledger.database.connection() as connection:
        if not await connection.fetchval(_SQL.one, shop.livemode, account_id, card_id):
            raise NoSuchObject(f"no card {card_id}")
    try:
        with translated():
            await shop.stripe.v1.payment_methods.detach_async(card_id)
    except StripeRefused:
        # Already detached, or gone altogether: what Stripe shows now decides, not its complaint.
        pass
    await settle(shop, card_id)


async def make_default(shop: Shop, account_id: int, card_id: str) -> None:
    """
    Say which card automatic top-up charges. A repeat changes nothing.

    Raises:
        NoSuchObject: It is not there, removed, or not this account's.

    """
    async with shop.ledger.database.connection() as connection:
        if not await connection.fetchval(_SQL.make_default, shop.livemode, account_id, card_id):
            raise NoSuchObject(f"no card {card_id}")


async def _attached(shop: Shop, method: Any, asked_at: datetime) -> Settled:
    customer = ident(method.customer) or ""
    details: Mapping[str, Any] | None = at(method, str(method.type))
    async with shop.ledger.database.transaction() as connection:
        account_id = await customers.account_of(connection, shop.livemode, customer)
        if account_id is None:
            return Settled("ignored", "its customer is none of ours")
        changed = await connection.fetchval(
            _SQL.keep,
            shop.livemode,
            method.id,
            account_id,
            customer,
            method.type,
            at(details, "brand") or "",
            at(details, "last4") or "",
            at(details, "exp_month"),
            at(details, "exp_year"),
            asked_at,
        )
        if changed:
            await connection.execute(_SQL.first_is_default, shop.livemode, customer, method.id)
    return Settled("updated" if changed else "unchanged", "card mirrored", account_id)


async def _detached(shop: Shop, object_id: str, asked_at: datetime) -> Settled:
    async with shop.ledger.database.transaction() as connection:
        account_id = await connection.fetchval(_SQL.detach, shop.livemode, object_id, asked_at)
        if account_id is None:
            return Settled("ignored", "it belongs to no customer and is not known")
        if await connection.fetchval(_SQL.no_default, shop.livemode, account_id, object_id):
            await topup_settings.switch_off(
                connection, account_id, shop.livemode, "The card it charged was removed."
            )
    return Settled("updated", "card removed", account_id)


def _now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_us() / 1_000_000, UTC)
