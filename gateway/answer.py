"""What the gateway itself says in an answer: its headers, and its problems."""

from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from config import Cors, Route, format_amount
from gateway.headers import Headers, cors
from gateway.metering import Metering
from gateway.problems import Problem
from gateway.request import Request

Tell = Callable[[int, bool], Headers]
"""(status, the answer's body was read whole) -> our headers for the answer's head."""

NO_HEADERS: Final[Headers] = []


def free(
    request_id: str, scale: int, available: int | None = None, limits: Headers = NO_HEADERS
) -> Tell:
    """Say that it costs nothing; with balance and limits where they were looked up."""

    def tell(_status: int, _whole: bool) -> Headers:  # noqa: FBT001 - the shape of Tell
        return _headers(request_id, scale, 0, available) + limits

    return tell


def billed(
    request_id: str,
    route: Route,
    metering: Metering,
    available: int,
    limits: Headers = NO_HEADERS,
) -> Tell:
    """
    Say what a held request costs, where that is known, what is left, and how the limits stand.

    `available` is what the hold left; where the cost is known, what goes back is counted in.
    """
    ceiling = metering.measured.ceiling
    scale = route.price.scale

    def tell(status: int, whole: bool) -> Headers:  # noqa: FBT001 - the shape of Tell
        if not route.charge_on.covers(status):
            return _headers(request_id, scale, 0, available + ceiling) + limits
        if metering.meter is not None and not whole:
            return underway(request_id, scale, available, limits)
        cost = min(metering.charge().cost, ceiling)
        return _headers(request_id, scale, cost, available + ceiling - cost) + limits

    return tell


def underway(request_id: str, scale: int, available: int, limits: Headers) -> Headers:
    """Say of a held request, whose cost its answer will tell, what the hold left."""
    return _headers(request_id, scale, None, available) + limits


def _headers(request_id: str, scale: int, cost: int | None, balance: int | None) -> Headers:
    headers = [(b"farebox-request-id", request_id.encode())]
    if cost is not None:
        headers.append((b"farebox-cost", shown_amount(cost, scale)))
    if balance is not None:
        headers.append((b"farebox-balance", shown_amount(balance, scale)))
    return headers


def shown_amount(units: int, scale: int) -> bytes:
    """Return an amount as headers tell it."""
    return format_amount(units, scale).encode() if scale else b"%d" % units


async def send_problem(
    problem: Problem,
    request: Request,
    *,
    request_id: str,
    prefix: str,
    policy: Cors,
    limits: Headers = NO_HEADERS,
) -> int:
    """Answer with a problem, readable by pages of an allowed origin; return its body's bytes."""
    body = problem.body(request_id, prefix)
    headers = problem.header_list(len(body))
    headers += _headers(request_id, 0, 0, None) + limits
    # An answer of the backend keeps the backend's; this one begins here (RFC 9110 6.6.1).
    headers.append((b"date", formatdate(usegmt=True).encode()))
    if request.facts.origin is not None and policy.allows(request.facts.origin.decode("latin-1")):
        headers += cors(request.facts.origin)
    if request.left_unread:
        # The client may send the body it announced, or not: the next request cannot be found.
        headers.append((b"connection", b"close"))
    # HEAD has none; the server would drop it, but that is not to be relied on.
    shown = b"" if request.method == b"HEAD" else body
    await request.turn.begin(problem.status, headers)
    await request.turn.body(shown, more=False)
    return len(shown)
