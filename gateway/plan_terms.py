"""What one version of the prices is for accounts on a plan: worked out when somebody asks."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from config import Limit, Plan, PriceList, Route, instead_of, is_open, on_plan, plan_required
from gateway.limits import RouteLimits, limits_of
from ledger.plans import OnPlan

MOST_KEPT: Final = 20_000
"""Routes on plans that differ from the usual; then all are forgotten, and worked out anew."""


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
        self._of_file: dict[str, tuple[Limit, ...]] = {}
        self._worked_out: dict[tuple[str, int], tuple[Route, RouteLimits]] = {}

    def on(self, plan: OnPlan, route: Route) -> Terms:
        """Return a route of the list as it is for accounts that are on this."""
        known = self._prices.plan_of(plan.name)
        closed = ""
        if not is_open(route, known, plan.features):
            closed = plan_required(route, self._prices.plans)
        if known is None:
            return Terms(route, self._usual[route.index], closed)
        place = (known.name, route.index)
        found = self._worked_out.get(place)
        if found is None:
            if len(self._worked_out) >= MOST_KEPT:
                self._worked_out.clear()
            found = self._worked_out[place] = self._work_out(known, route)
        return Terms(*found, closed)

    def _work_out(self, plan: Plan, route: Route) -> tuple[Route, RouteLimits]:
        other = on_plan(plan, route)
        if other is route and not plan.limits:
            return route, self._usual[route.index]
        if plan.name not in self._of_file:
            self._of_file[plan.name] = instead_of(self._prices.limits.all, plan.limits)
        return other, limits_of(self._prices, other, self._of_file[plan.name])
