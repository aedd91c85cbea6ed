"""Learning the cost from the answer while it passes: incremental, bounded, never in its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.amounts import LARGEST_AMOUNT, LARGEST_QUANTITY
from config.pricing.facts import Headers, Measured, Unit
from config.pricing.pointer import ABSENT, read_leniently, usage
from config.pricing.sse import EventSplitter
from config.pricing.unzip import Unzip

if TYPE_CHECKING:
    from config.pricing.price import Line, Price

LARGEST_METERED_BODY = 1024 * 1024
"""Bytes of a JSON answer that are kept to read usage from; in a larger one it is missing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request turned out to cost."""

    amount: int
    """Smallest units; may be above the ceiling, which is then what can be captured."""
    units: tuple[Unit, ...]
    """All that was measured, before the call and after it."""
    missing: bool
    """The answer did not tell; `amount` is the price's `missing`."""


class Meter:
    """Watches one answer. Feed it what passes, close it once."""

    def __init__(self, price: "Price", measured: Measured) -> None:
        self._price = price
        self._measured = measured
        self._counts: dict[str, int] = {}
        self._seen_bytes = 0
        self._request_bytes: int | None = None
        self._messages = 0
        self._connections = 1
        self._pointers = [
            (line.label, line.pointer) for line in price.after_lines if line.source == "response"
        ]
        self._events: EventSplitter | None = None
        self._body: bytearray | None = None
        self._unzip: Unzip | None = None

    def sent(self, request_bytes: int) -> None:
        """Tell how long a body of unannounced length was; without it the ceiling is the cost."""
        self._request_bytes = request_bytes

    def message(self) -> None:
        """Count one message from the client of a WebSocket."""
        self._messages += 1

    @property
    def messages(self) -> int:
        """How many there were."""
        return self._messages

    def passed(self, payload_bytes: int) -> None:
        """Count bytes that a WebSocket's upstream sent: payload of data frames, as sent."""
        self._seen_bytes += payload_bytes

    def continues(self) -> None:
        """Watch a connection that an earlier charge has counted already."""
        self._connections = 0

    def due(self, elapsed_ms: int, *, more_messages: int = 0) -> int:
        """Compute what a WebSocket costs by now, and with so many more messages."""
        units = list(self._measured.units)
        for line in self._price.after_lines:
            quantity = self._quantity(line, elapsed_ms)
            if quantity is not None:
                quantity += more_messages if line.source == "messages" else 0
                units.append(Unit(line.label, quantity))
        return self._price.cost(units)

    def head(self, status: int, headers: Headers) -> None:  # noqa: ARG002
        """Take the answer's head: how to read its body, and counts in headers."""
        found: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value.strip(b" \t"))
        for line in self._price.after_lines:
            values = found.get(line.selector.encode()) if line.source == "response_header" else None
            if values is not None and len(values) == 1 and values[0].isdigit():
                self._note(line.label, values[0])
            elif values is not None:
                self._counts[line.label] = -1
        if not self._pointers:
            return
        codings = [c for c in found.get(b"content-encoding", []) if c.lower() != b"identity"]
        if codings:  # though it was asked for without
            self._unzip = Unzip.for_coding(codings[0]) if len(codings) == 1 else None
            if self._unzip is None:
                self._unreadable()
                return
        media = found.get(b"content-type", [b""])[0].partition(b";")[0].strip().lower()
        if media == b"text/event-stream":
            self._events = EventSplitter()
        elif media == b"application/json" or media.endswith(b"+json"):
            self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer's body."""
        self._seen_bytes += len(chunk)
        if self._unzip is None:
            self._read(chunk)
            return
        for piece in self._unzip.feed(chunk):
            self._read(piece)
        if self._unzip.failed:
            self._unreadable()

    def _read(self, chunk: bytes) -> None:
        if self._events is not None:
            for data in self._events.feed(chunk):
                self._event(data)
        elif self._body is not None:
            if len(self._body) + len(chunk) > LARGEST_METERED_BODY:
                self._body = None
            else:
                self._body += chunk

    def close(self, elapsed_ms: int) -> Cost:
        """Compute the cost, `elapsed_ms` after the request went up. Once closed, it stays so."""
        if self._events is not None:
            for data in self._events.close():
                self._event(data)
        elif self._body is not None:
            self._document(read_leniently(self._body))
        self._events = self._body = None
        after = [self._quantity(line, elapsed_ms) for line in self._price.after_lines]
        return cost_of(self._price, self._measured, after, self._request_bytes)

    def _quantity(self, line: "Line", elapsed_ms: int) -> int | None:
        if line.source == "seconds":
            return max(0, elapsed_ms)
        if line.source == "response_bytes":
            return self._seen_bytes
        if line.source == "connection":
            return self._connections
        if line.source == "messages":
            return self._messages
        # -1 marks a value that was there and is no count: the default is for absent ones only.
        quantity = self._counts.get(line.label, line.default)
        return None if quantity == -1 else quantity

    def _unreadable(self) -> None:
        """Read no more. What was found before may not be the last word, so it does not count."""
        self._events = self._body = None
        for label, _ in self._pointers:
            self._counts[label] = -1

    def _note(self, label: str, digits: bytes) -> None:
        quantity = int(digits) if len(digits) <= 16 else -1
        self._counts[label] = quantity if quantity <= LARGEST_QUANTITY else -1

    def _event(self, data: bytes) -> None:
        # Parsing every event of a long stream costs far more than looking for the last key in it.
        escaped = b"\\" in data
        if escaped or any(p.tokens[-1].encode() in data for _, p in self._pointers):
            self._document(read_leniently(data))

    def _document(self, document: object) -> None:
        if document is ABSENT:
            return
        for label, pointer in self._pointers:
            value = pointer.find(document)
            # Streams often carry `"usage": null` until the end; null is as good as absent.
            if value is not ABSENT and value is not None:
                quantity = usage(value)
                self._counts[label] = -1 if quantity is None else quantity


def cost_of(
    price: "Price",
    measured: Measured,
    after: Sequence[int | None],
    request_bytes: int | None = None,
) -> Cost:
    """
    Compute the cost of what was measured.

    Args:
        price: Of the route.
        measured: What was known before the call.
        after: A quantity for each of the price's after lines; None: the answer did not tell.
        request_bytes: How long a body of unannounced length was; None: nobody knows.
    """
    units, missing = list(measured.units), False
    if len(units) < len(price.before_lines):
        if request_bytes is None:
            return Cost(measured.ceiling, tuple(units), missing=True)
        units.append(Unit("request_bytes", request_bytes))
    for line, quantity in zip(price.after_lines, after, strict=True):
        if quantity is None:
            missing = True
        else:
            units.append(Unit(line.label, quantity))
    if missing:
        amount = measured.ceiling if price.missing is None else price.missing
    else:
        amount = min(price.cost(units), LARGEST_AMOUNT)
    return Cost(amount, tuple(units), missing)
