"""The whole price file, ready to be asked: which route, which price, which packages."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from config.amounts import LARGEST_AMOUNT
from config.limits import Limits
from config.model import Cors, CreditType, Network, Package, Route, SellingRules, Upstream
from config.plans import DEFAULT_PLAN, Plan, largest_on
from config.pricing.price import Price
from config.routing import Matched, RouteTable


@dataclass(frozen=True, slots=True)
class PriceList:
    """One version of the operator's decisions. Never changes; a new file makes a new one."""

    credit_types: Mapping[str, CreditType]
    upstreams: Mapping[str, Upstream]
    routes: tuple[Route, ...]
    packages: Mapping[str, Package] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    prefix: str = "/farebox"
    """Where our own routes are."""
    cors: Cors = field(default_factory=Cors)
    trusted_proxies: tuple[Network, ...] = ()
    """Peers whose X-Forwarded-* headers are believed."""
    observe: bool = False
    selling: SellingRules = field(default_factory=SellingRules)
    prices: Literal["file", "database"] = "file"
    """Where they live: changed by editing the file, or by publishing them."""
    upstream_client: Literal["own", "httpx"] = "own"
    asks_plans: bool = field(init=False, repr=False, compare=False)
    """Whether it matters for any request which plan its account is on."""
    _table: RouteTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the table once; every request walks it."""
        object.__setattr__(self, "_table", RouteTable(self.routes))
        closed = any(route.plans or route.feature for route in self.routes)
        object.__setattr__(self, "asks_plans", closed or bool(self.plans))

    def match(self, method: bytes, path: bytes) -> Matched:
        """
        Find the route for a method and a path from `canonical_path`.

        Raises:
            BadPath: The path has a `%2F` and its route does not take it.
        """
        return self._table.match(method, path)

    def plan_of(self, name: str) -> Plan | None:
        """Give what is said of an account's plan; of one that is not known, the default."""
        return self.plans.get(name) or self.plans.get(DEFAULT_PLAN)

    def trusts(self, peer: str) -> bool:
        """Whether a peer's X-Forwarded-* headers are believed."""
        if not self.trusted_proxies:
            return False
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.trusted_proxies)

    def largest_ceiling(self, credit_type: str) -> int:
        """
        Give the largest ceiling a request of this credit type can have; 0 if none uses it.

        A price without `max` has no largest one: it counts with what its defaults and one
        `unit` of each quantity cost (see `unbounded`).
        """
        of_type = [route for route in self.routes if route.price.credit_type == credit_type]
        usual = [(route, largest_of(route.price)) for route in of_type]
        on_plans = (
            largest_on(plan, route, most) for plan in self.plans.values() for route, most in usual
        )
        return max(max((most for _, most in usual), default=0), max(on_plans, default=0))

    @property
    def unpriced(self) -> tuple[Route, ...]:
        """The routes whose price nobody has written yet; they observe."""
        return tuple(route for route in self.routes if route.price.unpriced)

    def unbounded(self, credit_type: str) -> tuple[Route, ...]:
        """Give the routes of this credit type whose cost the request alone limits."""
        return tuple(
            route
            for route in self.routes
            if route.price.credit_type == credit_type and not is_bounded(route.price)
        )


def is_bounded(price: Price) -> bool:
    """Whether the file itself limits what one request can cost."""
    return price.maximum is not None or not price.before_lines


def largest_of(price: Price) -> int:
    """Give the largest ceiling of one price, as `PriceList.largest_ceiling` counts it."""
    if price.maximum is not None:
        # Where the answer decides, the hold is all that is reserved, unless more is known before.
        return price.hold if price.hold is not None and not price.before_lines else price.maximum
    if price.fixed is not None:
        return price.fixed.ceiling
    each = [
        (max(line.unit, line.default or 0), line.unit, line.cost) for line in price.before_lines
    ]
    usual = price.flat + sum(-(-quantity * cost // unit) for quantity, unit, cost in each)
    return min(max(usual, price.minimum, price.hold or 0), LARGEST_AMOUNT)
