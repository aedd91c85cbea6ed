"""What is the same for every request with one head: worked out once, as the main flow does."""

from typing import Final, NamedTuple

from config import BadPath, Match, RequestFacts, Route, Unpriceable, canonical_path
from gateway.admission import check_head, find_route
from gateway.asgi import AsgiTurn
from gateway.fast_path.terms import KeptTerms, NotUsual, Priced, Terms
from gateway.framing import Head
from gateway.identify import Identification
from gateway.order import facts_of
from gateway.plans import Plans
from gateway.prices import Prices
from gateway.problems import Problem
from gateway.request import BodyTooLarge, Request
from gateway.upstream.h1 import IDEMPOTENT
from gateway.upstream.request_head import around_own_lines
from gateway.upward import upstream_request
from gateway.visit import Visit

SHORTEST_LIFETIME_MS: Final = 10_000
"""Nobody renews a hold here: a request is left to the main flow long before its hold expires."""

LARGEST_BODY: Final = 64 * 1024
"""Bytes; what is larger seldom comes with its head, and is not copied to be sent at once."""


class Preparing(NamedTuple):
    """What is asked to prepare a request."""

    identification: Identification
    plans: Plans
    terms: KeptTerms


class OnlyLookedAt(AsgiTurn):
    """A request of which nothing is read and to which nothing is answered; it keeps nobody."""

    def __init__(self, head: Head, peer: str, scheme: bytes) -> None:
        self.head = head
        self.peer = peer
        self.scheme = scheme


class Prepared:
    """
    Requests with one method, target and header lines, of one connection.

    Attributes:
        prices: What they are priced by; others are in force when this is out of date.
        head: What their backend gets, before and behind the request's id.
        surely: A kept connection must be known to stand: they cannot be repeated.
    """

    __slots__ = ("_by_body", "_priced", "head", "method", "prices", "surely", "terms")

    def __init__(self, visit: Visit, match: Match, terms: Terms, path: bytes) -> None:
        """
        Take over what the main flow knows before it asks for a hold.

        Raises:
            NotUsual: The price is nothing, or asks for more than the fast path does.
            Unpriceable: As the main flow will say.
        """
        request = visit.request
        facts = facts_of(request, match, None)
        self._priced: Priced | None = None
        self._by_body: tuple[Visit, RequestFacts] | None = None
        if terms.route.price.needs_body:
            self._by_body = visit, facts
        else:
            # The visit is not kept: it knows the header lines, and they will know this.
            self._priced = terms.price(visit, facts)
        self.terms = terms
        self.prices = visit.prices
        self.method = request.method.decode()
        self.surely = request.method not in IDEMPOTENT or request.body_bytes != 0
        upward = upstream_request(visit, path, metered=terms.metered)
        [(name, _)] = upward.headers  # the request's id, which is not known yet
        before, after = around_own_lines(upward, terms.address.authority)
        self.head = b"%b%b: " % (before, name), b"\r\n" + after

    def price(self, body: bytes) -> Priced | None:
        """Return what is held for one with this body; None where the main flow has to say it."""
        if self._by_body is None:
            return self._priced
        visit, facts = self._by_body
        route = self.terms.route
        if len(body) > (route.max_body or route.price.body_limit):
            return None
        try:
            return self.terms.price(visit, facts._replace(body=body))
        except (NotUsual, Unpriceable):
            return None


def prepare(request: Request, prices: Prices, by: Preparing) -> Prepared | None:
    """
    Work out what the main flow would for this request, up to its hold; nothing of it is read.

    Returns:
        What requests like it have in common; None where the next may be served although this one
        cannot: its caller or plan is not remembered.

    Raises:
        NotUsual: None of them can be served.
    """
    block, facts = request.turn.head.block, request.facts
    if block.last or block.expects or facts.idempotency_key is not None:
        raise NotUsual
    visit = Visit(request, prices, 0)
    try:
        path = canonical_path(request.raw_path)
        match, preflight = find_route(prices.list, request, path)
        visit.found(match)
        check_head(request, match.route)
        if preflight or not _is_usual(request, match.route):
            raise NotUsual
        visit.caller = caller = by.identification.remembered(by.identification.secret(request))
        if caller is None or (prices.plans is not None and not by.plans.put_on(visit, caller)):
            return None
        return Prepared(visit, visit.match or match, by.terms.of(visit, caller), path)
    except (Problem, BadPath, BodyTooLarge, Unpriceable) as error:
        raise NotUsual from error


def _is_usual(request: Request, route: Route) -> bool:
    """Whether nothing in the head or the route asks for more than the fast path does."""
    return not (
        request.method == b"HEAD"
        or request.body_bytes is None
        or request.body_bytes > LARGEST_BODY
        or route.observe
        or route.public
        or route.strict
        or route.websocket
        or (route.price.needs_body and route.price.after_lines)  # it would be read twice
        or route.lifetime_ms < SHORTEST_LIFETIME_MS
    )
