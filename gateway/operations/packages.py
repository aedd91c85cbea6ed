"""Packages: what is for sale to buyers, and what admins make, change, hide and sort."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from billing.errors import NoSuchObject
from billing.money import money_text
from billing.packages import catalogue
from billing.packages.offers import Offer, Source
from config import PriceList
from gateway.models import Answer
from gateway.operations.package_terms import PackageDraft, PackageTerms, changed, offered
from gateway.operations.shown import Display, display
from ledger.database import Database


class Quantity(Answer):
    """How many a buyer may choose."""

    least: int
    most: int


class PackageAnswer(Answer):
    """Credits for sale."""

    id: str
    name: str
    description: str
    credit_type: str
    scale: int
    credits: Annotated[int, Field(description="For each one bought.")]
    price: Annotated[
        Mapping[str, int], Field(description="Money in minor units (cents), by currency.")
    ]
    interval: Annotated[str | None, Field(description="Paid again this often; null: once.")]
    interval_count: Annotated[int, Field(description="Paid every so many intervals.")]
    expires_s: Annotated[int | None, Field(description="Seconds the credits live; null: no end.")]
    trial_days: Annotated[int | None, Field(description="Days before the first payment.")]
    quantity: Quantity
    routes: Annotated[
        list[str], Field(description="The only ones the credits may be used on; empty: all.")
    ]
    plan_tier: str
    feature_flags: list[str]
    metadata: Mapping[str, str]
    display: Display


class PackageList(Answer):
    """All that is for sale, in the operator's order, and the same by credit type."""

    items: list[PackageAnswer]
    by_credit_type: Annotated[
        Mapping[str, list[str]], Field(description="The ids of the packages of each type.")
    ]


class PackageRow(PackageAnswer):
    """A package as admins see it, for sale or not."""

    source: Annotated[Source, Field(description="Who defines it, and alone may change it.")]
    active: Annotated[bool, Field(description="Its source sells it.")]
    hidden: Annotated[bool, Field(description="An admin keeps it from buyers.")]
    problem: Annotated[str | None, Field(description="Why it cannot be sold as it stands.")]
    for_sale: bool
    sort: int
    version: Annotated[int, Field(description="Counts the changes of its definition.")]


class PackageRows(Answer):
    """Every package there is, in the order in which buyers see them."""

    items: list[PackageRow]


async def for_sale(database: Database, prices: PriceList, *, livemode: bool | None) -> PackageList:
    """List what buyers can buy."""
    async with database.connection() as connection:
        offers = await catalogue.for_sale(connection, prices, livemode=livemode)
    by_type: dict[str, list[str]] = {}
    for offer in offers:
        by_type.setdefault(offer.credit_type, []).append(offer.name)
    return PackageList(items=[answer(offer) for offer in offers], by_credit_type=by_type)


async def listed(database: Database, prices: PriceList, *, livemode: bool | None) -> PackageRows:
    """List every package, whoever defines it."""
    async with database.connection() as connection:
        shelves = await catalogue.shelves(connection, prices, livemode=livemode)
    return PackageRows(items=[_row(shelf) for shelf in shelves])


async def show(
    database: Database, prices: PriceList, name: str, *, livemode: bool | None
) -> PackageRow:
    """
    Show one package.

    Raises:
        NoSuchObject: There is none of that name.

    """
    rows = await listed(database, prices, livemode=livemode)
    for row in rows.items:
        if row.id == name:
            return row
    raise NoSuchObject(f"there is no package {name}")


async def create(
    database: Database, prices: PriceList, draft: PackageDraft, *, livemode: bool | None, actor: str
) -> PackageRow:
    """Put up a package of the admins'."""
    offer = offered(draft, prices)
    async with database.transaction() as connection:
        active = draft.active is not False
        await catalogue.create(connection, prices, offer, active=active, actor=actor)
        if draft.hidden:
            await catalogue.display(
                connection, prices, draft.id, hidden=True, sort=None, actor=actor
            )
    return await show(database, prices, draft.id, livemode=livemode)


async def change(
    database: Database,
    prices: PriceList,
    name: str,
    terms: PackageTerms,
    *,
    livemode: bool | None,
    actor: str,
) -> PackageRow:
    """
    Change an admin's package; hiding and sorting is possible with those of any source.

    Orders that were begun keep what they were offered.
    """
    given = terms.model_dump(exclude_none=True)
    shown = {key: given.pop(key, None) for key in ("hidden", "sort")}
    async with database.transaction() as connection:
        if given:
            before, active = await catalogue.defined(connection, name)
            offer = changed(before, terms, prices)
            active = active if terms.active is None else terms.active
            await catalogue.change(connection, offer, active=active, actor=actor)
        if any(value is not None for value in shown.values()):
            await catalogue.display(connection, prices, name, **shown, actor=actor)
    return await show(database, prices, name, livemode=livemode)


def answer(offer: Offer) -> PackageAnswer:
    """Describe an offer."""
    return PackageAnswer(**_fields(offer))


def _row(shelf: catalogue.Shelf) -> PackageRow:
    return PackageRow(
        **_fields(shelf.offer),
        source=shelf.offer.source,
        active=shelf.active,
        hidden=shelf.hidden,
        problem=shelf.problem,
        for_sale=shelf.for_sale,
        sort=shelf.offer.sort,
        version=shelf.offer.version,
    )


def _fields(offer: Offer) -> dict[str, Any]:
    amounts = display(offer.scale, {"credits": offer.credits})
    money = {f"price_{name}": money_text(minor, name) for name, minor in offer.prices.items()}
    return {
        "id": offer.name,
        "name": offer.title,
        "description": offer.description,
        "credit_type": offer.credit_type,
        "scale": offer.scale,
        "credits": offer.credits,
        "price": dict(offer.prices),
        "interval": offer.interval,
        "interval_count": offer.interval_count,
        "expires_s": None if offer.expires_ms is None else offer.expires_ms // 1_000,
        "trial_days": offer.trial_days,
        "quantity": Quantity(least=offer.least_quantity, most=offer.most_quantity),
        "routes": list(offer.routes),
        "plan_tier": offer.plan_tier,
        "feature_flags": list(offer.feature_flags),
        "metadata": dict(offer.metadata),
        "display": amounts | money,
    }
