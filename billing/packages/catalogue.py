"""
What is for sale: packages from the price file, from admins and from Stripe, under one roof.

Each package has one source, which alone may change it; admins may hide and sort all of them.
A name that two sources use is not sold by either until that is put right.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from billing.errors import NoSuchObject, NotForSale, StateConflict
from billing.packages.offers import Offer, offer_of_file, problem_of_routes
from billing.shop import Shop
from config import PriceList
from ledger import audit
from ledger.database import Connection, Queries

_SQL = Queries("catalogue", package="billing")


@dataclass(frozen=True, slots=True)
class Shelf:
    """
    A package as admins see it.

    Attributes:
        active: Its source sells it.
        hidden: An admin keeps it from buyers.
        problem: Why it cannot be sold as it stands; None: it can.

    """

    offer: Offer
    active: bool
    hidden: bool
    problem: str | None

    @property
    def for_sale(self) -> bool:
        """Whether buyers see it."""
        return self.active and not self.hidden and self.problem is None


async def shelves(
    connection: Connection, prices: PriceList, *, livemode: bool | None
) -> list[Shelf]:
    """
    List every package there is, in the order in which buyers see them.

    Args:
        connection: To Postgres.
        prices: The price list in force.
        livemode: Whose Stripe packages; None: there is no Stripe, and none of them.

    """
    display = {row["name"]: row for row in await connection.fetch(_SQL.display)}
    found = {
        package.id: Shelf(
            offer_of_file(package, prices), package.active, hidden=False, problem=None
        )
        for package in prices.packages.values()
    }
    for row in await connection.fetch(_SQL.packages, livemode):
        if not row["definition"]:  # a product that could not be read yet; an alert says why
            continue
        shelf = Shelf(_offer(row), row["active"], hidden=False, problem=row["problem"])
        if row["name"] in found:
            twice = f"the price file and {row['source']} both have a package {row['name']}"
            shelf = replace(found[row["name"]], problem=twice)
        elif shelf.problem is None:
            shelf = replace(shelf, problem=_problem(shelf.offer, prices))
        found[row["name"]] = shelf
    shown = [_displayed(shelf, display.get(name)) for name, shelf in found.items()]
    return sorted(shown, key=lambda shelf: shelf.offer.sort)


async def for_sale(
    connection: Connection, prices: PriceList, *, livemode: bool | None
) -> list[Offer]:
    """List what buyers can buy, in the operator's order."""
    found = await shelves(connection, prices, livemode=livemode)
    return [shelf.offer for shelf in found if shelf.for_sale]


async def offer(shop: Shop, connection: Connection, name: str) -> Offer:
    """
    Return a package that is for sale now.

    Raises:
        NotForSale: Unknown, inactive, hidden or broken: buyers learn only that it is not sold.

    """
    for found in await for_sale(connection, shop.prices(), livemode=shop.livemode):
        if found.name == name:
            return found
    raise NotForSale(f"no package {name} is for sale; v1/packages lists those that are")


async def offer_of_product(shop: Shop, connection: Connection, product_id: str) -> Offer | None:
    """
    Return the package that is mirrored from a Stripe product, also one that is sold no more.

    It counts whatever price was paid: subscriptions keep the one they began with. None: the
    product is none of ours, or never said how many credits it gives.
    """
    row = await connection.fetchrow(_SQL.of_product, shop.livemode, product_id)
    if row is None or not row["definition"]:
        return None
    return Offer.from_json(row["definition"])


async def create(
    connection: Connection, prices: PriceList, package: Offer, *, active: bool, actor: str
) -> None:
    """
    Put up a package of the admins'.

    Raises:
        StateConflict: The name is taken, by whatever source. Nothing changed.

    """
    async with connection.transaction():
        taken = package.name in prices.packages
        if taken or not await connection.fetchval(
            _SQL.create, package.name, package.to_json(), active
        ):
            raise StateConflict(f"there is a package {package.name} already: choose another name")
        await audit.write(connection, actor, "package.create", package.name, package.to_json())


async def change(connection: Connection, package: Offer, *, active: bool, actor: str) -> None:
    """
    Give an admin's package a new definition; orders that were begun keep the old one.

    Raises:
        NoSuchObject: There is no such package outside the price file.
        StateConflict: Stripe defines it. Nothing changed.

    """
    async with connection.transaction():
        await _editable(connection, package.name)
        await connection.execute(_SQL.change, package.name, package.to_json(), active)
        detail = {**package.to_json(), "active": active}
        await audit.write(connection, actor, "package.change", package.name, detail)


async def defined(connection: Connection, name: str) -> tuple[Offer, bool]:
    """
    Return an admin's package and whether it is active, to be changed.

    Raises:
        NoSuchObject: There is no such package outside the price file.
        StateConflict: Stripe defines it.

    """
    row = await _editable(connection, name)
    return _offer(row), row["active"]


async def display(
    connection: Connection,
    prices: PriceList,
    name: str,
    *,
    hidden: bool | None,
    sort: int | None,
    actor: str,
) -> None:
    """
    Hide or sort a package of any source; None leaves that as it is. A repeat changes nothing.

    Raises:
        NoSuchObject: There is no package of that name.

    """
    async with connection.transaction():
        if name not in prices.packages and not await connection.fetchrow(_SQL.package, name):
            raise NoSuchObject(f"there is no package {name}")
        now = await connection.fetchrow(_SQL.shown, name)
        hide = hidden if hidden is not None else bool(now and now["hidden"])
        place = sort if sort is not None else (now["sort"] if now else None)
        await connection.execute(_SQL.show, name, hide, place)
        detail = {"hidden": hide, "sort": place}
        await audit.write(connection, actor, "package.display", name, detail)


async def _editable(connection: Connection, name: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await connection.fetchrow(_SQL.package, name)
    if row is None:
        raise NoSuchObject(
            f"there is no package {name} that could be changed here; those of the price file "
            "are changed there"
        )
    if row["source"] != "admin":
        raise StateConflict(f"package {name} is defined at Stripe: change the product there")
    return row


def _offer(row: Mapping[str, Any]) -> Offer:
    return replace(Offer.from_json(row["definition"]), version=row["version"])


def _displayed(shelf: Shelf, display: Mapping[str, Any] | None) -> Shelf:
    if display is None:
        return shelf
    sort = shelf.offer.sort if display["sort"] is None else display["sort"]
    return replace(shelf, offer=replace(shelf.offer, sort=sort), hidden=display["hidden"])


def _problem(package: Offer, prices: PriceList) -> str | None:
    """Say what is wrong with credit type or routes, which the price file may have lost since."""
    kind = prices.credit_types.get(package.credit_type)
    if kind is None:
        return f"the price file has no credit type {package.credit_type}"
    if kind.scale != package.scale:
        return f"credit type {package.credit_type} has another number of decimal places now"
    return problem_of_routes(package.routes, prices)
