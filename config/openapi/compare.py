"""
Holding a price file against an OpenAPI document.

They are compared by what the backend is asked: a route's upstream may put a path before the
request's, and a document's server may name that path or not.
"""

from dataclasses import dataclass

from config.model import Route
from config.openapi.operations import Api, Operation
from config.openapi.templates import NotARoute, route_path, sample_path
from config.paths import BadPath
from config.price_list import PriceList
from config.reading.shape import METHODS
from config.routing import Match, MethodNotAllowed, shape


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
    routes = _Routes(price_list)
    served: dict[int, set[str]] = {}
    missing: list[Unserved] = []
    for operation in api.operations:
        found = routes.of(operation)
        if isinstance(found, str):
            missing.append(Unserved(operation, found))
            continue
        served.setdefault(found.index, set()).add(operation.method)
        if found.price.unpriced:
            missing.append(Unserved(operation, "not priced yet", found))
    extra = [gap for route in price_list.routes for gap in _gaps(route, served.get(route.index))]
    return Comparison(len(api.operations), tuple(missing), tuple(extra))


class _Routes:
    """Finds the route that brings a request to an operation."""

    def __init__(self, price_list: PriceList) -> None:
        self._price_list = price_list
        prefixes = {upstream.prefix for upstream in price_list.upstreams.values()}
        self._prefixes = sorted(prefixes, reverse=True)
        self._deepest = max(route.path.count("/") for route in price_list.routes)
        self._exact = {
            (route.upstream.prefix, shape(route.path), method): route
            for route in price_list.routes
            for method in route.methods
        }

    def of(self, operation: Operation) -> Route | str:
        """
        Return the route; else say in a few words why there is none.

        One of the very same form is the operation's, whatever else a single request might match.
        """
        try:
            form = route_path(operation.path).encode()
            asked = sample_path(operation.path, rest=self._deepest + 1)
        except NotARoute as error:
            return f"no route can have it: {error}"
        why = "no route"
        for prefix in self._prefixes:
            below = _below(prefix, form)
            if below is None:
                continue
            if same := self._exact.get((prefix, shape(below.decode()), operation.method)):
                return same
            found = self._matched(operation.method, _below(prefix, asked) or b"/", prefix)
            if isinstance(found, Route):
                return found
            why = found or why
        return why

    def _matched(self, method: str, path: bytes, prefix: bytes) -> Route | str:
        try:
            found = self._price_list.match(method.encode(), path)
        except BadPath as error:
            return f"its route refuses it: {error}"
        if isinstance(found, Match) and found.route.upstream.prefix == prefix:
            return found.route
        if isinstance(found, MethodNotAllowed):
            return f"its path is there for {', '.join(found.allow)} only"
        return ""


def _below(prefix: bytes, path: bytes) -> bytes | None:
    """Return what a caller asks for to reach a path of the backend; None: nothing does."""
    rest = path[len(prefix) :]
    if not path.startswith(prefix) or rest[:1] not in {b"/", b""}:
        return None
    return rest or b"/"


def _gaps(route: Route, used: set[str] | None) -> list[Unmatched]:
    if not used:
        return [Unmatched(route, None)]
    if set(route.methods) == set(METHODS):
        return []  # it takes whatever there is
    implied = {"HEAD"} if "GET" in used else set()
    left = [method for method in route.methods if method not in used | implied]
    return [Unmatched(route, method) for method in left]
