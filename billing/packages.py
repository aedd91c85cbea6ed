"""What is for sale: the active packages of the price list, in the order the operator wants."""

from collections.abc import Mapping
from dataclasses import dataclass

from config import PriceList


@dataclass(frozen=True, slots=True)
class PackageForSale:
    """
    Credits for sale, as buyers see them.

    Attributes:
        credits: Smallest units of the credit type, for each one bought.
        scale: Decimal places of the credit type.
        price: Money in minor units, by currency.
        interval: Paid again this often; None: bought once.
        expires_s: Seconds the credits live; None: for ever, or to the end of what was paid for.
        quantity: The least and the most a buyer may choose.

    """

    id: str
    name: str
    description: str
    credit_type: str
    credits: int
    scale: int
    price: Mapping[str, int]
    interval: str | None
    expires_s: int | None
    quantity: tuple[int, int]


def packages_for_sale(prices: PriceList) -> list[PackageForSale]:
    """List the active packages by `sort`, then as the file has them."""
    active = [package for package in prices.packages.values() if package.active]
    return [
        PackageForSale(
            id=package.id,
            name=package.name,
            description=package.description,
            credit_type=package.credit_type,
            credits=package.credits,
            scale=prices.credit_types[package.credit_type].scale,
            price=package.price,
            interval=package.interval,
            expires_s=None if package.expires_ms is None else package.expires_ms // 1000,
            quantity=package.adjustable_quantity or (1, 1),
        )
        for package in sorted(active, key=lambda package: package.sort)
    ]
