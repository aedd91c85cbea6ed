"""One request, and what has become known of it on its way through the proxy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from config import Match, Route
from gateway.access_log import Line
from gateway.forward import Exchange
from gateway.headers import Headers
from gateway.identify import Caller
from gateway.limits import NONE, RouteLimits
from gateway.prices import Prices
from gateway.request import Request

if TYPE_CHECKING:
    from gateway.fast_path import Begun
    from gateway.idempotency import Once

_NOTHING_RECORDED: Mapping[str, str] = {}


class Visit:
    """
    One request from its head to its line in the log.

    Attributes:
        prices: In force when it began; it keeps them to its end.
        began_us: Microseconds since 1970.
        route: Of `match`; there is none before.
        request_id: The hold's id once there is a hold; empty until somebody asks for one.
        status: What the client was answered; 0 while it was not.
        reason: Why it was refused (a problem's name), or how it ended (a reason's word).
        captured: What its settlement takes, smallest units.
        limits: What limits its route has; none before there is a route.
        plan, plan_name: What its account is on; None and empty where that does not matter.
        standings: How the limits stand, once the ledger said it.
        once: The block of its hold, where it has an Idempotency-Key.
        begun: What the fast path did of it before.
    """

    __slots__ = (
        "began_us",
        "begun",
        "caller",
        "captured",
        "exchange",
        "limits",
        "match",
        "once",
        "plan",
        "plan_name",
        "prices",
        "reason",
        "record",
        "request",
        "request_id",
        "route",
        "sent_bytes",
        "standings",
        "status",
    )

    route: Route

    def __init__(self, request: Request, prices: Prices, began_us: int) -> None:
        self.request = request
        self.prices = prices
        self.began_us = began_us
        self.request_id = ""
        self.match: Match | None = None
        self.limits: RouteLimits = NONE
        self.plan: int | None = None
        self.plan_name = ""
        self.caller: Caller | None = None
        self.exchange: Exchange | None = None
        self.record: Mapping[str, str] = _NOTHING_RECORDED
        self.status = 0
        self.reason = ""
        self.captured = 0
        self.sent_bytes = 0
        self.standings: Sequence[bytes] = ()
        self.once: Once | None = None
        self.begun: Begun | None = None

    @property
    def told_limits(self) -> Headers:
        """What an answer says of them."""
        return self.limits.headers(self.standings)

    def found(self, match: Match) -> None:
        """Note its route."""
        self.match = match
        self.route = match.route
        self.limits = self.prices.limits[match.route.index]

    def on_plan(self, match: Match, limits: RouteLimits, number: int | None, name: str) -> None:
        """Note its route as it is on the plan that the account is on."""
        self.match = match
        self.route = match.route
        self.limits = limits
        self.plan = number
        self.plan_name = name

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
            self.request.method.decode(),
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
