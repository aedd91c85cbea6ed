"""
Packages that Stripe defines: products and their prices, taken over one way.

A product whose metadata names `credits` is a package. What it gives stands in its metadata,
what it costs in the active prices of the same kind as its default price, one per currency.
Stripe is asked again at every change; nothing here is ever written back.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.errors import StripeRefused, StripeUnavailable
from billing.packages.product_reading import CREDIT_NAMES, Unsellable, read_product
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, listed, translated
from billing.telling import alerts
from ledger.database import Connection, Queries
from ledger.outage import OUTAGE

log = logging.getLogger(__name__)

PAGE = 100
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_.-]+")
_NO_USE_GOING_ON: tuple[type[Exception], ...] = (StripeUnavailable, *OUTAGE)
_SQL = Queries("mirror", package="billing")


@dataclass(frozen=True, slots=True)
class Synced:
    """What a full look at Stripe's products came to: package names by what became of them."""

    updated: Sequence[str]
    unchanged: Sequence[str]
    broken: Mapping[str, str]


async def settle_product(shop: Shop, product_id: str) -> Settled:
    """
    Take over one product as it is at Stripe now. A repeat changes nothing.

    Raises:
        StripeUnavailable: No answer; ask again.

    """
    async with shop.ledger.database.connection() as connection, connection.transaction():
        await connection.execute(_SQL.one_at_a_time, product_id)
        product = await _product(shop, product_id)
        if product is None or at(product, "deleted"):
            retired = await connection.execute(_SQL.retire, shop.livemode, product_id, _now(shop))
            return Settled("updated" if retired == "UPDATE 1" else "ignored", "deleted at Stripe")
        prices = [
            price
            async for price in listed(
                shop.stripe.v1.prices.list_async,
                {"product": product_id, "active": True, "limit": PAGE},
            )
        ]
        return await _take_over(shop, connection, product, prices)


async def settle_price(shop: Shop, price_id: str) -> Settled:
    """Take over the product of a price. A repeat changes nothing."""
    try:
        with translated():
            price = await shop.stripe.v1.prices.retrieve_async(price_id)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return Settled("ignored", "there is no such price at Stripe")
    product_id = ident(at(price, "product"))
    return await settle_product(shop, product_id) if product_id else Settled("ignored", "")


async def sync(shop: Shop) -> Synced:
    """
    Look at every product of the Stripe account, and at those we know and it no longer has.

    Raises:
        StripeUnavailable: No answer; what was taken over stays.

    """
    async with shop.ledger.database.connection() as connection:
        known = {
            row["stripe_product"] for row in await connection.fetch(_SQL.products, shop.livemode)
        }
    async for product in listed(shop.stripe.v1.products.list_async, {"limit": PAGE}):
        if at(product, "id") in known or _names_credits(at(product, "metadata")):
            known.add(at(product, "id"))
    updated: list[str] = []
    unchanged: list[str] = []
    broken: dict[str, str] = {}
    for product_id in sorted(known):
        try:
            done = await settle_product(shop, product_id)
        except _NO_USE_GOING_ON:
            raise
        except Exception as fault:
            # One product's trouble is not the next one's, whose it may be.
            log.exception("product %s could not be taken over", product_id)
            broken[product_id] = f"{type(fault).__name__}: {fault}"
            continue
        async with shop.ledger.database.connection() as connection:
            row = await connection.fetchrow(_SQL.mirrored, shop.livemode, product_id)
        name = row["name"] if row else product_id
        if row and row["problem"]:
            broken[name] = row["problem"]
        (updated if done.outcome == "updated" else unchanged).append(name)
    return Synced(updated, unchanged, broken)


async def _product(shop: Shop, product_id: str) -> Any:
    try:
        with translated():
            return await shop.stripe.v1.products.retrieve_async(product_id)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return None


async def _take_over(
    shop: Shop, connection: Connection, product: Any, prices: Sequence[Any]
) -> Settled:
    product_id = at(product, "id")
    before = await connection.fetchrow(_SQL.mirrored, shop.livemode, product_id)
    if before is None and not _names_credits(at(product, "metadata")):
        return Settled("ignored", "the product names no credits")
    name = before["name"] if before else await _name_of(connection, product)
    definition, problem = {} if before is None else before["definition"], None
    try:
        definition = read_product(name, product, prices, shop.prices()).to_json()
        definition["version"] = 0  # counted by the row
    except Unsellable as why:
        problem = str(why)
    active = bool(at(product, "active"))
    if problem and active:
        await alerts.raise_alert(connection, "package-unsellable", product_id, problem)
    else:
        await alerts.resolve_about(connection, "package-unsellable", product_id, actor="mirror")
    now = (definition, active, problem)
    if before and now == (before["definition"], before["active"], before["problem"]):
        return Settled("unchanged", f"package {name}")
    await connection.execute(
        _SQL.put, name, shop.livemode, product_id, definition, active, problem, _now(shop)
    )
    return Settled("updated", f"package {name}: {problem or 'can be sold'}")


async def _name_of(connection: Connection, product: Any) -> str:
    """Choose a name for a new package: the product's wish, else Stripe's id in small letters."""
    wish = at(product, "metadata.package") or at(product, "id")
    name = _NOT_IN_NAMES.sub("-", str(wish).lower()).strip("-._")[:64]
    taken = await connection.fetchval(_SQL.owner_of_name, name)
    return name if name and not taken else f"stripe-{str(at(product, 'id')).lower()}"[:64]


def _names_credits(metadata: Any) -> bool:
    return any(at(metadata, name) is not None for name in CREDIT_NAMES)


def _now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)
