"""What is held for a request, once its price is known."""

from config import Match, RequestFacts
from gateway.identify import Caller
from gateway.metering import Metering
from gateway.request import Request
from gateway.visit import Visit
from ledger.hold_order import HoldOrder
from ledger.lines import SCOPE_CALL


def facts_of(request: Request, match: Match, body: bytes | None) -> RequestFacts:
    """Gather what the price and the record may look at."""
    return RequestFacts(match.params, request.query, request.headers, body, request.body_bytes)


def hold_order(visit: Visit, caller: Caller, metering: Metering, facts: RequestFacts) -> HoldOrder:
    """Return the order for a visit's hold; what its route records is noted in the visit."""
    route, prices = visit.route, visit.prices
    if route.record:
        visit.record = route.recorded(facts)
    limits = visit.limits
    return HoldOrder(
        account=caller.account,
        key=caller.key,
        credit_type=prices.type_numbers[route.price.credit_type],
        ceiling=metering.measured.ceiling,
        version=prices.version,
        rule=route.index,
        lifetime_ms=route.lifetime_ms,
        scope=SCOPE_CALL,
        rate=limits.rate,
        detail=metering.detail_before(visit.record, visit.plan_name),
        limits=limits.block,
        route=route.name,
        plan=visit.plan,
    )
