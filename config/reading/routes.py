"""Building routes: each one by itself, then all of them against each other."""

from urllib.parse import quote

from config.model import Cors, Recorded, Route, StatusSet, Upstream
from config.paths import BadPath, canonical_path
from config.pricing.price import Price
from config.reading.cors import build_cors
from config.reading.kinds import Entry, WrongValueError
from config.reading.limits import check_weight, route_limits
from config.reading.nodes import Node
from config.reading.parts import Parts, amount
from config.reading.prices import NEVER_PRICED, build_price
from config.reading.shape import METHODS
from config.routing import parameters, shape

DEFAULT_MAX_BODY = 1024 * 1024
"""Bytes, where the price reads the body: it is held in memory whole."""

COST_SCALE = 6
"""Decimals of a minor unit in which `upstream_cost` is counted: calls cost fractions of a cent."""

LARGEST_PRICED_BODY = 16 * 1024 * 1024
"""Bytes: each such request takes several times this much memory, and 0.2 s that all others wait."""


def build_routes(entries: list[Entry], parts: Parts) -> list[tuple[Route, Node]]:
    """Make all routes, each with the place of its price; what is wrong is noted and left out."""
    built: list[tuple[Route, Node]] = []
    taken: dict[tuple[str, str], Route] = {}
    for index, entry in enumerate(entries):
        try:
            route = _build_route(index, entry, parts)
            _claim(route, entry, taken)
        except WrongValueError as wrong:
            parts.reading.note(wrong)
        else:
            built.append((route, entry.node("price")))
    return built


def _build_route(index: int, entry: Entry, parts: Parts) -> Route:
    path = _path(entry, parts.prefix)
    upstream = _upstream(entry, parts)
    websocket = entry.get("websocket", False)
    max_body: int | None = entry.get("max_body")
    price = build_price(
        entry.get("price"), entry.node("price"), parts, entry, max_body or DEFAULT_MAX_BODY
    )
    if price.needs_body:
        max_body = DEFAULT_MAX_BODY if max_body is None else max_body
        if max_body > LARGEST_PRICED_BODY:
            message = f"A priced body is held in memory: at most {LARGEST_PRICED_BODY} bytes."
            raise WrongValueError(entry.node("max_body"), message)
    if entry.get("public", False) and not price.is_free:
        hint = "Set price: 0, or remove `public`."
        raise WrongValueError(entry.node("public"), "A public route has nobody to charge.", hint)
    _check_strict(entry, price)
    _check_idempotency(entry, price)
    for key in ("linger", "on_cut"):
        kept = key == "linger" and entry.get("idempotency") == "replay"
        if key in entry.values and not price.after_lines and not kept:
            message = f"`{key}` is for prices that the answer decides."
            raise WrongValueError(entry.node(key), message, "Remove it.")
    cors: Cors = parts.cors
    if "cors" in entry.values:
        cors = build_cors(entry.get("cors"), entry.node("cors"), parts.reading)
    methods, name = _methods(entry, websocket=websocket), entry.get("name", path)
    key = f"{','.join(methods)} {path}"
    limits = route_limits(entry, parts, key, name, is_free=price.is_free)
    usual = ["2xx", "304", *(["101"] if websocket else [])]
    return Route(
        index=index,
        name=name,
        path=path,
        methods=methods,
        upstream=upstream,
        price=price,
        charge_on=StatusSet.of(entry.get("charge_on", usual)),
        line=entry.at.line,
        public=entry.get("public", False),
        observe=entry.get("observe", parts.observe),
        websocket=websocket,
        strict=entry.get("strict", False),
        idempotency=entry.get("idempotency", "once"),
        record=_record(entry, path, needs_body=price.needs_body),
        max_body=max_body,
        linger_ms=entry.get("linger", 30_000),
        on_cut=entry.get("on_cut", "void"),
        timeout_ms=entry.get("timeout", upstream.timeout_ms),
        lifetime_ms=entry.get("lifetime", 120_000),
        encoded_slash=entry.get("encoded_slash") == "allow",
        cors=cors,
        upstream_cost=_upstream_cost(entry),
        limits=limits,
        weight=check_weight(entry, (*parts.limits.all, *limits)),
        plans=tuple(entry.get("plans", ())),
        feature=entry.get("feature"),
    )


def _check_strict(entry: Entry, price: Price) -> None:
    """Refuse `strict` where it would promise what nobody keeps: there is no hold to wait for."""
    if not entry.get("strict", False):
        return
    message = None
    if price.is_free:
        message = "A route that costs nothing holds nothing."
    elif entry.get("observe", False):
        message = "A route that only observes holds nothing."
    elif entry.get("websocket", False):
        message = "A WebSocket cannot be strict yet."
    if message is not None:
        raise WrongValueError(entry.node("strict"), message, "Remove `strict`.")


