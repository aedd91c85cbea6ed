"""Why a charge is what it is, in sentences and figures a person can check."""

from config import CostLine, PriceList, explain, format_amount, on_plan, units_of
from gateway.models import Answer
from gateway.watched import read_note
from ledger.books import ChargeState
from ledger.charges import Charge

REASONS = {
    "delivered": "the answer was delivered",
    "client-gone": "the client left before the end; the price was known before the call",
    "usage-missing": "the answer did not tell its usage, so the price's `missing` counts",
    "cut-delivered": "the upstream cut the answer; the route charges what was delivered",
    "uncollected": "the cost came out above the hold; only the hold was taken",
    "status": "the upstream's status is not one that is charged",
    "upstream-refused": "no connection to the upstream could be made",
    "upstream-reset": "the upstream closed the connection without an answer",
    "upstream-timeout": "the upstream did not answer in time",
    "upstream-cut": "the upstream stopped in the middle of its answer",
    "client-gone-early": "the client left before the upstream was asked",
    "gateway-error": "the gateway failed",
    "upstream-invalid": "the upstream's answer was no valid HTTP",
    "body-rejected": "the request's body was refused on the way",
    "not-posted": "the route is strict, and Postgres did not get the hold in time",
    "overtaken": "another answer was kept under its Idempotency-Key while it ran, and was given",
    "unused": "it was held ahead for a WebSocket, which ended before it was needed",
    "expired": "the gateway died before the end; the hold ran out and came back",
    "observed": "the route only records",
    "late": "the end of the call was booked after the hold had run out",
}
"""The ledger's reasons, for people."""


class CostPart(Answer):
    """A measured quantity and its price: `cost` for each `unit` of it."""

    source: str
    quantity: int
    unit: int
    cost: int

    @classmethod
    def of(cls, line: CostLine) -> "CostPart":
        """Show one line of an explanation."""
        return cls(source=line.source, quantity=line.quantity, unit=line.unit, cost=line.cost)


class Explanation(Answer):
    """
    How the charge came about.

    `arithmetic` and `parts` are missing where the price file of that version cannot be read
    any more; the amounts stand all the same.
    """

    text: str
    arithmetic: str | None
    parts: list[CostPart]


def explanation(charge: Charge, prices: PriceList | None) -> Explanation:
    """Explain a charge by the price list of its version."""
    arithmetic, parts = _arithmetic(charge, prices)
    sentences = [
        _rule(charge),
        *_plan(charge, prices),
        *([f"Cost: {arithmetic}."] if arithmetic else []),
        _end(charge),
    ]
    if charge.refunded:
        sentences.append(f"Refunded later: {_shown(charge, charge.refunded)}.")
    if charge.note and charge.state is not ChargeState.OBSERVED:
        sentences.append(f"Note: {charge.note}.")
    return Explanation(text=" ".join(sentences), arithmetic=arithmetic, parts=parts)


def _rule(charge: Charge) -> str:
    # A route without a name of its own goes by its path.
    known = dict.fromkeys(word for word in (charge.route, charge.path) if word)
    name = f" ({', '.join(known)})" if charge.route else ""
    return f"Rule {charge.rule}{name} of price version {charge.price_version}."


def _plan(charge: Charge, prices: PriceList | None) -> list[str]:
    """Say which plan counted, where it matters in that version."""
    if prices is None or not prices.asks_plans:
        return []
    known = prices.plan_of(charge.plan or "")
    name = "" if known is None else known.name
    if charge.plan and charge.plan != name:
        instead = f"the plan {name} counts" if name else "the usual prices count"
        return [f"The account's plan {charge.plan} is not in that version: {instead}."]
    return [f"Priced by the plan {name}."] if name else []


def _arithmetic(charge: Charge, prices: PriceList | None) -> tuple[str | None, list[CostPart]]:
    if prices is None or charge.rule >= len(prices.routes):
        return None, []
    plan = prices.plan_of(charge.plan or "")
    price = on_plan(plan, prices.routes[charge.rule]).price
    measured = charge.measured or []
    if price.after_lines and not measured:
        return None, []  # the answer decides, and it has not told
    units = units_of(price, charge.units or (), measured)
    explained = explain(price, units)
    parts = [CostPart.of(line) for line in explained.lines]
    if None not in measured:
        return explained.arithmetic, parts
    told = {unit.source for unit in units}
    untold = ", ".join(line.label for line in price.lines if line.label not in told)
    missing = charge.held if price.missing is None else price.missing
    return f"{untold} was not told, so `missing` counts: {_shown(charge, missing)}", parts


def _end(charge: Charge) -> str:
    held, captured = _shown(charge, charge.held), _shown(charge, charge.captured)
    because = REASONS.get(charge.reason or "", charge.reason or "")
    status = f" (status {charge.status})" if charge.status else ""
    match charge.state:
        case ChargeState.OPEN:
            return f"{held} held; the call is under way."
        case ChargeState.OBSERVED:
            return _watched(charge, because or REASONS["observed"], held)
        case ChargeState.CAPTURED | ChargeState.LATE:
            text = f"{held} held, {captured} charged: {because}{status}."
        case _:
            text = f"{held} held, nothing charged: {because}{status}."
    if charge.uncollected:
        text += f" Not collected: {_shown(charge, charge.uncollected)}."
    if charge.written_off:
        text += f" Written off, the balance was gone: {_shown(charge, charge.written_off)}."
    return text


def _watched(charge: Charge, because: str, cost: str) -> str:
    met = read_note(charge.note)
    text = f"Nothing charged: {because}"
    text += (
        f". It has no price: {met.unpriced}." if met.unpriced else f"; it would have cost {cost}."
    )
    return text + (f" It would have been refused: {met.refused}." if met.refused else "")


def _shown(charge: Charge, amount: int) -> str:
    return f"{format_amount(amount, charge.scale)} {charge.credit_type}"
