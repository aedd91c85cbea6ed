"""Building plans: what they say of routes that there are, and routes that only plans open."""

import difflib
from collections.abc import Iterable, Sequence
from fractions import Fraction

from config.amounts import LARGEST_AMOUNT
from config.limits import Limit
from config.model import Route
from config.plans import Plan, PlanRoute, factor_on, largest_on
from config.price_list import largest_of
from config.pricing.price import Price
from config.reading.kinds import Entry, WrongValueError
from config.reading.limits import limits_of_plan, never_passes
from config.reading.nodes import Node, Scalar
from config.reading.nodes import Sequence as ListNode
from config.reading.parts import Parts, amount


def build_plans(written: Entry, routes: Sequence[Route], parts: Parts) -> dict[str, Plan]:
    """Make all plans; what is wrong is noted and left out."""
    named: dict[str, list[Route]] = {}
    for route in routes:
        for name in dict.fromkeys((route.name, route.path)):
            named.setdefault(name, []).append(route)
    plans: dict[str, Plan] = {}
    for name, (key, entry) in written.get("plans", {}).items():
        if entry is None:
            continue
        try:
            plans[name] = plan = _plan(name, entry, named, parts)
            _check(plan, key, entry, routes, parts)
        except WrongValueError as wrong:
            parts.reading.note(wrong)
    _check_openings(written, parts)
    return plans


def _plan(name: str, entry: Entry, named: dict[str, list[Route]], parts: Parts) -> Plan:
    said: dict[int, PlanRoute] = {}
    for route_name, (key, one) in entry.get("routes", {}).items():
        if one is None:
            continue
        routes = named.get(route_name)
        if routes is None and parts.reading.problems.found:
            raise WrongValueError  # it may be one of those that are wrong
        if routes is None:
            near = difflib.get_close_matches(route_name[:100], named, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else "Give a route's name or its path."
            raise WrongValueError(key, f"There is no route `{route_name}`.", hint)
        for route in routes:
            if route.index in said:
                message = f"The route {route.name} is in this plan already."
                raise WrongValueError(key, message, "Name it once, by its name or its path.")
            said[route.index] = _of_route(key, one, route, parts)
    features = entry.get("features", [])
    _each_once(entry, "features")
    limits = limits_of_plan(entry, parts, None, "")
    return Plan(name, entry.get("factor"), tuple(features), limits, said)


def _of_route(key: Node, entry: Entry, route: Route, parts: Parts) -> PlanRoute:
    if not entry.values:
        raise WrongValueError(key, "The plan says nothing of it.", "Give `price` or `factor`.")
    if route.public:
        message = f"The route {route.name} is public: nobody knows whose plan counts."
        raise WrongValueError(key, message, "Remove it here.")
    if "price" in entry.values and "factor" in entry.values:
        raise WrongValueError(entry.node("factor"), "There is a `price` already.", "Give one.")
    if route.price.unpriced and "limits" not in entry.values:
        message = f"The route {route.name} has no price yet."
        raise WrongValueError(key, message, "Give the route a price first.")
    written = entry.get("price")
    price = None if written is None else amount(written, route.price.scale)
    where = f"{','.join(route.methods)} {route.path}"
    limits = limits_of_plan(entry, parts, where, f" {route.name}")
    return PlanRoute(price, entry.get("factor"), limits)


def _check(plan: Plan, key: Node, entry: Entry, routes: Sequence[Route], parts: Parts) -> None:
    """Refuse what could not work on any of the routes."""
    for route in routes:
        said = plan.routes.get(route.index)
        at = entry.at.entries["factor"][1] if "factor" in entry.values else key
        if said is not None:
            written = entry.get("routes")
            name = route.name if route.name in written else route.path
            at = written[name][0]
        factor = factor_on(plan, route)
        if factor is not None and _most(route.price) * factor > LARGEST_AMOUNT:
            message = (
                f"On {route.name} this makes more than {LARGEST_AMOUNT}, the most there can be."
            )
            raise WrongValueError(at, message, "Take a smaller factor.")
        kind = parts.credit_types[route.price.credit_type]
        if kind is not None and kind.window is not None and (said or plan.factor):
            most = largest_on(plan, route, largest_of(route.price))
            if most > kind.window:
                message = (
                    f"The price of {route.name} on this plan is above the window of {kind.name}."
                )
                raise WrongValueError(at, message, "Raise the window.")
        limits: tuple[Limit, ...] = (*plan.limits, *(said.limits if said else ()))
        if limits and not route.public and (tight := never_passes(route.weight, limits)):
            message = (
                f"A request of {route.name} counts as {route.weight}, so it can never pass {tight}."
            )
            raise WrongValueError(at, message, "Raise the limit.")


def _most(price: Price) -> Fraction:
    fixed = price.fixed.ceiling if price.fixed is not None else 0
    return Fraction(max(price.maximum or 0, price.hold or 0, fixed))


def _check_openings(written: Entry, parts: Parts) -> None:
    """Refuse routes that name plans which are not there, and plans for what is public."""
    plans = written.get("plans", {})
    for route in written.get("routes"):
        try:
            _check_opening(route, plans)
        except WrongValueError as wrong:
            parts.reading.note(wrong)


def _check_opening(route: Entry, plans: Iterable[str]) -> None:
    for key in ("plans", "feature"):
        if key in route.values and route.get("public", False):
            message = "A public route asks for no key, so nobody knows whose plan it is."
            raise WrongValueError(route.node(key), message, f"Remove `{key}`.")
    node = route.node("plans")
    if "plans" not in route.values or not isinstance(node, ListNode):
        return
    for name, item in zip(route.get("plans"), node.items, strict=True):
        if name not in plans:
            there = ", ".join(plans) or "none"
            hint = f"There are: {there}. Plans stand under `plans`."
            raise WrongValueError(item, f"There is no plan `{name}`.", hint)
    _each_once(route, "plans")


def _each_once(entry: Entry, key: str) -> None:
    node, known = entry.node(key), set()
    for item in node.items if isinstance(node, ListNode) and key in entry.values else ():
        if isinstance(item, Scalar) and item.text in known:
            raise WrongValueError(item, f"`{item.text}` is given twice.", "Remove one.")
        known.add(item.text if isinstance(item, Scalar) else "")
