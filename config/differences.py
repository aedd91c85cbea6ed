"""
What changes between two price files, in words.

Both become facts first: group, name, key. Whatever a price list holds is a fact without
anybody listing it here, so a key that is added to the file cannot be forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, NamedTuple

from config.amounts import format_amount
from config.model import CreditType, Package, Route, Upstream
from config.plan_words import plan_facts
from config.price_list import PriceList
from config.reading.load import load_price_list
from config.reading.written import Written, read_written
from config.routing import shape
from config.words import NONE, field_words, route_words, words

FIRST = ("routes", "plans", "packages", "credit types", "limits")
"""The groups that people look for, in this order; then the others by name, the file itself last."""
LAST = "file"

_AMOUNTS = frozenset({"window", "low_balance", "credits", "trial_credits"})
"""Fields of credit types and packages that are credits."""


class Fact(NamedTuple):
    """One thing that a file says. `words` may hide a secret; `value` is what is compared."""

    value: object
    words: str


Facts = Mapping[str, Fact]
"""Of one route, package, upstream...: key -> what the file says."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One change. `before` and `after` are words; empty where there is nothing."""

    group: str
    what: Literal["added", "removed", "moved", "changed"]
    name: str
    """Of what has changed, as it is named in the newer file; empty for the group itself."""
    key: str
    """What of it; empty where it was added, removed or moved as a whole."""
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """Say it in one line, without the group."""
        match self.what:
            case "added":
                said = f"added: {self.after}"
            case "removed":
                said = f"removed: {self.before}"
            case "moved":
                said = f"moved from {self.before}"
            case _:
                key = "" if (self.group, self.key) == ("routes", "price") else f"{self.key} "
                said = f"{key}{self.before} -> {self.after}"
        return f"{self.name}: {said}" if self.name else said


def differences(old: str, new: str) -> list[Difference]:
    """
    Say what changes from one text to the other; the same texts always give the same list.

    Amounts, defaults and spellings are compared as they count: `2` and `{ flat: 2 }` are the
    same, `${NAME}` is compared as it is written. Values of headers, which may be secrets, are
    compared and never shown.

    Raises:
        PriceFileError: One of the texts is not a price file; it says which lines are wrong.
    """
    before, after = _Described.of(old), _Described.of(new)
    found = _routes(before, after)
    groups = {*before.groups, *after.groups}
    rest = sorted(groups - {*FIRST, LAST})
    for group in (*FIRST[1:], *rest, LAST):
        found += _group(group, before.groups.get(group, {}), after.groups.get(group, {}))
    return found


@dataclass(frozen=True, slots=True)
class _Described:
    """A price file as facts; its routes apart, because they are paired before they are compared."""

    prices: PriceList
    groups: Mapping[str, Mapping[str, Facts]]

    @classmethod
    def of(cls, text: str) -> "_Described":
        prices = load_price_list(text, environ=None)
        written = read_written(text)
        groups: dict[str, dict[str, Facts]] = {
            "credit types": {
                name: _facts(kind, scale=kind.scale, without=["name"])
                for name, kind in prices.credit_types.items()
            },
            "packages": {
                name: _facts(
                    package, scale=prices.credit_types[package.credit_type].scale, without=["id"]
                )
                for name, package in prices.packages.items()
            },
            "plans": {
                name: {key: Fact(*told) for key, told in plan_facts(plan, prices.routes).items()}
                for name, plan in prices.plans.items()
            },
            "upstreams": {
                name: _upstream(upstream, written) for name, upstream in prices.upstreams.items()
            },
        }
        file: dict[str, Fact] = {}
        for field in fields(prices):
            value = getattr(prices, field.name)
            key = field_words(field.name).replace("_", " ")
            if field.name in {"routes", "trusted_proxies"} or key in groups or not field.init:
                continue
            if isinstance(value, Mapping):
                groups[key] = {str(name): _facts(one) for name, one in value.items()}
            elif is_dataclass(value) and field.name != "cors":
                groups[key] = {"": _facts(value)}
            else:
                file[field.name] = Fact(value, words(field.name, value))
        proxies = written.trusted_proxies
        file["trusted_proxies"] = Fact(frozenset(proxies), words("", sorted(proxies)))
        groups[LAST] = {"": file}
        return cls(prices, groups)


def _facts(one: object, *, scale: int = 0, without: Sequence[str] = ()) -> dict[str, Fact]:
    """Turn a value into facts; amounts of credits are shown in its credit type's scale."""
    if not is_dataclass(one):
        return {"value": Fact(one, words("", one))}
    facts = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(one, (CreditType, Package)) and field.name in _AMOUNTS and value is not None:
            said = format_amount(value, scale)
        else:
            said = words(field.name, value)
        if field.name not in without:
            facts[field_words(field.name)] = Fact(value, said)
    return facts


