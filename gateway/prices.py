"""The prices in force in this worker: swapped whole, while requests go on with what they began."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from config import PriceList, Route, Upstream
from gateway.headers import Headers
from gateway.limits import RouteLimits, limits_of
from gateway.plan_terms import PlanTerms


@dataclass(frozen=True, slots=True)
class Backend:
    """
    Where a route's requests go.

    Attributes:
        address: As the upstream client takes it, with the route's own time limit.
        first: The Host line, unless the operator has one of their own.
        headers: The operator's own; a client's of the same name are not passed on (`replaced`).
    """

    address: Upstream
    first: Headers
    headers: Headers
    replaced: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Prices:
    """
    One version of the price list, and what of it can be worked out once.

    Attributes:
        version: The number that charges name.
        type_numbers: Credit type -> its number in both stores.
        backends: By `Route.index`.
        prefix: Where our own routes are, as it stands in a path.
        limits: By `Route.index`.
        plans: What is other on plans; None where it does not matter what accounts are on.
    """

    list: PriceList
    version: int
    type_numbers: Mapping[str, int]
    backends: tuple[Backend, ...]
    prefix: bytes
    limits: tuple[RouteLimits, ...]
    plans: PlanTerms | None = None

    def credit_type(self, number: int) -> str:
        """Return the name of a credit type, for people."""
        return next(name for name, known in self.type_numbers.items() if known == number)


class LivePrices:
    """
    What requests that begin now are priced with.

    Attributes:
        now: Read once per request, so that list and version belong together.
    """

    def __init__(self, current: PriceList, version: int, type_numbers: Mapping[str, int]) -> None:
        self.now = _prepare(current, version, type_numbers)

    @property
    def current(self) -> PriceList:
        """The price list in force."""
        return self.now.list

    @property
    def version(self) -> int:
        """Its number."""
        return self.now.version

    def swap(self, current: PriceList, version: int, type_numbers: Mapping[str, int]) -> None:
        """Put another version in force; running requests keep theirs."""
        self.now = _prepare(current, version, type_numbers)


def _prepare(current: PriceList, version: int, type_numbers: Mapping[str, int]) -> Prices:
    backends = tuple(_backend(route) for route in current.routes)
    limits = tuple(limits_of(current, route) for route in current.routes)
    prefix = current.prefix.encode()
    plans = PlanTerms(current, limits) if current.asks_plans else None
    return Prices(current, version, dict(type_numbers), backends, prefix, limits, plans)


def _backend(route: Route) -> Backend:
    upstream = route.upstream
    replaced = frozenset(name for name, _ in upstream.headers)
    return Backend(
        address=replace(upstream, timeout_ms=route.timeout_ms),
        first=[] if b"host" in replaced else [(b"host", upstream.authority)],
        headers=list(upstream.headers),
        replaced=replaced,
    )
