"""
What a recorded charge would have come to with another price list.

Pure: a charge's row and two routes in, an amount out. It decides with the very parts that
charge a live request (`Price.of_units`, `cost_of`, `outcome`), so the two cannot drift apart.
Where the record does not say enough, it says so instead of guessing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from config import Heirs, Line, Price, Route, Unit, Unpriceable, cost_of, count
from config.routing import parameters
from gateway.metering import CONTINUES
from gateway.outcome import Charge, End, Ending, outcome
from gateway.watched import read_note
from ledger.books import ChargeState
from ledger.fold_uses import FREE_NOTE
from ledger.reasons import Reason


class Recorded(NamedTuple):
    """
    What is kept of a charge, as far as its price can depend on it.

    due: What the price of that time came to, smallest units: captured or written off.
    held: Of an observed request, what it would have cost.
    """

    account_id: int | None
    state: int
    reason: int | None
    status: int | None
    held: int
    due: int
    units: Sequence[int] | None
    measured: Sequence[int | None] | None
    record: Mapping[str, object] | None
    note: str | None


class Repriced(NamedTuple):
    """
    What a request would be charged, smallest units.

    counts: It would be held for a price and captured, and so use up an allowance that there is.
    """

    amount: int
    counts: bool


NOT_CHARGED: Final = Repriced(0, counts=False)


class NotRepriced(Exception):
    """
    The record does not say what the charge would be. `code` is one of `WHY`.

    Nothing of it counts, neither what it was nor what it would be.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


WHY: Final = {
    "version-unknown": "the text of its price version is not here, or cannot be read any more",
    "route-gone": "no route of the new file takes it",
    "route-unclear": "its calls may go to several routes now, and path and method are not recorded",
    "price-needs-more": "the new price needs what was not recorded",
    "default-changed": "it may have been the default, which is another one now",
    "units-not-recorded": "its own units are not recorded",
    "ending-unclear": "how its answer ended is not recorded",
    "refused": "the new price would refuse it",
    "slices": "a WebSocket would be charged in other slices",
    "without-key": "it was only observed, and had no key: it would be refused",
    "open": "it is still under way",
}  # fmt: skip
"""Why a charge cannot be repriced."""


@dataclass(frozen=True, slots=True)
class _Units:
    """The recorded quantities by the old price's labels."""

    before: Mapping[str, int]
    after: Mapping[str, int | None] | None
    """None: nothing was measured after the call."""
    announced: bool
    """The body's length was known before the call."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the quantity of a line of the new price is found in the record."""

    line: Line
    known_as: Line | None
    """The old price's line for the same quantity."""
    recorded_as: str | None
    """The name under which the old route's `record` kept it."""


