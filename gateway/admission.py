"""What a request's head decides before anybody asks for a key: its route, or a refusal."""

from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from config import Match, MethodNotAllowed, NoRoute, PriceList, Route
from gateway.headers import value_of
from gateway.problems import Problem
from gateway.request import BodyTooLarge, Request

_ASKS_METHOD: Final = b"access-control-request-method"


def is_preflight(request: Request) -> bool:
    """Tell whether a browser asks what a page may send (Fetch standard, CORS-preflight)."""
    return (
        request.method == b"OPTIONS"
        and request.facts.origin is not None
        and value_of(request.headers, _ASKS_METHOD) is not None
    )


class Found(NamedTuple):
    """A request's route, and whether the request is a preflight that passes unpriced."""

    match: Match
    preflight: bool


def find_route(prices: PriceList, request: Request, path: bytes) -> Found:
    """
    Return the route of a canonical path.

    A preflight belongs to the method it asks about, or, so that the backend can say no itself, to
    any method of a known path. Where the route keeps preflights out, it is an OPTIONS like others.

    Raises:
        Problem: `no-route`, or `method-not-allowed` with Allow.
        BadPath: The path has a `%2F` that the route does not take.
    """
    prefix = prices.prefix.encode()
    if path == prefix or path.startswith(prefix + b"/"):
        # Ours in another spelling. A backend's catch-all route must not answer in our name.
        raise _no_route()
    if is_preflight(request):
        match = _preflighted(prices, request, path)
        if match is not None and match.route.cors.preflights:
            return Found(match, preflight=True)
    found = prices.match(request.method, path)
    match found:
        case NoRoute():
            raise _no_route()
        case MethodNotAllowed():
            allow = ", ".join(found.allow)
            raise Problem(
                "method-not-allowed",
                f"This path takes {allow}.",
                headers=((b"allow", allow.encode()),),
            )
    return Found(found, preflight=False)


def _preflighted(prices: PriceList, request: Request, path: bytes) -> Match | None:
    found = prices.match(value_of(request.headers, _ASKS_METHOD) or b"", path)
    if isinstance(found, MethodNotAllowed):
        found = prices.match(found.allow[0].encode(), path)
    return found if isinstance(found, Match) else None


def check_head(request: Request, route: Route) -> None:
    """
    Refuse what could make the backend do something else than what is priced.

    Raises:
        Problem: A WebSocket where none is served, or none where one is; a method override in
            the query.
        BodyTooLarge: Content-Length says so already.
    """
    asked = request.facts.upgrade.lower() == b"websocket"
    if route.websocket and not (asked and request.method == b"GET"):
        raise Problem(
            "upgrade-required",
            "This route is a WebSocket: begin with its handshake.",
            headers=((b"connection", b"upgrade"), (b"upgrade", b"websocket")),
        )
    if route.websocket and not request.can_upgrade:
        raise websocket_not_available()
    if asked and not route.websocket:
        raise Problem("upgrade-refused", "This route is not a WebSocket.")
    if not route.observe:
        _check_priced(request, route)


def watched_head(request: Request, route: Route) -> str:
    """Name the problem that the head of a watched request would be refused with; nothing is."""
    try:
        _check_priced(request, route)
    except Problem as problem:
        return problem.name
    except BodyTooLarge:
        return "body-too-large"
    return ""


def _check_priced(request: Request, route: Route) -> None:
    """Refuse what matters where it is charged: where nothing is, nothing can be cheated."""
    if not route.public and request.query and _overrides_method(request.query):
        raise Problem("method-override", "The query may not name `_method`: the method is priced.")
    if route.max_body is not None and (request.body_bytes or 0) > route.max_body:
        raise BodyTooLarge(route.max_body)


def websocket_not_available() -> Problem:
    """Say that this gateway, as it is run, has no WebSockets."""
    return Problem("websocket-not-available", "This gateway is set up without WebSockets.")


def _overrides_method(query: bytes) -> bool:
    if b"_" not in query and b"%" not in query:
        return False
    pairs = query.replace(b";", b"&").split(b"&")
    names = (unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")) for pair in pairs)
    return any(name.strip().lower() == b"_method" for name in names)


def _no_route() -> Problem:
    return Problem("no-route", "No route of the price file has this path; nothing was forwarded.")
