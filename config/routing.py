"""
From method and path to the route: a walk along the path, however many routes there are.

The most specific path wins, segment by segment from the left: a literal before `{x}`
before `*`. Only then is the method looked at, so that a POST to a path known for GET is
a 405 and never slips into a catch-all that costs something else.

Many backends ignore case, a slash at the end or `;x` behind a segment (Express does two of these,
servlets the third). A path that only a pattern takes, and that they would serve as another
route's, is refused: `/files/Secret` is not sold at the price of `/files/*`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from config.model import Route
from config.paths import BadPath

_END = re.compile(rb"(?:\.|%20)+$")
_BEHIND_SEMICOLON = re.compile(rb"(?:;|%3B)[^/]*")
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
    folded: tuple[bytes, ...] = ()
    """Its shape as a lenient backend sees it; two with the same are told apart by us alone."""
    covers: bool = False
    """Its pattern also takes what a lenient backend sees as another shape."""


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
        self._folded = _Node()
        self._literal: dict[bytes, Endpoint] = {}
        endpoints: dict[str, Endpoint] = {}
        for route in routes:
            endpoint = endpoints.setdefault(shape(route.path), Endpoint())
            if not parameters(route.path) and not route.path.endswith("*"):
                self._literal[route.path.encode()] = endpoint
            _place(self._root, route.path.encode().split(b"/")[1:], endpoint)
            endpoint.folded = tuple(_fold(shape(route.path).encode()))
            _place(self._folded, endpoint.folded, endpoint)
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
            endpoint.covers = _covers(self._folded, endpoint.folded)

    def match(self, method: bytes, path: bytes) -> Matched:
        """
        Find the route for a canonical path.

        Raises:
            BadPath: A `%2F` on a route that does not say `encoded_slash: allow`, or a path that
                lenient backends serve as another route's.
        """
        endpoint = self._literal.get(path)
        values: tuple[bytes, ...] = ()
        if endpoint is None:
            found = _walk(self._root, path[1:].split(b"/"), 0)
            if found is None:
                return _NO_ROUTE
            endpoint, values = found
            if endpoint.covers:
                self._check_alone(endpoint, path)
        known = endpoint.by_method.get(method)
        if known is None:
            return endpoint.not_allowed
        match, names = known
        if b"%2F" in path and not match.route.encoded_slash:
            raise BadPath("the path has an escaped slash, which this route does not take")
        if not names:
            return match
        return Match(match.route, dict(zip(names, map(_decoded, values), strict=True)))

    def _check_alone(self, endpoint: Endpoint, path: bytes) -> None:
        """Refuse a path that a pattern takes and that lenient backends take for another route."""
        found = _walk(self._folded, _fold(path), 0)
        if found is not None and found[0].folded != endpoint.folded:
            raise BadPath("the path differs from another route's only in case, `;` or its end")


Found = tuple[Endpoint, tuple[bytes, ...]]


def _place(node: _Node, segments: Sequence[bytes], endpoint: Endpoint) -> None:
    *before, last = segments
    for segment in segments if last != b"*" else before:
        if segment[:1] == b"{":  # no literal has a brace
            node.parameter = node.parameter or _Node()
            node = node.parameter
        else:
            node = node.literals.setdefault(segment, _Node())
    if last == b"*":
        node.rest = endpoint
    else:
        node.here = endpoint


def _fold(path: bytes) -> list[bytes]:
    """Give a path's segments as a lenient backend sees them."""
    lenient = _BEHIND_SEMICOLON.sub(b"", path.replace(b"%2F", b"/")).lower()
    segments = [segment for segment in lenient.split(b"/") if segment]
    if segments:
        # Where files are served from Windows, dots and spaces at the end are not part of a name.
        segments[-1] = _END.sub(b"", segments[-1]) or segments[-1]
    return segments or [b""]


def _covers(node: _Node, pattern: Sequence[bytes], at: int = 0, *, same: bool = True) -> bool:
    """
    Whether a folded pattern takes paths of another folded shape, of those below a node.

    `same`: the way here is the pattern's own, so what it ends with is the pattern itself.
    """
    if at == len(pattern):
        return node.here is not None and not same
    segment = pattern[at]
    if segment == b"*":
        return bool(node.literals or node.parameter) or (node.rest is not None and not same)
    wild = segment == b"{}"
    if wild and node.rest is not None and at + 1 == len(pattern):
        return True
    if node.parameter is not None and _covers(node.parameter, pattern, at + 1, same=same and wild):
        return True
    if not wild:
        found = node.literals.get(segment)
        return found is not None and _covers(found, pattern, at + 1, same=same)
    return any(_covers(one, pattern, at + 1, same=False) for one in node.literals.values())


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
