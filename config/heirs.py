"""
Which routes of another price list would take the requests that one route has served.

A charge names its route, not its path or method. So what can be told is which routes of the
other list the route's requests may reach: often one, sometimes several, sometimes none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from config.model import Route
from config.price_list import PriceList
from config.routing import shape

ANY = "{}"
"""A segment that may be anything but empty, as behind the slash at a path's end."""

REST = "*"
"""One or more segments, the first of them not empty."""

_RANK = {ANY: 1, REST: 2}

MOST_COMPARED = 500
"""Paths of the newer list that are held against each other; beyond, too many is a safe answer."""

Pattern = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heirs:
    """The routes that requests of one route would reach in another list."""

    routes: tuple[Route, ...]
    """In the order of that list."""
    none: bool
    """Some or all of the requests would reach no route."""


class HeirFinder:
    """Finds them between two lists, whose paths are taken apart once."""

    def __init__(self, old: PriceList, new: PriceList) -> None:
        self._old_shapes = {pattern(route.path) for route in old.routes}
        self._old_methods = _by_shape(old.routes)
        self._new = _by_shape(new.routes)
        self._tree = _Node()
        for one in self._new:
            self._tree.put(one)

    def of(self, route: Route) -> Heirs:
        """Find the heirs of a route of the older list."""
        here = pattern(route.path)
        reached = self._reached(here)
        surely = any(_contains(one, here) for one in reached)
        found: dict[int, Route] = {}
        none = not surely
        served = self._old_methods[here]
        for method in [method for method, one in served.items() if one is route]:
            for one in reached:
                heir = self._new[one].get(method)
                if heir is None:
                    none = True
                else:
                    found[heir.index] = heir
        return Heirs(tuple(found[index] for index in sorted(found)), none)

    def _reached(self, here: Pattern) -> list[Pattern]:
        """Give the paths of the newer list that a request of this path may match best."""
        shared = {
            one: _both(here, one)
            for one in self._tree.meeting(here)
            # What the older list had too, and more specific, never came to this route.
            if not (one != here and one in self._old_shapes and _beats(one, here))
        }
        if len(shared) > MOST_COMPARED:
            return list(shared)
        return [
            one
            for one, both in shared.items()
            if not any(_beats(other, one) and _contains(other, both) for other in shared)
        ]


@dataclass(slots=True)
class _Node:
    """The patterns of a list by segment: those a path has nothing to do with cost nothing."""

    below: "dict[str, _Node]" = field(default_factory=dict)
    here: Pattern | None = None

    def put(self, one: Pattern) -> None:
        node = self
        for segment in one:
            node = node.below.setdefault(segment, _Node())
        node.here = one

    def meeting(self, other: Pattern) -> Iterator[Pattern]:
        """Give the patterns that take a path which another one takes too."""
        if not other:
            yield from self.own()
            return
        segment, *rest = other
        if segment == REST:
            for name, node in self.below.items():
                yield from node.every() if name else ()
            return
        for name, node in self._beside(segment):
            yield from node.own() if name == REST else node.meeting(tuple(rest))

    def _beside(self, segment: str) -> "list[tuple[str, _Node]]":
        if segment == ANY:
            return [(name, node) for name, node in self.below.items() if name]
        names = (segment, ANY, REST) if segment else (segment,)
        return [(name, self.below[name]) for name in names if name in self.below]

    def own(self) -> Iterator[Pattern]:
        if self.here is not None:
            yield self.here

    def every(self) -> Iterator[Pattern]:
        yield from self.own()
        for node in self.below.values():
            yield from node.every()


def pattern(path: str) -> Pattern:
    """Give a route's path by segment, without the names of its parameters."""
    return tuple(shape(path).split("/")[1:])


def _by_shape(routes: Iterable[Route]) -> Mapping[Pattern, Mapping[str, Route]]:
    """Sort routes by path, then by the methods that they answer: HEAD goes with GET."""
    found: dict[Pattern, dict[str, Route]] = {}
    for route in routes:
        found.setdefault(pattern(route.path), {}).update(dict.fromkeys(route.methods, route))
    for methods in found.values():
        if "GET" in methods:
            methods.setdefault("HEAD", methods["GET"])
    return found


def _both(one: Pattern, other: Pattern) -> Pattern:
    """Give the pattern of the paths that two patterns take, which meet."""
    shared: list[str] = []
    for at, (here, there) in enumerate(zip(one, other, strict=False)):
        if here == REST:
            return (*shared, *other[at:])
        if there == REST:
            return (*shared, *one[at:])
        shared.append(there if here == ANY else here)
    return tuple(shared)


def _contains(outer: Pattern, inner: Pattern) -> bool:
    """Whether every path that `inner` takes is one that `outer` takes too."""
    for at, segment in enumerate(outer):
        if segment == REST:
            return len(inner) > at and bool(inner[at])
        if at >= len(inner) or inner[at] == REST:
            return False
        if segment != inner[at] and (segment != ANY or not inner[at]):
            return False
    return len(outer) == len(inner)


def _beats(one: Pattern, other: Pattern) -> bool:
    """Whether `one` wins where both take a path: more specific at the first difference."""
    for here, there in zip(one, other, strict=False):
        if here != there:
            return _RANK.get(here, 0) < _RANK.get(there, 0)
    return False
