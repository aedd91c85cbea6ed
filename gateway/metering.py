"""What one request costs: known before the call or learned from the answer, and explained."""

import json
from collections.abc import Mapping

from config import Cost, Measured, Meter, Price
from gateway.outcome import Charge
from gateway.request import Request
from ledger.ports import Clock

CONTINUES = "continues "
"""How the note of a WebSocket's later slice begins; the id of its first charge follows."""

MAX_DETAIL_BYTES = 1024  # what a fact carries; five recorded values of 100 bytes fit three times


def detail_unpriced(record: Mapping[str, str], note: str, lasted_ms: int) -> bytes:
    """Return what is kept of a watched request without a price: its record, why, how long (ms)."""
    kept: dict[str, object] = {"r": dict(record)} if record else {}
    return _document({**kept, "x": note, "ms": lasted_ms})


class Metering:
    """
    The price of one request, on its way from a ceiling to a cost.

    Attributes:
        meter: Watches the answer; None where the price is known before the call.
    """

    __slots__ = (
        "_charge",
        "_clock",
        "_cost",
        "_elapsed_ms",
        "_note",
        "_price",
        "_request",
        "_since_us",
        "measured",
        "meter",
    )

    def __init__(
        self,
        price: Price,
        measured: Measured,
        request: Request,
        clock: Clock,
        *,
        note: str = "",
        since_us: int | None = None,
    ) -> None:
        """`since_us`: when its time began, where that was before now."""
        self._note = note
        self._elapsed_ms: int | None = None
        self._price = price
        self._request = request
        self._clock = clock
        self._cost: Cost | None = None
        self.measured = measured
        self.meter: Meter | None = None
        self._charge: Charge | None = None
        if measured.final:
            self._since_us = 0  # nobody asks how long it took
            self._charge = Charge(measured.ceiling, measured.ceiling, final=True)
        else:
            self._since_us = clock.now_us() if since_us is None else since_us
            self.meter = price.meter(measured)

    def charge(self) -> Charge:
        """Return what the request costs by what the meter has seen; the first call decides."""
        if self._charge is None:
            assert self.meter is not None
            if self._request.body_bytes is None:
                self.meter.sent(self._request.received_bytes)
            cost = self._cost = self.meter.close(self.elapsed_ms())
            ceiling = self.measured.ceiling
            self._charge = Charge(ceiling, cost.amount, final=False, missing=cost.missing)
        return self._charge

    def next_slice(self, first: str) -> "Metering":
        """Meter the next slice of a WebSocket connection; `first` is the id of its first charge."""
        price = self._price
        following = Metering(
            price,
            price.next_slice(self.measured),
            self._request,
            self._clock,
            note=f"{CONTINUES}{first}",
        )
        if following.meter is not None:
            following.meter.continues()
        return following

    @property
    def is_bounded(self) -> bool:
        """Whether what passes through a WebSocket may use up what is held for it."""
        return self._price.hold is not None

    @property
    def is_timed(self) -> bool:
        """Whether time may do so as well."""
        return self.is_bounded and any(one.source == "seconds" for one in self._price.after_lines)

    def end(self, elapsed_ms: int) -> None:
        """Count no more time than this: what comes later is another charge's."""
        self._elapsed_ms = elapsed_ms

    def elapsed_ms(self) -> int:
        """Return how long it has been since the price was asked, or until the `end`."""
        if self._elapsed_ms is not None:
            return self._elapsed_ms
        return max(0, self._clock.now_us() - self._since_us) // 1000

    def detail_before(self, record: Mapping[str, str], plan: str = "") -> bytes:
        """Return what the hold keeps: units measured (u), the route's record (r), the plan (p)."""
        if not (record or self._note or self.measured.units or plan):
            return b""
        return _document(self._before(record, plan))

    def detail_after(self, uncollected: int) -> bytes:
        """Return what the settlement keeps: units of the answer (m), uncollected (o), ms (ms)."""
        return b"" if self._cost is None else _document(self._after(uncollected))

    def detail_observed(
        self, record: Mapping[str, str], uncollected: int, note: str, lasted_ms: int, plan: str = ""
    ) -> bytes:
        """Return both at once for a request that was only watched; `note`: what it met (x)."""
        noted = {"x": note} if note else {}
        kept = {**self._before(record, plan), **self._after(uncollected), **noted}
        return _document({**kept, "ms": lasted_ms})

    def _before(self, record: Mapping[str, str], plan: str) -> dict[str, object]:
        kept: dict[str, object] = {"p": plan} if plan else {}
        if self.measured.units:
            kept["u"] = [unit.quantity for unit in self.measured.units]
        if record:
            kept["r"] = dict(record)
        if self._note:
            kept["x"] = self._note
        return kept

    def _after(self, uncollected: int) -> dict[str, object]:
        if self._cost is None:
            return {}
        known = {unit.source for unit in self.measured.units}
        found = {unit.source: unit.quantity for unit in self._cost.units}
        kept: dict[str, object] = {
            "m": [found.get(label) for label in self._labels() if label not in known],
            "ms": self.elapsed_ms(),
        }
        if uncollected:
            kept["o"] = uncollected
        return kept

    def _labels(self) -> list[str]:
        """Return the price's lines in the order in which `u`, then `m` list their quantities."""
        return [line.label for line in (*self._price.before_lines, *self._price.after_lines)]


def _document(kept: dict[str, object]) -> bytes:
    if not kept:
        return b""
    text = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MAX_DETAIL_BYTES:  # the record is decoration; the units explain the charge
        kept.pop("r", None)
        text = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()
    return text if len(text) <= MAX_DETAIL_BYTES else b""
