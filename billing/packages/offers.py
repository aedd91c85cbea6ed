"""
An offer: a package as it is sold, whoever defined it.

It is what an order freezes: once somebody has begun to buy, the price file, the admin and
Stripe may change the package, and the order keeps its meaning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from config import Package, PriceList

Source = Literal["file", "admin", "stripe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    Credits for sale.

    Attributes:
        name: Unique over all sources; what buyers name.
        credits: Smallest units of the credit type, for each one bought.
        scale: Decimal places of the credit type.
        prices: Money in minor units for each one bought, by currency.
        interval: A subscription that is paid every `interval_count` of these; None: bought once.
        expires_ms: How long the credits live; None: for ever, or to the end of what was paid for.
        tax: None: no tax; "automatic", or Stripe's tax code.
        least_quantity: The least a buyer may choose; 1 where nothing can be chosen.
        adjustable: The buyer may change the quantity on Stripe's page.
        allow_free: Credits also where a promotion left nothing to pay.
        discounted: What a discounted sale gives: all its credits, or the share that was paid.
        trial_days: A subscription begins unpaid for so long.
        trial_credits: Given once for the trial.
        routes: Names of the only routes that the credits may be used on; none: all.
        source: Who defines it, and alone may change it.
        stripe_prices: Stripe's own price by currency, where Stripe defines the package.
        version: Counts the changes of the definition; 0 where the price file counts.

    """

    name: str
    title: str
    credit_type: str
    credits: int
    scale: int
    prices: Mapping[str, int]
    source: Source
    description: str = ""
    interval: str | None = None
    interval_count: int = 1
    expires_ms: int | None = None
    tax: str | None = None
    promotion_codes: bool = False
    least_quantity: int = 1
    most_quantity: int = 1
    adjustable: bool = False
    sort: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    allow_free: bool = False
    discounted: Literal["whole", "share"] = "whole"
    trial_days: int | None = None
    trial_credits: int | None = None
    plan_tier: str = ""
    feature_flags: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    stripe_prices: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, for a `jsonb` column."""
        lists = {"feature_flags": list(self.feature_flags), "routes": list(self.routes)}
        return {**asdict(self), **lists}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, by this release or an earlier one."""
        names = {name: tuple(kept.get(name, ())) for name in ("feature_flags", "routes")}
        return cls(**{**kept, **names})


def problem_of_routes(routes: Iterable[str], prices: PriceList) -> str | None:
    """Say which route the price file does not have, or has no longer; None: it has all."""
    names = {route.name for route in prices.routes}
    unknown = sorted(set(routes) - names)
    if not unknown:
        return None
    return f"the price file has no route {unknown[0]} (it has {', '.join(sorted(names))})"


def offer_of_file(package: Package, prices: PriceList) -> Offer:
    """Return a package of the price file as an offer."""
    least, most = package.adjustable_quantity or (1, 1)
    return Offer(
        name=package.id,
        title=package.name,
        description=package.description,
        credit_type=package.credit_type,
        credits=package.credits,
        scale=prices.credit_types[package.credit_type].scale,
        prices=dict(package.price),
        interval=package.interval,
        expires_ms=package.expires_ms,
        tax=package.tax,
        promotion_codes=package.promotion_codes,
        least_quantity=least,
        most_quantity=most,
        adjustable=package.adjustable_quantity is not None,
        sort=package.sort,
        metadata=dict(package.metadata),
        allow_free=package.allow_free,
        discounted=package.discounted,
        trial_days=package.trial_days,
        trial_credits=package.trial_credits,
        plan_tier=package.plan_tier,
        feature_flags=package.feature_flags,
        routes=package.routes,
        source="file",
    )
