"""The price file from top to bottom: read the text, check its shape, build the price list."""

import ipaddress
from collections.abc import Mapping, Sequence

from config.model import CreditType, Network, SellingRules
from config.price_list import PriceList, is_bounded, largest_of
from config.pricing.price import Price
from config.problems import PriceFileError, Problem
from config.reading.cors import build_cors
from config.reading.kinds import Entry, Reading, WrongValueError
from config.reading.limits import build_limits
from config.reading.nodes import Node, Problems, read_nodes
from config.reading.nodes import Sequence as SequenceNode
from config.reading.packages import build_package
from config.reading.parts import USUAL_TYPE, Parts, amount, amount_of
from config.reading.plans import build_plans
from config.reading.routes import build_routes
from config.reading.scalars import AmountText
from config.reading.shape import PRICE_FILE
from config.reading.upstreams import build_upstream


def load_price_list(text: str, *, environ: Mapping[str, str] | None) -> PriceList:
    """
    Read a price file.

    Args:
        text: The whole file.
        environ: Where `${NAME}` is looked up. None leaves them as they are: enough to
            explain charges of a stored version, never to forward requests.

    Raises:
        PriceFileError: Anything is wrong; all that was found, each with line and column.
    """
    problems = Problems()
    reading = Reading(problems, environ)
    root = read_nodes(text, problems)
    if root is None:
        raise PriceFileError(problems.found)
    try:
        entry = PRICE_FILE.read(root, reading)
    except WrongValueError as wrong:
        reading.note(wrong)
        raise PriceFileError(problems.found or [Problem(1, 1, "The file is wrong.")]) from wrong
    price_list = _build(entry, reading)
    problems.raise_any()
    return price_list


def _build(entry: Entry, reading: Reading) -> PriceList:
    parts = Parts(
        reading, prefix=entry.get("prefix", "/farebox"), observe=entry.get("observe", False)
    )
    parts.cors = build_cors(entry.get("cors", "pass"), entry.node("cors"), reading)
    _credit_types(entry, parts)
    for name, (key, upstream) in entry.get("upstreams", {}).items():
        parts.upstreams[name] = upstream and build_upstream(name, key, upstream, reading)
    parts.limits = build_limits(entry.get("limits"), parts)
    routes = build_routes(entry.get("routes"), parts)
    names = _route_names(entry, [route.name for route, _ in routes])
    packages = {
        name: built
        for name, (_, package) in entry.get("packages", {}).items()
        if package and (built := build_package(name, package, parts, names))
    }
    price_list = PriceList(
        credit_types={name: known for name, known in parts.credit_types.items() if known},
        upstreams={name: known for name, known in parts.upstreams.items() if known},
        routes=tuple(route for route, _ in routes),
        packages=packages,
        plans=build_plans(entry, [route for route, _ in routes], parts),
        limits=parts.limits,
        prefix=parts.prefix,
        cors=parts.cors,
        trusted_proxies=_networks(entry, reading),
        observe=parts.observe,
        selling=_selling(entry),
        prices=entry.get("prices", "file"),
        upstream_client=entry.get("upstream_client", "own"),
    )
    _windows(parts, [(route.price, node) for route, node in routes])
    return price_list


def _route_names(entry: Entry, built: Sequence[str]) -> set[str] | None:
    """
    Return the names of all routes, those too in which something else is wrong.

    None where one could not be read at all: packages that name it are not wrong for that.
    """
    node = entry.node("routes")
    read: list[Entry] = entry.get("routes")
    if not isinstance(node, SequenceNode) or len(node.items) != len(read):
        return None
    return {route.get("name", route.get("path")) for route in read} | set(built)


def _credit_types(entry: Entry, parts: Parts) -> None:
    written = entry.get("credit_types")
    if written is None:
        parts.credit_types[USUAL_TYPE] = CreditType(USUAL_TYPE)
        return
    for name, (_, kind) in written.items():
        parts.credit_types[name] = None
        if kind is None:
            continue
        scale = kind.get("scale", 0)
        window: AmountText | None = kind.get("window")
        try:
            units = None if window is None else amount(window, scale)
            low = amount_of(kind, "low_balance", scale)
        except WrongValueError as wrong:
            parts.reading.note(wrong)
            continue
        parts.credit_types[name] = CreditType(name, scale, units, low)
        if window is not None:
            parts.windows[name] = window.node


def _windows(parts: Parts, prices: list[tuple[Price, Node]]) -> None:
    """Refuse a window that one request could fill: it would be BUSY for ever."""
    for name, node in parts.windows.items():
        known = parts.credit_types[name]
        if known is None or known.window is None:
            continue
        for price, place in prices:
            if price.credit_type != name:
                continue
            if not is_bounded(price):
                message = f"The price needs `max`, because {name} has a window it must fit into."
                parts.reading.problems.add(place, message)
            elif largest_of(price) > known.window:
                message = f"The window is below the ceiling of the price in line {place.line}."
                parts.reading.problems.add(node, message, "Raise the window.")


def _selling(entry: Entry) -> SellingRules:
    rules: Entry | None = entry.get("selling")
    return SellingRules(**rules.values) if rules else SellingRules()


def _networks(entry: Entry, reading: Reading) -> tuple[Network, ...]:
    networks: list[Network] = []
    if reading.environ is None:
        return ()
    for text in entry.get("trusted_proxies", ()):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            hint = "Write an address or a network like 10.0.0.0/8, without host bits."
            node = entry.node("trusted_proxies")
            reading.problems.add(node, "One of these is not a network.", hint)
    return tuple(networks)
