"""Saying what a request costs and why, in figures a person can check."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from config.amounts import format_amount
from config.paths import BadPath, canonical_path
from config.plans import FactoredPrice, factor_words, is_open, on_plan, plan_required, total_of
from config.price_list import PriceList
from config.pricing.facts import Headers, RequestFacts, Unit, Unpriceable
from config.pricing.price import Line, Price
from config.routing import MethodNotAllowed, NoRoute


@dataclass(frozen=True, slots=True)
class CostLine:
    """One measured quantity and its price."""

    source: str
    quantity: int
    unit: int
    """Divides the quantity."""
    cost: int
    """Multiplies; smallest units of the credit type."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A cost with its arithmetic."""

    flat: int
    lines: tuple[CostLine, ...]
    arithmetic: str
    """Like `1 + 250 / 100 x 1, rounded up = 4`; in credits, not smallest units."""
    amount: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request would cost, without sending it."""

    rule: int
    """Index of the route; with the price version it names the rule for ever."""
    name: str
    path: str
    line: int
    """Of the route in the price file."""
    credit_type: str
    scale: int
    lines: tuple[CostLine, ...]
    arithmetic: str
    amount: int
    """What is reserved: the cost itself if `final`, else the most it can be."""
    final: bool
    observe: bool
    public: bool
    strict: bool
    plan: str = ""
    """The plan of the file that it was priced by; empty where there is none."""


def explain(price: Price, units: Sequence[Unit]) -> Explanation:
    """Compute a cost from measured units and show how."""
    quantities = dict(units)
    measured = [(line, quantities[line.label]) for line in price.lines if line.label in quantities]
    lines = tuple(
        CostLine(line.label, quantity, line.unit, line.cost) for line, quantity in measured
    )
    amount = price.cost(units)
    return Explanation(price.flat, lines, _arithmetic(price, measured, amount), amount)


def _arithmetic(price: Price, measured: Sequence[tuple[Line, int]], amount: int) -> str:
    terms = [format_amount(price.flat, price.scale)] if price.flat or not measured else []
    for line, quantity in measured:
        divided = f"{quantity} / {line.unit}" if line.unit != 1 else str(quantity)
        terms.append(f"{divided} x {format_amount(line.cost, price.scale)}")
    parts = [(quantity, line.unit, line.cost) for line, quantity in measured]
    factor = price.factor if isinstance(price, FactoredPrice) else Fraction(1)
    text = " + ".join(terms)
    if factor != 1:
        text = f"({text})" if len(terms) > 1 else text
        text += f" x {factor_words(factor)}"
    total = total_of(price, parts)
    if measured or factor != 1:
        exact = _exact(price.flat, parts, factor)
        text += f"{'' if exact else ', rounded up'} = {format_amount(total, price.scale)}"
    if amount > total:
        text += f", at least {format_amount(amount, price.scale)}"
    if amount < total:
        text += f", at most {format_amount(amount, price.scale)}"
    return text


def _exact(flat: int, parts: Sequence[tuple[int, int, int]], factor: Fraction) -> bool:
    """Whether the sum needs no rounding."""
    each = (Fraction(quantity * cost, unit) for quantity, unit, cost in parts)
    return ((flat + sum(each)) * factor).denominator == 1


def units_of(
    price: Price, before: Sequence[int], after: Sequence[int | None] = ()
) -> tuple[Unit, ...]:
    """
    Put names to stored quantities, which are in the order of the price's lines.

    Args:
        price: Of the version that the charge names.
        before: Measured before the call.
        after: Measured after it; None where the answer did not tell.
    """
    known = price.before_lines
    if len(before) < len(known):  # the body's length was not announced
        known = tuple(line for line in known if line.source != "request_bytes")
    rest = [line for line in (*price.before_lines, *price.after_lines) if line not in known]
    units = [Unit(line.label, quantity) for line, quantity in zip(known, before, strict=False)]
    units += [
        Unit(line.label, quantity)
        for line, quantity in zip(rest, after, strict=False)
        if quantity is not None
    ]
    return tuple(units)


def quote(
    price_list: PriceList,
    method: str,
    target: str,
    headers: Headers,
    body: bytes | None,
    *,
    plan: str = "",
    features: Sequence[str] = (),
) -> Quote:
    """
    Price a request that is not sent.

    Args:
        price_list: The prices to ask.
        method: As it would be sent.
        target: Path, with the query if there is one.
        headers: As they would be sent.
        body: None or empty for none.
        plan: What the account is on, as accounts have it.
        features: What it may use beside what the plan has.

    Raises:
        Unpriceable: It would be refused: 400, 403, 404, 405, or as `Price.before` refuses.
    """
    path, _, query = target.partition("?")
    try:
        canonical = canonical_path(path.encode())
        matched = price_list.match(method.encode(), canonical)
    except BadPath as error:
        raise Unpriceable(400, "bad-path", f"{str(error).capitalize()}.") from None
    if isinstance(matched, NoRoute):
        raise Unpriceable(404, "no-route", f"No route serves {canonical.decode()}.")
    if isinstance(matched, MethodNotAllowed):
        allowed = ", ".join(matched.allow)
        raise Unpriceable(405, "method-not-allowed", f"This path takes {allowed}.")
    known = price_list.plan_of(plan)
    route = on_plan(known, matched.route)
    if not is_open(route, known, features) and not route.observe:
        raise Unpriceable(403, "plan-required", plan_required(route, price_list.plans))
    price = route.price
    lowered = [(name.lower(), value) for name, value in headers]
    facts = RequestFacts(matched.params, query.encode(), lowered, body, len(body or b""))
    measured = price.before(facts)
    explained = explain(price, measured.units)
    arithmetic = explained.arithmetic
    if price.unpriced:
        arithmetic = "no price yet"
    if not measured.final:
        arithmetic = f"at most {format_amount(measured.ceiling, price.scale)}; the answer decides"
    return Quote(
        rule=route.index,
        name=route.name,
        path=route.path,
        line=route.line,
        credit_type=price.credit_type,
        scale=price.scale,
        lines=explained.lines,
        arithmetic=arithmetic,
        amount=measured.ceiling,
        final=measured.final,
        observe=route.observe,
        public=route.public,
        strict=route.strict,
        plan="" if known is None else known.name,
    )
