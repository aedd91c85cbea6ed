"""
Which plan a request is priced by, where prices depend on it.

An account's plan may change with every call, so nobody is asked before one: the plan is remembered,
the hold says when the account is on another, and the request is priced anew by that one. Nothing
was held then, so nothing is charged twice; and what is held keeps the price it was made with.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from config import Match
from gateway.identify import Caller
from gateway.problems import Problem
from gateway.visit import Visit
from ledger.errors import LedgerError, LedgerUnavailable, PlanChanged
from ledger.hold_order import HoldOrder
from ledger.holds import Holds
from ledger.plans import NOTHING, OnPlan, PlanDirectory
from ledger.ports import Clock

MOST_TRIES: Final = 3
"""The first is by what is remembered, which at first is nothing; the others by what Redis said."""

MOST_REMEMBERED: Final = 100_000
"""Accounts; then all are forgotten, and their next call is priced twice."""

WATCHED_FOR_S: Final = 10.0
"""No hold says on which plan a watched request's account is; Postgres is asked again after this."""

WATCHED_LIMIT_S: Final = 1.0
"""A request that is only watched does not wait longer than this to know it."""


class Plans:
    """Remembers what accounts are on."""

    def __init__(self, directory: PlanDirectory, holds: Holds, clock: Clock) -> None:
        self._directory = directory
        self._holds = holds
        self._clock = clock
        self._numbers: dict[int, int] = {}
        self._watched: dict[int, _Looked] = {}

    async def charge(
        self,
        visit: Visit,
        caller: Caller,
        serve: Callable[[Match], Awaitable[None]],
    ) -> None:
        """
        Serve a request by the plan that its account is on when the hold is made.

        Args:
            visit: Its route is that of the file, and afterwards as it is on the plan.
            caller: Whose it is.
            serve: Prices, holds, forwards and settles; raises PlanChanged with nothing held.

        Raises:
            Problem: 403 `plan-required`: the route is closed to this plan.
            LedgerUnavailable: The plan cannot be told, or changes again and again.
        """
        match, terms = visit.match, visit.prices.plans
        assert match is not None
        assert terms is not None
        begun = visit.begun
        for _ in range(MOST_TRIES):
            number = self.remembered(caller.account)
            if begun is not None and begun.plan is not None:
                number = begun.plan
            plan = self._directory.remembered(number) or await self._directory.find(number)
            on = terms.on(plan, match.route)
            try:
                if on.closed:
                    # It may be open by now: what is remembered refuses nobody.
                    await self._holds.check(_order(visit, caller, number))
                    raise _plan_required(on.closed, plan)
                there = match if on.route is match.route else Match(on.route, match.params)
                visit.on_plan(there, on.limits, number, plan.name)
                return await serve(there)
            except PlanChanged as changed:
                self._remember(caller.account, changed.number)
        raise LedgerUnavailable("the account's plan changes with every look")

    async def watched(self, visit: Visit, caller: Caller) -> str:
        """Put what is only watched on its account's plan; return the problem it would meet."""
        match, terms = visit.match, visit.prices.plans
        assert match is not None
        assert terms is not None
        plan = await self._looked_up(caller.account)
        on = terms.on(plan, match.route)
        there = match if on.route is match.route else Match(on.route, match.params)
        visit.on_plan(there, on.limits, None, plan.name)
        return "plan-required" if on.closed else ""

    def remembered(self, account: int) -> int:
        """Return the number of the plan that an account was on lately; at first, of none."""
        return self._numbers.get(account, 0)

    def put_on(self, visit: Visit, caller: Caller) -> bool:
        """Put a visit on what is remembered; False where that is not known, or closes the route."""
        match, terms = visit.match, visit.prices.plans
        assert match is not None
        assert terms is not None
        number = self.remembered(caller.account)
        plan = self._directory.remembered(number)
        if plan is None:
            return False
        on = terms.on(plan, match.route)
        if on.closed:
            return False
        there = match if on.route is match.route else Match(on.route, match.params)
        visit.on_plan(there, on.limits, number, plan.name)
        return True

    def _remember(self, account: int, number: int) -> None:
        if len(self._numbers) >= MOST_REMEMBERED:
            self._numbers.clear()
        self._numbers[account] = number

    async def _looked_up(self, account: int) -> OnPlan:
        """Return what an account was on lately; nothing where nobody can say it in time."""
        known = self._watched.get(account)
        now = self._clock.monotonic()
        if known is not None and now - known.at < WATCHED_FOR_S:
            return known.plan
        plan = NOTHING if known is None else known.plan
        try:
            async with asyncio.timeout(WATCHED_LIMIT_S):
                plan = await self._directory.of_account(account)
        except (LedgerError, TimeoutError):
            pass  # a failure too is kept for a while: watching must not wait with every request
        if len(self._watched) >= MOST_REMEMBERED:
            self._watched.clear()
        self._watched[account] = _Looked(plan, now)
        return plan


class _Looked(NamedTuple):
    plan: OnPlan
    at: float


def _order(visit: Visit, caller: Caller, number: int) -> HoldOrder:
    """Ask whether the key is good and the account still on this, and count nothing."""
    return HoldOrder(
        account=caller.account,
        key=caller.key,
        credit_type=visit.prices.type_numbers[visit.route.price.credit_type],
        ceiling=0,
        version=visit.prices.version,
        rule=visit.route.index,
        lifetime_ms=visit.route.lifetime_ms,
        plan=number,
    )


def _plan_required(sentence: str, plan: OnPlan) -> Problem:
    yours = f"Yours is {plan.name}." if plan.name else "Yours has none."
    return Problem("plan-required", f"{sentence} {yours}", plan=plan.name)