class Repricing:
    """One route of an old price list against those that take its requests in the new one."""

    def __init__(self, old: Route, heirs: Heirs, *, refusal: NotRepriced | None = None) -> None:
        """`refusal`: why the new route would be closed to the charge's account."""
        self.old = old
        self.new: Route | None = None
        self._why = _why_not(old, heirs) or refusal
        if self._why is None:
            self.new = heirs.routes[0]
            self._alike = _alike(old, self.new)
            self._before = [_source(old, self.new, line) for line in self.new.price.before_lines]
            self._after = [_source(old, self.new, line) for line in self.new.price.after_lines]

    def reprice(self, charge: Recorded) -> Repriced:
        """
        Return what the same request would be charged now, smallest units of the new type.

        As if its whole cost could be taken: limits and balances are not played again, and
        allowances are the caller's.

        Raises:
            NotRepriced: The record does not say.
        """
        if charge.state == ChargeState.OPEN:
            raise not_repriced("open")
        if charge.state == ChargeState.EXPIRED or _is_void_for_good(charge.reason):
            return NOT_CHARGED
        if self._why is not None or self.new is None:
            raise self._why or not_repriced("route-gone")
        if self.new.observe:
            return NOT_CHARGED
        if charge.state == ChargeState.OBSERVED:
            return self._observed(charge, self.new)
        free_then = charge.note == FREE_NOTE
        if self._alike and not free_then:
            captured = charge.state in {ChargeState.CAPTURED, ChargeState.LATE}
            return Repriced(charge.due, counts=captured and charge.held > 0)
        if self.new.websocket and not (self.old.price.hold is self.new.price.hold is None):
            raise not_repriced("slices")
        return self._of(charge, self.new, self._ending(charge, self.new))

    def _ending(self, charge: Recorded, new: Route) -> Ending:
        """Return how it ended; endings that are charged alike count as one."""
        status = charge.status or 0
        covered = new.charge_on.covers(status)
        match charge.reason:
            case Reason.DELIVERED | Reason.CLIENT_GONE | Reason.STATUS:
                end = End.COMPLETE
            case Reason.CUT_DELIVERED | Reason.UPSTREAM_CUT:
                end = End.CUT
            case Reason.UNCOLLECTED | Reason.USAGE_MISSING if (
                self.old.on_cut == "void" or new.on_cut == "delivered"
            ):
                end = End.COMPLETE
            case _:
                raise not_repriced("ending-unclear")
        return Ending(end, status, covered)

    def _observed(self, charge: Recorded, new: Route) -> Repriced:
        """Reprice what was only watched: not its reason is kept, but what it would have cost."""
        if charge.account_id is None:
            raise not_repriced("without-key")
        if new.websocket:
            raise not_repriced("slices")
        status = charge.status or 0
        complete = Ending(End.COMPLETE, status, new.charge_on.covers(status))
        if not self.old.charge_on.covers(status):
            if not complete.covered:
                return NOT_CHARGED
            raise not_repriced("ending-unclear")
        same = Repricing(self.old, Heirs((self.old,), none=False))
        was = same._of(charge, self.old, Ending(End.COMPLETE, status, covered=True))
        cut_counts = (self.old.on_cut, new.on_cut)
        if was.amount == charge.held > 0 and cut_counts != ("delivered", "void"):
            return self._of(charge, new, complete)
        if charge.held == 0 and was.amount > 0 and new.on_cut == "void":
            return NOT_CHARGED  # it was not delivered
        if charge.held == was.amount == 0:
            now = self._of(charge, new, complete)
            if now.amount == 0:
                return now._replace(counts=now.counts and not read_note(charge.note).failed)
        raise not_repriced("ending-unclear")

    def _of(self, charge: Recorded, new: Route, ending: Ending) -> Repriced:
        cut_is_delivered = new.on_cut == "delivered"
        nothing = Charge(0, 0, final=False)
        if not outcome(ending, nothing, cut_is_delivered=cut_is_delivered).capture:
            return NOT_CHARGED
        units = _units_of(self.old.price, charge)
        before = [self._before_the_call(source, units, charge) for source in self._before]
        after = [_after_the_call(source, units) for source in self._after]
        later = (charge.note or "").startswith(CONTINUES)

        def captured(*, announced: bool) -> Repriced:
            due = _charge(new.price, before, after, announced=announced, later=later)
            result = outcome(ending, due, cut_is_delivered=cut_is_delivered)
            return Repriced(result.amount, counts=result.capture and due.ceiling > 0)

        now = captured(announced=units.announced or new.price.needs_body)
        # A body that was read whole may have come without its length; then nobody wrote it down.
        length_counts = any(unit.source == "request_bytes" for unit in before)
        if self.old.price.needs_body and not new.price.needs_body and length_counts:
            try:
                other = captured(announced=False).amount
            except NotRepriced:
                other = -1
            if other != now.amount:
                raise not_repriced("price-needs-more", "whether the body's length was announced")
        return now

    def _before_the_call(self, source: _Source, units: _Units, charge: Recorded) -> Unit:
        line = source.line
        if source.known_as is not None:
            label = source.known_as.label
            if label in units.before:
                return Unit(line.label, _carried(line, source.known_as, units.before[label]))
            if units.after is None:
                raise not_repriced("units-not-recorded")
            return Unit(line.label, units.after[label] or 0)
        kept = (charge.record or {}).get(source.recorded_as or "")
        if not isinstance(kept, str):
            raise not_repriced("price-needs-more", line.label)
        try:
            return Unit(line.label, count(line, kept) or 0)
        except Unpriceable as error:
            raise not_repriced("refused", error.code) from None


def not_repriced(code: str, more: str = "") -> NotRepriced:
    """Make the exception for one of `WHY`; `more` says what exactly."""
    return NotRepriced(code, f"{WHY[code]}: {more}" if more else WHY[code])


