"""
From method and path to the route: a walk along the path, however many routes there are.

The most specific path wins, segment by segment from the left: a literal before `{x}`
before `*`. Only then is the method looked at, so that a POST to a path known for GET is
a 405 and never slips into a catch-all that costs something else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from config.model import Route
from config.paths import BadPath

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request, and what stood in its `{x}`."""

    route: Route
    params: Mapping[str, str]
    """Decoded, as UTF-8."""


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nothing is served under this path."""


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """The path is known, this method on it is not."""

    allow: tuple[str, ...]
    """For the Allow header, sorted."""


Matched = Match | NoRoute | MethodNotAllowed
_NO_ROUTE = NoRoute()


@dataclass(slots=True)
class Endpoint:
    """All routes of one path shape."""

    by_method: dict[bytes, tuple[Match, tuple[str, ...]]] = field(default_factory=dict)
    """With the names of the path's parameters, which each method's route chooses itself."""
    not_allowed: MethodNotAllowed = MethodNotAllowed(())


@dataclass(slots=True)
class _Node:
    literals: dict[bytes, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    here: Endpoint | None = None
    rest: Endpoint | None = None


def parameters(path: str) -> tuple[str, ...]:
    """Give the names in `{}` of a route's path, in order."""
    return tuple(
        found[1] for segment in path.split("/") if (found := _PARAMETER.fullmatch(segment))
    )


def shape(path: str) -> str:
    """Give a route's path without the names of its parameters: equal shapes match alike."""
    return "/".join("{}" if _PARAMETER.fullmatch(s) else s for s in path.split("/"))


def answered_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Give the methods a route answers: HEAD too where there is GET."""
    given = set(methods)
    return tuple(sorted(given | {"HEAD"} if "GET" in given else given))


class RouteTable:
    """All routes of a price list. Built once; looking up changes nothing."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._literal: dict[bytes, Endpoint] = {}
        endpoints: dict[str, Endpoint] = {}
        for route in routes:
            endpoint = endpoints.setdefault(shape(route.path), Endpoint())
            self._place(route.path, endpoint)
            # A match without parameters is the same for every request.
            match = Match(route, {}), parameters(route.path)
            for method in route.methods:
                endpoint.by_method[method.encode()] = match
        for endpoint in endpoints.values():
            # HEAD costs what GET costs, unless a route of its own says otherwise.
            if (get := endpoint.by_method.get(b"GET")) is not None:
                endpoint.by_method.setdefault(b"HEAD", get)
            allow = tuple(sorted(method.decode() for method in endpoint.by_method))
            endpoint.not_allowed = MethodNotAllowed(allow)

    def match(self, method: bytes, path: bytes) -> Matched:
        """
        Find the route for a canonical path.

        Raises:
            BadPath: A `%2F` on a route that does not say `encoded_slash: allow`.
        """
        endpoint = self._literal.get(path)
        values: tuple[bytes, ...] = ()
        if endpoint is None:
            found = _walk(self._root, path[1:].split(b"/"), 0)
            if found is None:
                return _NO_ROUTE
            endpoint, values = found
        known = endpoint.by_method.get(method)
        if known is None:
            return endpoint.not_allowed
        match, names = known
        if b"%2F" in path and not match.route.encoded_slash:
            raise BadPath("the path has an escaped slash, which this route does not take")
        if not names:
            return match
        return Match(match.route, dict(zip(names, map(_decoded, values), strict=True)))

    def _place(self, path: str, endpoint: Endpoint) -> None:
        node = self._root
        *segments, last = path[1:].split("/")
        for segment in (*segments, *(() if last == "*" else (last,))):
            if _PARAMETER.fullmatch(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.encode(), _Node())
        if last == "*":
            node.rest = endpoint
        else:
            node.here = endpoint
            if not parameters(path):
                self._literal[path.encode()] = endpoint


Found = tuple[Endpoint, tuple[bytes, ...]]


def _walk(node: _Node, segments: list[bytes], at: int) -> Found | None:
    """Find the most specific shape below a node; depth is bounded by the routes' own."""
    if at == len(segments):
        return None if node.here is None else (node.here, ())
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None and (found := _walk(literal, segments, at + 1)):
        return found
    if node.parameter is not None and segment:
        found = _walk(node.parameter, segments, at + 1)
        if found:
            return found[0], (segment, *found[1])
    # `*` is one or more segments: `/a/` has none behind its last slash.
    return (node.rest, ()) if node.rest is not None and segment else None


def _decoded(segment: bytes) -> str:
    text = segment.decode("ascii")
    return unquote(text, errors="strict") if "%" in text else text
