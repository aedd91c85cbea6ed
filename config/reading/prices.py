"""Building prices: amounts in smallest units, and every way a price could not work."""

from config.amounts import LARGEST_AMOUNT, LARGEST_QUANTITY
from config.model import CreditType
from config.pricing.facts import Unpriceable
from config.pricing.price import AFTER, CONNECTION, Line, Price
from config.reading.kinds import Entry, WrongValueError
from config.reading.nodes import Node
from config.reading.parts import Parts, amount, amount_of
from config.reading.scalars import AmountText
from config.reading.shape import UNIT
from config.routing import parameters

NEVER_PRICED = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
"""Headers that hold secrets: neither a price nor a record may read them."""

_TOO_DEAR = f"This price can exceed {LARGEST_AMOUNT} of the smallest unit, the most there can be."
_LOWER = "Lower the costs, or give `max`."

NEVER_ABSENT = frozenset({"request_bytes", "response_bytes", "seconds", "connection", "messages"})


def build_price(
    written: Entry | AmountText | None, at: Node, parts: Parts, route: Entry, body_limit: int
) -> Price:
    """
    Make a price; None, for `unpriced`, makes one that only a route that observes may have.

    Raises:
        WrongValueError: It could not be charged, or not without surprise.
    """
    if written is None:
        return _unpriced(at, parts, route)
    if isinstance(written, AmountText):
        kind = parts.credit_type(None, at)
        return Price(kind.name, kind.scale, flat=amount(written, kind.scale))
    kind = parts.credit_type(written, at)
    websocket = route.get("websocket", False)
    lines = _lines(written, kind, route)
    if not lines and written.get("flat") is None:
        raise WrongValueError(at, "The price says nothing.", "Give `flat`, `per` or `settle`.")
    limits = {key: amount_of(written, key, kind.scale) for key in ("min", "max", "hold", "missing")}
    late = [line for line in lines if line.source in AFTER | CONNECTION]
    _check_hold(written, late, limits, websocket=websocket)
    _check_order(written, limits)
    try:
        price = Price(
            credit_type=kind.name,
            scale=kind.scale,
            flat=amount_of(written, "flat", kind.scale) or 0,
            lines=tuple(lines),
            minimum=limits["min"] or 0,
            maximum=limits["max"],
            hold=limits["hold"],
            missing=limits["hold"] if limits["missing"] is None else limits["missing"],
            body_limit=body_limit,
        )
    except Unpriceable:
        raise WrongValueError(at, _TOO_DEAR, _LOWER) from None
    # What is measured is only bounded by `max`; the defaults at least must fit.
    defaults = sum(-(-(line.default or 0) * line.cost // line.unit) for line in price.lines)
    if price.maximum is None and price.flat + defaults > LARGEST_AMOUNT:
        raise WrongValueError(at, _TOO_DEAR, _LOWER)
    return price


def _unpriced(at: Node, parts: Parts, route: Entry) -> Price:
    """Make the price of what nobody has priced yet; served for nothing it is only where watched."""
    if not route.get("observe", parts.observe):
        hint = "Write a price, `price: 0` if it is free, or `observe: true` until there is one."
        raise WrongValueError(at, "This route has no price yet, and it would be served.", hint)
    kind = next((known for known in parts.credit_types.values() if known), None)
    if kind is None:
        raise WrongValueError  # noted where it is defined
    return Price(kind.name, kind.scale, unpriced=True)


def _lines(written: Entry, kind: CreditType, route: Entry) -> list[Line]:
    settle = written.get("settle", [])
    units: list[Entry] = [
        *written.get("per", []),
        *([settle] if isinstance(settle, Entry) else settle),
    ]
    lines: list[Line] = []
    for unit in units:
        line = _line(unit, kind, route)
        if unit not in written.get("per", []) and line.source not in AFTER | CONNECTION:
            message = f"`{line.source}` is known before the call."
            raise WrongValueError(unit.at, message, "Write it under `per`.")
        if any(line.label == other.label for other in lines):
            raise WrongValueError(unit.at, f"`{line.label}` is priced twice.", "Add the costs up.")
        lines.append(line)
    return lines


def _line(unit: Entry, kind: CreditType, route: Entry) -> Line:
    source = next(name for name in UNIT.one_of if name in unit.values)
    value = unit.get(source)
    selector = value if isinstance(value, str) else ""
    if source in {"header", "response_header"}:
        selector = selector.lower()
    if source == "header" and selector in NEVER_PRICED:
        raise WrongValueError(unit.node(source), "A price cannot depend on a secret header.")
    if source == "path" and selector not in parameters(route.get("path")):
        hint = f"The path is {route.get('path')}."
        raise WrongValueError(unit.node(source), f"The path has no {{{selector}}}.", hint)
    if source in CONNECTION and not route.get("websocket", False):
        raise WrongValueError(unit.at, f"`{source}` is for routes with `websocket: true`.")
    if source in {"response", "response_header"} and route.get("websocket", False):
        message = f"A WebSocket has no answer to read `{source}` from."
        hint = "Price `seconds`, `messages`, `response_bytes` or `connection`."
        raise WrongValueError(unit.at, message, hint)
    default = unit.get("default")
    if default is not None and source in NEVER_ABSENT:
        raise WrongValueError(unit.node("default"), f"`{source}` is never absent.", "Remove this.")
    cost = amount(unit.get("cost"), kind.scale)
    if cost == 0:
        raise WrongValueError(unit.node("cost"), "A cost of 0 adds nothing.", "Remove this entry.")
    divisor = unit.get("unit", 1)
    if source == "seconds":
        divisor = min(divisor * 1000, LARGEST_QUANTITY)
    return Line(source, selector, divisor, cost, default)


def _check_hold(
    written: Entry, late: list[Line], limits: dict[str, int | None], *, websocket: bool
) -> None:
    if not late:
        for key in ("hold", "missing"):
            if limits[key] is not None:
                message = f"`{key}` is for prices that the answer decides."
                raise WrongValueError(written.node(key), message, "Remove it, or add `settle`.")
        return
    if limits["hold"] == 0:
        raise WrongValueError(written.node("hold"), "A hold of 0 reserves nothing.")
    if limits["hold"] is not None:
        return
    # One slice of a connection is at most a minute; its messages have no such bound.
    if websocket and all(line.source in {"seconds", "connection"} for line in late):
        return
    names = ", ".join(f"`{line.source}`" for line in late)
    message = f"The cost depends on {names}, known only after the call."
    raise WrongValueError(written.at, message, "Give `hold`: what is reserved before it.")


def _check_order(written: Entry, limits: dict[str, int | None]) -> None:
    """Refuse bounds that contradict each other."""
    for low, high in (("min", "max"), ("hold", "max"), ("min", "hold"), ("missing", "hold")):
        least, most = limits[low], limits[high]
        if least is not None and most is not None and least > most:
            raise WrongValueError(written.node(low), f"`{low}` is above `{high}`.")
    if limits["max"] == 0:
        raise WrongValueError(
            written.node("max"), "A `max` of 0 makes this free.", "Write price: 0."
        )