def _is_void_for_good(reason: int | None) -> bool:
    """Whether nothing is charged whatever the price says: only these two depend on the route."""
    voids = reason is not None and Reason.STATUS <= reason < Reason.EXPIRED
    return voids and reason not in {Reason.STATUS, Reason.UPSTREAM_CUT}


def _why_not(old: Route, heirs: Heirs) -> NotRepriced | None:
    if not heirs.routes:
        return not_repriced("route-gone")
    first, *others = heirs.routes
    if heirs.none or not all(_alike(first, other) for other in others):
        return not_repriced("route-unclear")
    if first.websocket != old.websocket and not first.observe:
        return not_repriced("route-gone", "it is a WebSocket in one of the files only")
    return None


def _alike(one: Route, other: Route) -> bool:
    """Whether both charge every request the same."""
    facts = [
        (route.price, route.charge_on, route.on_cut, route.observe, route.websocket, _places(route))
        for route in (one, other)
    ]
    return facts[0] == facts[1]


def _places(route: Route) -> list[int]:
    """Return where in the path stands what the price measures there."""
    return [_place(route, line) for line in route.price.lines if line.source == "path"]


def _place(route: Route, line: Line) -> int:
    return route.path.split("/").index(f"{{{line.selector}}}")


def _source(old: Route, new: Route, line: Line) -> _Source:
    """Find where the record has what a line of the new price measures."""
    selector = line.selector
    if line.source == "path":
        # The same place in the path; files may name it differently.
        there = dict(enumerate(old.path.split("/"))).get(_place(new, line), "")
        selector = next(iter(parameters(there)), "")
    lines = (*old.price.before_lines, *old.price.after_lines)
    found = [one for one in lines if (one.source, one.selector) == (line.source, selector)]
    names = [
        one.name
        for one in old.record
        # These two are read for the record as they are for a price; the others more leniently.
        if one.source in {"path", "query"} and (one.source, one.selector) == (line.source, selector)
    ]
    return _Source(line, found[0] if found else None, names[0] if names else None)


def _units_of(price: Price, charge: Recorded) -> _Units:
    """
    Put names to the recorded quantities.

    Raises:
        NotRepriced: They are not those of the price: a late charge may have lost some.
    """
    labels, known = [line.label for line in price.before_lines], charge.units or ()
    announced = len(known) == len(labels)
    late = [line.label for line in price.after_lines]
    if not announced:
        if len(known) != len(labels) - 1 or "request_bytes" not in labels:
            raise not_repriced("units-not-recorded")
        labels.remove("request_bytes")
        late.insert(0, "request_bytes")
    if charge.measured is not None and len(charge.measured) != len(late):
        raise not_repriced("units-not-recorded")
    after = None if charge.measured is None else dict(zip(late, charge.measured, strict=True))
    return _Units(dict(zip(labels, known, strict=True)), after, announced)


def _after_the_call(source: _Source, units: _Units) -> int | None:
    """Return a quantity of the answer; None where it did not tell."""
    if source.known_as is None:
        raise not_repriced("price-needs-more", source.line.label)
    if units.after is None:
        raise not_repriced("units-not-recorded")
    quantity = units.after[source.known_as.label]
    if quantity is not None:
        return _carried(source.line, source.known_as, quantity)
    if source.known_as.default is None and source.line.default is not None:
        raise not_repriced("default-changed", source.line.label)
    return None


def _carried(line: Line, known_as: Line, quantity: int) -> int:
    """Take a quantity over, unless it may stand for a default that has changed."""
    if quantity == known_as.default and line.default != known_as.default:
        raise not_repriced("default-changed", line.label)
    return quantity


def _charge(
    price: Price,
    before: Sequence[Unit],
    after: Sequence[int | None],
    *,
    announced: bool,
    later: bool,
) -> Charge:
    told = [unit for unit in before if announced or unit.source != "request_bytes"]
    length = next((unit.quantity for unit in before if unit.source == "request_bytes"), None)
    try:
        measured = price.of_units(told)
    except Unpriceable as error:
        raise not_repriced("refused", error.code) from None
    if later:
        measured = price.next_slice(measured)
    if measured.final:
        return Charge(measured.ceiling, measured.ceiling, final=True)
    cost = cost_of(price, measured, after, length)
    return Charge(measured.ceiling, cost.amount, final=False, missing=cost.missing)
