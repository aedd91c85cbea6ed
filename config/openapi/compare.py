"""
Holding a price file against an OpenAPI document.

They are compared by what the backend is asked: a route's upstream may put a path before the
request's, and a document's server may name that path or not.
"""

from dataclasses import dataclass

from config.model import Route
from config.openapi.operations import Api, Operation
from config.openapi.templates import NotARoute, sample_path
from config.paths import BadPath
from config.price_list import PriceList
from config.reading.shape import METHODS
from config.routing import Match, MethodNotAllowed


@dataclass(frozen=True, slots=True)
class Unserved:
    """An operation without a price: no route has it, or its route is not priced yet."""

    operation: Operation
    why: str
    route: Route | None = None
    """The one that is not priced."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A price without an operation: a route, or one method of it, that the document lacks."""

    route: Route
    method: str | None
    """None: no method of the route is in the document."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What either side lacks, in the order of the document and of the file."""

    operations: int
    without_price: tuple[Unserved, ...]
    without_operation: tuple[Unmatched, ...]

    @property
    def same(self) -> bool:
        """Whether every operation has a price and every price an operation."""
        return not (self.without_price or self.without_operation)


def compare(price_list: PriceList, api: Api) -> Comparison:
    """Say which operations have no price and which prices no operation."""
    served: dict[int, set[str]] = {}
    missing: list[Unserved] = []
    prefixes = sorted({upstream.prefix for upstream in price_list.upstreams.values()}, reverse=True)
    for operation in api.operations:
        found = _route_of(price_list, operation, prefixes)
        if isinstance(found, str):
            missing.append(Unserved(operation, found))
            continue
        served.setdefault(found.index, set()).add(operation.method)
        if found.price.unpriced:
            missing.append(Unserved(operation, "not priced yet", found))
    extra = [gap for route in price_list.routes for gap in _gaps(route, served.get(route.index))]
    return Comparison(len(api.operations), tuple(missing), tuple(extra))


def _route_of(price_list: PriceList, operation: Operation, prefixes: list[bytes]) -> Route | str:
    """Find the route that brings a request to this operation; else say in a word why none does."""
    try:
        asked = sample_path(operation.path)
    except NotARoute as error:
        return f"no route can have it: {error}"
    why = "no route"
    for prefix in prefixes:
        if not asked.startswith(prefix) or asked[len(prefix) : len(prefix) + 1] not in {b"/", b""}:
            continue
        try:
            found = price_list.match(operation.method.encode(), asked[len(prefix) :] or b"/")
        except BadPath as error:
            why = f"its route refuses it: {error}"
            continue
        if isinstance(found, Match) and found.route.upstream.prefix == prefix:
            return found.route
        if isinstance(found, MethodNotAllowed):
            why = f"its path is there for {', '.join(found.allow)} only"
    return why


def _gaps(route: Route, used: set[str] | None) -> list[Unmatched]:
    if not used:
        return [Unmatched(route, None)]
    if set(route.methods) == set(METHODS):
        return []  # it takes whatever there is
    implied = {"HEAD"} if "GET" in used else set()
    left = [method for method in route.methods if method not in used | implied]
    return [Unmatched(route, method) for method in left]
