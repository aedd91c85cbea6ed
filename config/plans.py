"""
Plans: what the accounts that are on one pay and may do, where that is not what the routes say.

A route under a plan is a route like any other (`on_plan`); nothing that prices, limits or explains
a request has to know of plans.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction

from config.amounts import LARGEST_AMOUNT, total_cost
from config.limits import Limit
from config.model import Route
from config.pricing.facts import Unit, Unpriceable
from config.pricing.price import Price

DEFAULT_PLAN = "default"
"""Of accounts that have no plan, or one that the file does not name."""


@dataclass(frozen=True, slots=True)
class PlanRoute:
    """What a plan says of one route. At most one of `price` and `factor` is there."""

    price: int | None = None
    """Of every request, smallest units of the route's own credit type."""
    factor: Fraction | None = None
    """Of what the route's own price comes to."""
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is other for accounts of one plan."""

    name: str
    factor: Fraction | None = None
    """Of the price of every route that `routes` gives none."""
    features: tuple[str, ...] = ()
    """What its accounts may use: routes that ask for a feature, beside those that ask for plans."""
    limits: tuple[Limit, ...] = ()
    """Over all routes: instead of the file's of the same name, or beside them."""
    routes: Mapping[int, PlanRoute] = field(default_factory=dict)
    """By `Route.index`."""


@dataclass(frozen=True, slots=True)
class FactoredPrice(Price):
    """
    A price times a factor. Its bounds and its hold are multiplied already.

    The sum is multiplied before it is rounded, so that a request is rounded once.
    """

    factor: Fraction = Fraction(1)

    def cost(self, units: Iterable[Unit]) -> int:
        """Compute the cost of measured units, rounded up once, within `min` and `max`."""
        return self._within(self.sum_of(self.parts(units)))

    def sum_of(self, parts: Sequence[tuple[int, int, int]]) -> int:
        """Add up the flat part and these: quantity, unit and cost of each (see `total_cost`)."""
        top, bottom = self.factor.numerator, self.factor.denominator
        times = [(quantity, unit * bottom, cost * top) for quantity, unit, cost in parts]
        # The flat part is a fraction as well.
        return total_cost(0, [(self.flat, bottom, top), *times])


def factored(price: Price, factor: Fraction) -> Price:
    """
    Multiply a price.

    Raises:
        Unpriceable: It exceeds 9e13 for every request.
    """

    def times(amount: int | None) -> int | None:
        if amount is None:
            return None
        return total_cost(0, [(amount, factor.denominator, factor.numerator)])

    if price.unpriced or price.is_free:
        return price
    same = {one.name: getattr(price, one.name) for one in fields(Price) if one.init}
    bounds = {
        name: times(getattr(price, name)) for name in ("minimum", "maximum", "hold", "missing")
    }
    if max(bounds["maximum"] or 0, bounds["hold"] or 0) > LARGEST_AMOUNT:
        sentence = "The price of this request is larger than any balance."
        raise Unpriceable(422, "price-overflow", sentence)
    return FactoredPrice(**(same | bounds), factor=factor)


def on_plan(plan: Plan | None, route: Route) -> Route:
    """Give the route as it is for accounts of a plan: itself, where the plan says nothing of it."""
    if plan is None or route.public:
        return route
    said = plan.routes.get(route.index)
    price, limits = route.price, route.limits
    if said is not None and said.price is not None:
        price = Price(price.credit_type, price.scale, flat=said.price)
    elif (factor := factor_on(plan, route)) is not None and factor != 1:
        price = factored(price, factor)
    if said is not None and said.limits:
        limits = instead_of(limits, said.limits)
    if price is route.price and limits is route.limits:
        return route
    return replace(route, price=price, limits=limits)


def factor_on(plan: Plan, route: Route) -> Fraction | None:
    """Give what the plan multiplies a route's own price by; None: by nothing, or it has another."""
    said = plan.routes.get(route.index)
    if said is None:
        return plan.factor
    return None if said.price is not None else said.factor or plan.factor


def largest_on(plan: Plan, route: Route, usual: int) -> int:
    """Give the largest ceiling on a plan, where it is `usual` on none."""
    said = plan.routes.get(route.index)
    if said is not None and said.price is not None:
        return said.price
    factor = factor_on(plan, route)
    if factor is None:
        return usual
    return min(-(-usual * factor.numerator // factor.denominator), LARGEST_AMOUNT)


def instead_of(limits: tuple[Limit, ...], others: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Give the limits, with the others in place of those of the same name or behind them."""
    if not others:
        return limits
    known = {limit.name: limit for limit in (*limits, *others)}
    return tuple(known.values())


def factor_words(factor: Fraction) -> str:
    """Write a factor as the file does: `0.8`."""
    return f"{Decimal(factor.numerator) / Decimal(factor.denominator):f}"


def is_open(route: Route, plan: Plan | None, features: Iterable[str]) -> bool:
    """Whether accounts on this plan, which may use these features beside it, may call a route."""
    if not (route.plans or route.feature):
        return True
    if plan is not None and plan.name in route.plans:
        return True
    had = {*features, *(plan.features if plan is not None else ())}
    return route.feature is not None and route.feature in had


def openers(route: Route, plans: Mapping[str, Plan]) -> tuple[str, ...]:
    """Name the plans that would open a route, in the order of the file."""
    return tuple(plan.name for plan in plans.values() if is_open(route, plan, ()))


def plan_required(route: Route, plans: Mapping[str, Plan]) -> str:
    """Say what would open a route."""
    names = openers(route, plans)
    if len(names) > 1:
        return f"{route.name} is for accounts on one of these plans: {', '.join(names)}."
    if names:
        return f"{route.name} is for accounts on the plan {names[0]}."
    return f"{route.name} is for accounts that have the feature {route.feature}."


def total_of(price: Price, parts: Sequence[tuple[int, int, int]]) -> int:
    """Add up a price before its bounds: quantity, unit and cost of each part (see `total_cost`)."""
    if isinstance(price, FactoredPrice):
        return price.sum_of(parts)
    return total_cost(price.flat, parts)