def _upstream(upstream: Upstream, written: Written) -> dict[str, Fact]:
    facts = _facts(upstream, without=["name", "scheme", "host", "port", "prefix", "headers"])
    url = written.urls[upstream.name]
    for name, value in upstream.headers:
        facts[f"header {name.decode('latin-1')}"] = Fact(value, "a value")
    return {"url": Fact(url, url), **facts}


def _group(group: str, before: Mapping[str, Facts], after: Mapping[str, Facts]) -> list[Difference]:
    found: list[Difference] = []
    for name, facts in after.items():
        if name in before:
            found += _changes(group, name, before[name], facts)
        else:
            found.append(Difference(group, "added", name, "", "", _summary(facts)))
    gone = [name for name in before if name not in after]
    return found + [
        Difference(group, "removed", name, "", _summary(before[name]), "") for name in gone
    ]


def _changes(group: str, name: str, before: Facts, after: Facts) -> list[Difference]:
    """Compare key by key; a key that only one side has is `none` on the other."""
    found = []
    for key in (*after, *(key for key in before if key not in after)):
        old, new = before.get(key, Fact(None, NONE)), after.get(key, Fact(None, NONE))
        if old.value != new.value:
            # Hidden, or too alike in words: that it changed is what can be said.
            said = "another value" if old.words == new.words else new.words
            found.append(Difference(group, "changed", name, key, old.words, said))
    return found


def _summary(facts: Facts, *keys: str) -> str:
    told = {key: facts[key] for key in keys or facts}
    empty = {NONE, "false", ""}
    return ", ".join(f"{key} {fact.words}" for key, fact in told.items() if fact.words not in empty)


# Routes


def _routes(before: _Described, after: _Described) -> list[Difference]:
    pairs = _paired(before.prices.routes, after.prices.routes)
    found: list[Difference] = []
    for new in after.prices.routes:
        name, facts = route_words(new.path, new.methods), _route(new, after.prices)
        old = pairs.get(new.index)
        if old is None:
            found.append(Difference("routes", "added", name, "", "", _told(facts)))
            continue
        known = _route(old, before.prices)
        if shape(old.path) != shape(new.path):
            was = route_words(old.path, old.methods)
            found.append(Difference("routes", "moved", name, "", was, name))
            for said in ("path", "methods"):
                del known[said], facts[said]
        found += _changes("routes", name, known, facts)
    kept = {old.index for old in pairs.values()}
    for old in before.prices.routes:
        if old.index not in kept:
            name, told = route_words(old.path, old.methods), _told(_route(old, before.prices))
            found.append(Difference("routes", "removed", name, "", told, ""))
    return found


def _told(facts: Facts) -> str:
    return _summary(facts, "price", "upstream")


def _route(route: Route, prices: PriceList) -> dict[str, Fact]:
    facts = _facts(route, without=["index", "line"])
    facts["methods"] = Fact(frozenset(route.methods), " ".join(sorted(route.methods)))
    facts["upstream"] = Fact(route.upstream.name, route.upstream.name)
    # What a route takes over from elsewhere changes there, once, and not in each route.
    if route.name == route.path:
        facts["name"] = Fact(None, "the path")
    if route.timeout_ms == route.upstream.timeout_ms:
        facts["timeout"] = Fact(None, "the upstream's")
    if route.cors == prices.cors:
        facts["cors"] = Fact(None, "the file's")
    if route.observe == prices.observe:
        facts["observe"] = Fact(None, "the file's")
    return {"price": facts.pop("price"), **facts}


def _paired(old: Sequence[Route], new: Sequence[Route]) -> dict[int, Route]:
    """Pair each new route (by index) with the old one that it continues, each once."""
    pairs: dict[int, Route] = {}
    left = {route.index: route for route in old}

    def pair(route: Route, found: Route | None) -> None:
        if found is not None and route.index not in pairs:
            pairs[route.index] = left.pop(found.index)

    same = {(shape(route.path), frozenset(route.methods)): route for route in old}
    for route in new:
        pair(route, same.get((shape(route.path), frozenset(route.methods))))
    by_shape: dict[str, list[Route]] = {}
    for one in old:
        by_shape.setdefault(shape(one.path), []).append(one)
    for route in new:
        shared = [
            one
            for one in by_shape.get(shape(route.path), ())
            if one.index in left and {*one.methods} & {*route.methods}
        ]
        pair(
            route, max(shared, key=lambda one: len({*one.methods} & {*route.methods}), default=None)
        )
    names: dict[str, list[Route]] = {}
    for one in left.values():
        names.setdefault(one.name, []).append(one)
    for route in new:
        namesakes = [one for one in names.get(route.name, ()) if one.index in left]
        pair(route, namesakes[0] if len(namesakes) == 1 else None)
    return pairs
