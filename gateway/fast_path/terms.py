"""What a key's requests to one route have in common: what is held for them, and how they end."""

from dataclasses import dataclass
from typing import Final

from config import RequestFacts, Route
from gateway.answer import shown_amount
from gateway.identify import Caller
from gateway.metering import Metering
from gateway.order import hold_order
from gateway.outcome import Charge, End, Ending, outcome
from gateway.visit import Visit
from ledger.hold_order import HoldOrder
from ledger.ports import Clock
from ledger.quick_hold import QuickHold

MOST_KEPT: Final = 10_000
"""Some 2 KB each; then all are worked out anew."""


class NotUsual(Exception):
    """The main flow has to serve such requests."""


@dataclass(frozen=True, slots=True)
class How:
    """How a request ends whose answer has a certain status; amounts in smallest units."""

    captures: bool
    captured: int
    reason: int
    word: str
    cost: bytes
    given_back: int
    series: tuple[str, int, str]


class Priced:
    """
    A request's hold, and how it ends.

    Attributes:
        quick: What is held; its ceiling is the cost, where that is known before the call.
    """

    __slots__ = ("_charge", "_hows", "_route", "quick")

    def __init__(self, route: Route, order: HoldOrder) -> None:
        self.quick = QuickHold(order)
        self._route = route
        self._charge = Charge(order.ceiling, order.ceiling, final=True)
        self._hows: dict[int, How] = {}

    def how(self, status: int) -> How:
        """Return how such a request ends with this status."""
        how = self._hows.get(status)
        if how is None:
            how = self._hows[status] = self._decide(status)
        return how

    def _decide(self, status: int) -> How:
        route = self._route
        ending = Ending(End.COMPLETE, status, covered=route.charge_on.covers(status))
        result = outcome(ending, self._charge)
        return How(
            captures=result.capture,
            captured=result.amount,
            reason=result.reason,
            word=result.reason.word,
            cost=shown_amount(result.amount, route.price.scale),
            given_back=self._charge.ceiling - result.amount,
            series=(route.name, status // 100, result.reason.word),
        )


class Terms:
    """
    Of one key, one route and one plan.

    Attributes:
        metered: The cost follows from the answer: the main flow reads that.
    """

    __slots__ = (
        "_always",
        "_clock",
        "address",
        "caller",
        "limits",
        "metered",
        "plan",
        "route",
        "scale",
        "timeout_s",
    )

    def __init__(self, visit: Visit, caller: Caller, clock: Clock) -> None:
        route = visit.route
        self._clock = clock
        self._always: Priced | None = None
        self.route = route
        self.caller = caller
        self.plan = visit.plan
        self.limits = visit.limits
        self.scale = route.price.scale
        self.address = visit.prices.backends[route.index].address
        self.timeout_s = self.address.timeout_ms / 1000
        self.metered = bool(route.price.after_lines)

    def price(self, visit: Visit, facts: RequestFacts) -> Priced:
        """
        Return what is held for a request.

        Raises:
            NotUsual: It costs nothing.
            Unpriceable: As the main flow will say.
        """
        if self._always is not None:
            return self._always
        route = self.route
        metering = Metering(route.price, route.price.before(facts), visit.request, self._clock)
        if metering.measured.ceiling == 0:
            raise NotUsual
        priced = Priced(route, hold_order(visit, self.caller, metering, facts))
        if route.price.fixed is not None and not route.record:
            self._always = priced
        return priced


class KeptTerms:
    """The terms of one price list, by whose and what."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: object = None
        self._terms: dict[tuple[int, int, int | None], Terms] = {}

    def of(self, visit: Visit, caller: Caller) -> Terms:
        """Return those of a visit whose route and plan are known."""
        if visit.prices is not self._of or len(self._terms) >= MOST_KEPT:
            self._of = visit.prices
            self._terms.clear()
        name = visit.route.index, caller.key, visit.plan
        terms = self._terms.get(name)
        if terms is None:
            terms = self._terms[name] = Terms(visit, caller, self._clock)
        return terms
