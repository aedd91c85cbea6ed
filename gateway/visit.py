"""One request, and what has become known of it on its way through the proxy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config import Match, Route
from gateway.access_log import Line
from gateway.forward import Exchange
from gateway.headers import Headers
from gateway.identify import Caller
from gateway.limits import NONE, RouteLimits
from gateway.prices import Prices
from gateway.request import Request, Send


@dataclass(slots=True)
class Visit:
    """
    One request from its head to its line in the log.

    Attributes:
        prices: In force when it began; it keeps them to its end.
        began_us: Microseconds since 1970.
        request_id: The hold's id once there is a hold; empty until somebody asks for one.
        status: What the client was answered; 0 while it was not.
        reason: Why it was refused (a problem's name), or how it ended (a reason's word).
        captured: What its settlement takes, smallest units.
        standings: How the limits stand, once the ledger said it.
    """

    request: Request
    send: Send
    prices: Prices
    began_us: int
    request_id: str = ""
    match: Match | None = None
    caller: Caller | None = None
    exchange: Exchange | None = None
    record: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    reason: str = ""
    captured: int = 0
    sent_bytes: int = 0
    standings: Sequence[bytes] = ()

    @property
    def limits(self) -> RouteLimits:
        """What limits its route has; none before there is a route."""
        return NONE if self.match is None else self.prices.limits[self.match.route.index]

    @property
    def told_limits(self) -> Headers:
        """What an answer says of them."""
        return self.limits.headers(self.standings)

    @property
    def route(self) -> Route:
        """The route, once it is matched."""
        assert self.match is not None
        return self.match.route

    @property
    def route_name(self) -> str:
        """The route's name; empty where none matched."""
        return self.match.route.name if self.match is not None else ""

    def line(self, duration_us: int) -> Line:
        """Return what the access log says of it."""
        caller = self.caller
        return Line(
            self.began_us,
            self.request_id,
            self.request.method,
            self.route_name,
            self.status,
            0 if caller is None else caller.account,
            0 if caller is None else caller.key,
            self.captured,
            self.reason,
            duration_us,
            self.sent_bytes,
            self.request.peer,
        )
