"""What a plan says, as facts in words: what `diff` compares."""

from collections.abc import Sequence
from fractions import Fraction

from config.limits import Limit
from config.model import Route
from config.plans import DEFAULT_PLAN, Plan, PlanRoute, factor_words
from config.price_list import PriceList
from config.words import NONE, amount_words, route_words, words

Told = dict[str, tuple[object, str]]
"""By key: what is compared, and how it is said."""


def plan_facts(plan: Plan, routes: Sequence[Route]) -> Told:
    """Say what is other on a plan: for all routes, then for each that it names."""
    told: Told = {
        "price of other routes": _priced(None, plan.factor, None),
        "features": (frozenset(plan.features), ", ".join(sorted(plan.features)) or NONE),
        "limits": _limits(plan.limits),
    }
    for route in routes:
        said = plan.routes.get(route.index)
        if said is not None:
            told |= _on_route(route, said)
    if not any(fact != NONE for _, fact in told.values()):
        told["says"] = (None, "nothing other" if plan.name != DEFAULT_PLAN else "the usual prices")
    return told


def _on_route(route: Route, said: PlanRoute) -> Told:
    name = route_words(route.path, route.methods)
    told = {name: _priced(said.price, said.factor, route)}
    if said.limits:
        told[f"{name} limits"] = _limits(said.limits)
    return told


def _priced(price: int | None, factor: Fraction | None, route: Route | None) -> tuple[object, str]:
    if price is not None and route is not None:
        return price, amount_words(price, route.price.scale, route.price.credit_type)
    return factor, NONE if factor is None else f"{factor_words(factor)} of the usual"


def _limits(limits: Sequence[Limit]) -> tuple[object, str]:
    return frozenset(limits), words("limits", tuple(limits))


def plan_warnings(prices: PriceList) -> list[str]:
    """Say what is right by itself and will surprise: plans and features that nothing here gives."""
    if not prices.asks_plans:
        return []
    sentences = []
    for package in prices.packages.values():
        if package.plan_tier and package.plan_tier not in prices.plans:
            instead = (
                "the plan default counts" if DEFAULT_PLAN in prices.plans else "nothing changes"
            )
            sentences.append(
                f"The package {package.id} puts its subscribers on the plan {package.plan_tier},"
                f" which is not among `plans`: for them {instead}."
            )
    given = {feature for plan in prices.plans.values() for feature in plan.features}
    given |= {flag for package in prices.packages.values() for flag in package.feature_flags}
    sentences += [
        f"The route {route.name} asks for the feature {route.feature}, which no plan and no package"
        " here has: only a product at Stripe can open it."
        for route in prices.routes
        if route.feature is not None and not route.plans and route.feature not in given
    ]
    return sentences
