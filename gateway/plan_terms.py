"""What one version of the prices is for accounts on a plan: worked out when somebody asks."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from config import Limit, Plan, PriceList, Route, is_open, on_plan, plan_required
from gateway.limits import RouteLimits, limits_of, limits_over_all
from ledger.plans import OnPlan

MOST_KEPT: Final = 100_000
"""Routes on plans that were called: some 50 MB. Then all are forgotten, and worked out anew."""


class Terms(NamedTuple):
    """
    A route as it is for some account.

    Attributes:
        limits: Of its requests.
        closed: Why the account may not call it; empty where it may.
    """

    route: Route
    limits: RouteLimits
    closed: str


class PlanTerms:
    """Of one price list. What a plan says nothing about is shared with those on no plan."""

    def __init__(self, prices: PriceList, usual: Sequence[RouteLimits]) -> None:
        self._prices = prices
        self._usual = usual
        self._on: dict[str, list[Terms | None]] = {}
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._shared: dict[tuple[str, str, bool, int], RouteLimits] = {}
        self._kept = 0

    def on(self, plan: OnPlan, route: Route) -> Terms:
        """Return a route of the list as it is for accounts that are on this."""
        known = self._prices.plan_of(plan.name)
        name = "" if known is None else known.name
        on = self._on.get(name)
        if on is None:
            on = self._on[name] = [None] * len(self._prices.routes)
        terms = on[route.index] or self._work_out(known, route, on)
        if terms.closed and plan.features and is_open(route, known, plan.features):
            return terms._replace(closed="")
        return terms

    def _work_out(self, plan: Plan | None, route: Route, on: list[Terms | None]) -> Terms:
        if self._kept >= MOST_KEPT:
            self._on.clear()  # `on` itself goes with the request that asks
            self._kept = 0
        self._kept += 1
        other = on_plan(plan, route)
        limits = self._usual[route.index]
        if plan is not None and (other is not route or plan.limits):
            limits = self._limits_of(plan, other)
        closed = ""
        if not is_open(route, plan, ()):
            closed = plan_required(route, self._prices.plans)
        terms = on[route.index] = Terms(other, limits, closed)
        return terms

    def _limits_of(self, plan: Plan, route: Route) -> RouteLimits:
        of_file = self._limits.get(plan.name)
        if of_file is None:
            of_file = limits_over_all(self._prices, plan)
            self._limits[plan.name] = of_file
        if not plan.limits and route.limits is self._prices.routes[route.index].limits:
            return self._usual[route.index]
        if route.limits:
            return limits_of(self._prices, route, of_file)
        # All that differs between routes without limits of their own.
        alike = (plan.name, route.price.credit_type, route.websocket, route.weight)
        if alike not in self._shared:
            self._shared[alike] = limits_of(self._prices, route, of_file)
        return self._shared[alike]
