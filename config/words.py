"""What a price file says, in words: the same value always gives the same words."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass

from config.amounts import format_amount
from config.model import Recorded, StatusSet, Upstream
from config.plans import FactoredPrice, factor_words
from config.pricing.price import Line, Price

NONE = "none"
"""What is not there."""

USUAL_METHODS = 7
"""A route that has all of them is named by its path alone."""

_DURATIONS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, ""))
_MEASURES = {
    "request_bytes": ("byte of the request", "bytes of the request"),
    "response_bytes": ("byte of the answer", "bytes of the answer"),
    "seconds": ("second", "seconds"),
    "connection": ("connection", "connections"),
    "messages": ("message", "messages"),
}


def amount_words(amount: int, scale: int, credit_type: str) -> str:
    """Say an amount: `1 credit`, `0.25 calling`."""
    shown = format_amount(amount, scale)
    one = shown == "1" and credit_type.endswith("s") and not credit_type.endswith("ss")
    return f"{shown} {credit_type[:-1] if one else credit_type}"


def price_words(price: Price) -> str:
    """Say a price: `1 credit + 1 credit for each 100 of body /limit, at most 50 credits`."""

    def amount(units: int) -> str:
        return amount_words(units, price.scale, price.credit_type)

    if price.unpriced:
        return "unpriced"
    if price.is_free:
        return "free"
    parts = [amount(price.flat)] if price.flat or not price.lines else []
    parts += [f"{amount(line.cost)} for each {_measure(line)}" for line in price.lines]
    words = " + ".join(parts)
    if isinstance(price, FactoredPrice):
        words = f"({words})" if len(parts) > 1 else words
        words += f" x {factor_words(price.factor)}"
        if not price.lines:
            words = f"{amount(price.cost(()))} ({words})"
    if price.minimum:
        words += f", at least {amount(price.minimum)}"
    if price.maximum is not None:
        words += f", at most {amount(price.maximum)}"
    if price.hold is not None:
        words += f"; {amount(price.hold)} held"
    if price.missing is not None and price.missing != price.hold:
        words += f", {amount(price.missing)} where the answer does not tell"
    return words


def route_words(path: str, methods: Iterable[str]) -> str:
    """Name a route: `GET POST /v1/search`, or the path alone where it has all methods."""
    given = sorted(methods)
    return path if len(given) == USUAL_METHODS else f"{' '.join(given)} {path}"


def words(name: str, value: object) -> str:
    """Say any value; `name` is its field's, which ends with the unit."""
    match value:
        case None:
            return NONE
        case bool():
            return "true" if value else "false"
        case int() if name.endswith("_ms"):
            return _counted(value, _DURATIONS)
        case int() if name.endswith("_s"):
            return _counted(value * 1_000, _DURATIONS)
        case int() if name == "max_body":
            return _counted(value, _SIZES)
        case Price():
            return price_words(value)
        case Upstream():
            return value.name
        case StatusSet():
            return _status_words(value.statuses)
        case Recorded():
            return f"{value.name} from {value.source}/{value.selector.lstrip('/')}"
        case Mapping():
            return ", ".join(f"{key} {words(name, one)}" for key, one in value.items()) or NONE
        case AbstractSet():
            return ", ".join(sorted(words(name, one) for one in value)) or NONE
        case list() | tuple():
            return ", ".join(words(name, one) for one in value) or NONE
        case bytes():
            return value.decode("latin-1")
        case _ if is_dataclass(value):
            said = {one.name: getattr(value, one.name) for one in fields(value)}
            return ", ".join(f"{field_words(key)} {words(key, one)}" for key, one in said.items())
        case _:
            return str(value)


def field_words(name: str) -> str:
    """Name a field as the file does: without the unit that the code adds."""
    for unit in ("_ms", "_s"):
        name = name.removesuffix(unit)
    return name


def _measure(line: Line) -> str:
    divisor = line.unit // 1_000 if line.source == "seconds" else line.unit
    value = f"of {line.source} {line.selector}"
    one, many = _MEASURES.get(line.source, (value, value))
    absent = "" if line.default is None else f" ({line.default} where absent)"
    return f"{one}{absent}" if divisor == 1 else f"{divisor} {many}{absent}"


def _counted(number: int, units: Iterable[tuple[int, str]]) -> str:
    """Say a number in the largest unit that it is a whole number of."""
    if number == 0:
        return "0"
    return next(f"{number // size}{unit}" for size, unit in units if number % size == 0)


def _status_words(statuses: Iterable[int]) -> str:
    """Say statuses as the file does: whole hundreds as `2xx`."""
    left = set(statuses)
    whole = [first for first in range(100, 600, 100) if left >= set(range(first, first + 100))]
    left -= {first + n for first in whole for n in range(100)}
    return ", ".join([f"{first // 100}xx" for first in whole] + [str(one) for one in sorted(left)])
