"""What the passages of a worker share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.access_log import AccessLog
from gateway.busy_poll import Awaited, BusyPoll
from gateway.fast_path.passage import Passage
from gateway.fast_path.prepare import OnlyLookedAt, Prepared, Preparing, prepare
from gateway.fast_path.terms import KeptTerms, NotUsual
from gateway.framing import Head, StrictHttpProtocol
from gateway.header_facts import HeaderFacts
from gateway.identify import Identification
from gateway.metrics import Metrics
from gateway.plans import Plans
from gateway.prices import LivePrices, Prices
from gateway.request import Request, header_facts
from gateway.upstream import H1Client
from ledger.ports import Clock
from ledger.quick_hold import QuickHolds

SWEEP_EVERY_S: Final = 1.0
"""What is not over after one sweep is left to the main flow with the next: it renews the hold of a
request that takes long, and watches its client."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found out of requests with these header lines, for the next of the same target."""

    method: bytes
    target: bytes
    prices: Prices
    prepared: Prepared | None


class FastPath:
    """Prepares requests, and makes the passages that serve them."""

    def __init__(
        self,
        *,
        holds: QuickHolds,
        identification: Identification,
        prices: LivePrices,
        upstreams: H1Client,
        plans: Plans,
        access_log: AccessLog,
        metrics: Metrics,
        clock: Clock,
        poll: BusyPoll,
        is_proxied: Callable[[Head], bool],
    ) -> None:
        """
        Build it from the parts of the main flow.

        `poll` keeps the worker awake for what is about to come; `is_proxied`: it is not for our own
        routes.
        """
        self.holds = holds
        self.upstreams = upstreams
        self.access_log = access_log
        self.metrics = metrics
        self.clock = clock
        self.poll = poll
        self.answers = Awaited()  # of Redis
        self.requests = Awaited()  # of clients
        self.under_way: set[Passage] = set()
        self._preparing = Preparing(identification, plans, KeptTerms(clock))
        self._prices = prices
        self._plans = plans
        self._is_proxied = is_proxied

    def passage(self, connection: StrictHttpProtocol) -> Passage:
        """Return one for a connection."""
        return Passage(self, connection)

    def prepared(self, connection: StrictHttpProtocol, head: Head) -> Prepared | None:
        """Return what is known of such requests; None where the main flow has to serve this one."""
        facts = header_facts(head.block)
        known = facts.prepared
        if (
            not isinstance(known, _Known)
            or known.target != head.target
            or known.method != head.method
            or known.prices is not self._prices.now
        ):
            return self._prepare(connection, head, facts)
        prepared = known.prepared
        if prepared is not None and not self.is_current(prepared):
            return self._prepare(connection, head, facts)
        return prepared

    def is_current(self, prepared: Prepared) -> bool:
        """Whether prices and plan are still those that it was prepared for."""
        if prepared.prices is not self._prices.now:
            return False
        terms = prepared.terms
        return terms.plan is None or terms.plan == self._plans.remembered(terms.caller.account)

    def _prepare(
        self, connection: StrictHttpProtocol, head: Head, facts: HeaderFacts
    ) -> Prepared | None:
        prices = self._prices.now
        facts.prepared = prepared = None
        try:
            if self._is_proxied(head):
                request = Request(OnlyLookedAt(head, connection.peer, connection.scheme))
                prepared = prepare(request, prices, self._preparing)
                if prepared is None:
                    return None
        except NotUsual:
            pass
        facts.prepared = _Known(head.method, head.target, prices, prepared)
        return prepared

    async def run(self) -> None:
        """Leave what takes long to the main flow, for ever."""
        seen: dict[Passage, int] = {}
        while True:
            await self.clock.sleep(SWEEP_EVERY_S)
            for passage in tuple(self.under_way):
                if seen.get(passage) == passage.began_us:
                    passage.leave()
            seen = {passage: passage.began_us for passage in self.under_way}