def _check_idempotency(entry: Entry, price: Price) -> None:
    """Refuse `idempotency` where nothing is charged, so that nobody looks at the header."""
    if "idempotency" not in entry.values:
        return
    message = None
    if price.is_free:
        message = "A route that costs nothing is never charged twice."
    elif entry.get("observe", False):
        message = "A route that only observes charges nothing."
    elif entry.get("websocket", False):
        message = "A WebSocket cannot be repeated."
    if message is not None:
        raise WrongValueError(entry.node("idempotency"), message, "Remove `idempotency`.")


def _path(entry: Entry, prefix: str) -> str:
    path: str = entry.get("path")
    node = entry.node("path")
    *before, last = path[1:].split("/")
    names = parameters(path)
    plain = [s for s in (*before, last) if not parameters(f"/{s}")]
    if any("*" in segment for segment in before) or ("*" in last and last != "*"):
        raise WrongValueError(node, "`*` can only be the last segment.", "Like /v1/files/*.")
    if any("{" in segment or "}" in segment for segment in plain):
        hint = "Like /v1/products/{asin}; the name has letters, digits and _."
        raise WrongValueError(node, "`{x}` must be a whole segment.", hint)
    if len(set(names)) < len(names):
        raise WrongValueError(node, "A name in {} is used twice.")
    # Parameters are checked by themselves; what is left must be spelled as requests will be.
    literal = "/" + "/".join(s if s in plain else "x" for s in (*before, last))
    try:
        wanted = canonical_path(quote(literal, safe="/%!$&'()*+,;=:@~\\").encode()).decode()
    except BadPath as error:
        raise WrongValueError(node, f"No request can match this: {error}.") from None
    if wanted != literal:
        raise WrongValueError(node, "No request can match this spelling.", f"Write {wanted}.")
    if path == prefix or path.startswith(f"{prefix}/"):
        hint = "Choose another path, or another `prefix`."
        raise WrongValueError(node, f"{prefix} is where Farebox's own routes are.", hint)
    return path


def _upstream_cost(entry: Entry) -> dict[str, int]:
    written = entry.get("upstream_cost", {}).items()
    return {
        currency: amount(minor, COST_SCALE) for currency, (_, minor) in written if minor is not None
    }


def _upstream(entry: Entry, parts: Parts) -> Upstream:
    name = entry.get("upstream")
    if name not in parts.upstreams:
        known = ", ".join(parts.upstreams) or "none"
        hint = f"There are: {known}. Add it under `upstreams`."
        raise WrongValueError(entry.node("upstream"), f"There is no upstream `{name}`.", hint)
    upstream = parts.upstreams[name]
    if upstream is None:
        raise WrongValueError  # noted where it is defined
    return upstream


def _methods(entry: Entry, *, websocket: bool) -> tuple[str, ...]:
    methods: list[str] = entry.get("methods", ["GET"] if websocket else list(METHODS))
    if len(set(methods)) < len(methods):
        raise WrongValueError(entry.node("methods"), "A method is given twice.")
    if websocket and methods != ["GET"]:
        raise WrongValueError(entry.node("methods"), "A WebSocket begins with GET.", "Remove this.")
    return tuple(methods)


def _record(entry: Entry, path: str, *, needs_body: bool) -> tuple[Recorded, ...]:
    record: list[Recorded] = []
    for name, (key, text) in entry.get("record", {}).items():
        if text is None:
            continue
        source, _, selector = text.partition("/")
        if source == "path" and selector not in parameters(path):
            raise WrongValueError(key, f"The path has no {{{selector}}}.", f"The path is {path}.")
        if source == "header":
            selector = selector.lower()
            if selector in NEVER_PRICED:
                raise WrongValueError(key, "A secret header is never recorded.")
        if source == "body":
            if not needs_body:
                hint = "Record from path, query or header."
                raise WrongValueError(
                    key, "The price does not read the body, so nothing does.", hint
                )
            selector = f"/{selector}"
        record.append(Recorded(name, source, selector))
    return tuple(record)


def _claim(route: Route, entry: Entry, taken: dict[tuple[str, str], Route]) -> None:
    """Refuse a route of which an earlier one has taken a path and method already."""
    for method in route.methods:
        other = taken.setdefault((shape(route.path), method), route)
        if other is not route:
            message = f"{method} {route.path} is served already, by the route in line {other.line}."
            hint = "Each path and method has one price: change the path, or `methods`."
            raise WrongValueError(entry.node("path"), message, hint)
