"""What is for sale, and the routes that sell it."""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import Field

from gateway.consumer.caller import Caller
from gateway.consumer.services import ForSale, Services
from gateway.models import Answer, Given
from gateway.operations.shown import Display, display
from gateway.problems import Problem
from gateway.routes import Call


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
    expires_s: Annotated[int | None, Field(description="Seconds the credits live; null: no end.")]
    quantity: Quantity
    display: Display


class PackageList(Answer):
    """All that is for sale, in the operator's order."""

    items: list[PackageAnswer]


class Link(Given):
    """The signed link of an `insufficient-credits` refusal."""

    token: Annotated[str, Field(max_length=200)]


class Sold(Answer):
    """What selling will answer; there is none yet."""


async def packages(call: Call[Services, Caller | None, Any, None]) -> PackageList:
    """List what is for sale."""
    services = call.services
    return PackageList(
        items=[_package(package) for package in services.packages(services.prices.current)]
    )


async def not_configured(_call: Call[Services, Caller | None, Any, Any]) -> NoReturn:
    """Refuse to sell: no payment provider is configured, so nothing could be paid."""
    raise Problem(
        "selling-not-configured",
        "This gateway takes no payments; ask its operator for credits.",
    )


def _package(package: ForSale) -> PackageAnswer:
    least, most = package.quantity
    return PackageAnswer(
        id=package.id,
        name=package.name,
        description=package.description,
        credit_type=package.credit_type,
        scale=package.scale,
        credits=package.credits,
        price=dict(package.price),
        interval=package.interval,
        expires_s=package.expires_s,
        quantity=Quantity(least=least, most=most),
        display=display(package.scale, {"credits": package.credits}),
    )
