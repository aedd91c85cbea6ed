"""Which plan a recorded charge is repriced by, and the routes as they are on it."""

from collections.abc import Mapping, Sequence

from config import Heirs, PriceList, Route, is_open, on_plan
from gateway.repricing import NotRepriced, Repricing, not_repriced
from ledger import plans
from ledger.database import Connection


class ChargePlans:
    """
    The plans of charges that are read in heaps.

    A charge says which plan its account was on, where the prices of that time asked for it; for
    one that does not, the plan counts that the account has now.
    """

    def __init__(self, connection: Connection, new: PriceList) -> None:
        self._connection = connection
        self._new = new
        self._now: Mapping[int, str] = {}
        self.guessed = False
        """Whether a plan of now has stood for one that nobody had recorded."""

    async def learn(self, accounts: set[int]) -> None:
        """Ask once for the accounts of a heap; where no price depends on plans, for nothing."""
        if self._new.asks_plans:
            self._now = await plans.names_of(self._connection, accounts)

    def of(self, old: PriceList, account: int | None, recorded: str | None) -> str:
        """Return the plan of a charge; empty where neither list knows it."""
        name = recorded or ""
        if not old.asks_plans and account is not None:
            name = self._now.get(account, "")
            self.guessed = self.guessed or bool(self._now)
        return name if name in old.plans or name in self._new.plans else ""


def repricing_on(
    plan: str, old: PriceList, new: PriceList, route: Route, heirs: Heirs
) -> Repricing:
    """Reprice a route's charges of accounts on this plan."""
    known = new.plan_of(plan)
    there = Heirs(tuple(on_plan(known, heir) for heir in heirs.routes), heirs.none)
    return Repricing(
        on_plan(old.plan_of(plan), route), there, refusal=_refusal(plan, new, route, there.routes)
    )


def _refusal(plan: str, new: PriceList, old: Route, heirs: Sequence[Route]) -> NotRepriced | None:
    """Say why a plan closes the new route, if one of them is what the charge would meet."""
    for heir in heirs[:1]:
        asked_alike = (heir.plans, heir.feature) == (old.plans, old.feature)
        if heir.observe or asked_alike or is_open(heir, new.plan_of(plan), ()):
            continue
        if heir.feature is None:
            return not_repriced("refused", "plan-required")
        return not_repriced("price-needs-more", f"whether the account has {heir.feature}")
    return None
