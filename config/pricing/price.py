"""
A price: how much a request may cost before the call, and what it did cost.

`before` runs on every request. A price that depends on nothing is measured once, when
the file is loaded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from config.amounts import LARGEST_AMOUNT, total_cost
from config.pricing.facts import Measured, RequestFacts, Unit, Unpriceable
from config.pricing.measure import measure
from config.pricing.meter import Meter
from config.pricing.pointer import Pointer

SLICE_S = 60
"""A WebSocket connection is a chain of charges of at most this long."""

BEFORE = frozenset({"query", "header", "path", "body", "request_bytes"})
"""What can be measured before the call."""

AFTER = frozenset({"response", "response_header", "response_bytes", "seconds"})
"""What only the answer tells."""

CONNECTION = frozenset({"connection", "messages"})
"""What only a WebSocket has."""


@dataclass(frozen=True, slots=True)
class Line:
    """One unit of a price: `cost` for each `unit` of what `source` measures."""

    source: str
    selector: str
    """Name, or JSON pointer; empty where the source says it all."""
    unit: int
    """Divides the quantity. For seconds in milliseconds, so that only the end is rounded."""
    cost: int
    """Multiplies; smallest units of the credit type."""
    default: int | None
    """The quantity where there is none."""
    label: str = field(init=False)
    """How measured units name this line."""
    pointer: Pointer = field(init=False, repr=False)
    """Of `body` and `response`."""

    def __post_init__(self) -> None:
        """Work out once what every request would ask."""
        label = f"{self.source} {self.selector}" if self.selector else self.source
        object.__setattr__(self, "label", "milliseconds" if self.source == "seconds" else label)
        pointed = self.source in {"body", "response"}
        object.__setattr__(self, "pointer", Pointer.parse(self.selector if pointed else "/"))


@dataclass(frozen=True, slots=True)
class Price:
    """
    What one route costs. Amounts are smallest units of the credit type.

    Raises:
        Unpriceable: It exceeds 9e13 for every request.
    """

    credit_type: str
    scale: int
    flat: int = 0
    lines: tuple[Line, ...] = ()
    minimum: int = 0
    maximum: int | None = None
    hold: int | None = None
    """The ceiling of a price that the answer decides."""
    missing: int | None = None
    """The cost when the answer does not tell; the hold unless the file says otherwise."""
    body_limit: int = 1024 * 1024
    unpriced: bool = False
    """Nobody has said yet what it costs: it is watched, and never charged."""
    before_lines: tuple[Line, ...] = field(init=False)
    after_lines: tuple[Line, ...] = field(init=False)
    needs_body: bool = field(init=False)
    """The request's body must be read whole before the call."""
    wants_identity: bool = field(init=False)
    """The answer's body is read, so the upstream must be asked not to compress it."""
    is_free: bool = field(init=False)
    """The cost is 0 whatever the request is."""
    fixed: Measured | None = field(init=False, repr=False)
    """What every request measures alike; None where each is measured."""

    def __post_init__(self) -> None:
        """Work out once what every request would ask."""
        before = tuple(line for line in self.lines if line.source in BEFORE)
        after = tuple(line for line in self.lines if line.source not in BEFORE)
        put = object.__setattr__
        put(self, "before_lines", before)
        put(self, "after_lines", after)
        put(self, "needs_body", any(line.source == "body" for line in before))
        put(self, "wants_identity", any(line.source == "response" for line in after))
        put(self, "fixed", None if before else self._measured(()))
        put(self, "is_free", not (self.unpriced or self.lines) and self.cost(()) == 0)

    def before(self, facts: RequestFacts) -> Measured:
        """
        Measure a request before the call.

        Raises:
            Unpriceable: It cannot be priced without doubt; nothing may be forwarded.
        """
        if self.fixed is not None:
            return self.fixed
        return self._measured(measure(self.before_lines, facts, self.body_limit))

    def of_units(self, units: Sequence[Unit]) -> Measured:
        """
        Say what is known before the call when this was measured, as `before` does.

        Args:
            units: One for each of `before_lines`; none for `request_bytes` of a body whose length
                is not announced.

        Raises:
            Unpriceable: It is above 9e13, or such a body has no bound.
        """
        return self._measured(units)

    def next_slice(self, first: Measured) -> Measured:
        """Measure a later charge of a WebSocket connection, which is not counted again."""
        if first.final or self.hold is not None:
            return first
        return Measured(self._slice(first.units, connections=0), first.units, final=False)

    def meter(self, measured: Measured) -> Meter:
        """Watch the answer of one request; only needed where `measured.final` is false."""
        return Meter(self, measured)

    def cost(self, units: Iterable[Unit]) -> int:
        """Compute the cost of measured units, rounded up once, within `min` and `max`."""
        return self._within(total_cost(self.flat, self.parts(units)))

    def parts(self, units: Iterable[Unit]) -> list[tuple[int, int, int]]:
        """Give (quantity, unit, cost) of each measured unit of this price."""
        quantities = dict(units)
        return [
            (quantities[line.label], line.unit, line.cost)
            for line in self.lines
            if line.label in quantities
        ]

    def _within(self, cost: int) -> int:
        cost = max(cost, self.minimum)
        return cost if self.maximum is None else min(cost, self.maximum)

    def _measured(self, units: Sequence[Unit]) -> Measured:
        known = self.cost(units)
        if len(units) < len(self.before_lines):  # a body of unannounced length
            ceiling, final = max(known, self._most()), False
        elif self.after_lines:
            # What is known already is due in any case, even above the hold.
            ceiling = self._slice(units) if self.hold is None else max(known, self.hold)
            final = False
        else:
            ceiling, final = known, True
        if ceiling > LARGEST_AMOUNT:
            sentence = "The price of this request is larger than any balance."
            raise Unpriceable(422, "price-overflow", sentence)
        return Measured(ceiling, tuple(units), final)

    def _most(self) -> int:
        """
        Give the most that a body of unannounced length can cost.

        Raises:
            Unpriceable: 411, where the file sets no bound.
        """
        most = self.hold if self.maximum is None else self.maximum
        if most is None:
            sentence = "The price depends on the body's length: send Content-Length."
            raise Unpriceable(411, "length-required", sentence)
        return most

    def _slice(self, units: Sequence[Unit], *, connections: int = 1) -> int:
        """Give the most that one slice of a WebSocket connection costs; others have a hold."""
        most = {"seconds": SLICE_S * 1000, "connection": connections}
        after = [Unit(line.label, most[line.source]) for line in self.after_lines]
        return self.cost([*units, *after])
