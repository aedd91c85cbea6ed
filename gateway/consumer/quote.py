"""`v1/quote`: what a request would cost, and whether there is enough, without sending it."""

from typing import Any

from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.operations import quotes
from gateway.operations.quotes import QuoteAnswer, QuoteBody, QuoteQuery
from gateway.routes import Call


async def quote_get(call: Call[Services, Caller, QuoteQuery, None]) -> QuoteAnswer:
    """Quote a request that is nothing but method and path."""
    asked = call.query
    return await _quoted(call, QuoteBody(method=asked.method, path=asked.path))


async def quote_post(call: Call[Services, Caller, Any, QuoteBody]) -> QuoteAnswer:
    """Quote a request with headers and body."""
    return await _quoted(call, call.body)


async def _quoted(call: Call[Services, Caller, Any, Any], asked: QuoteBody) -> QuoteAnswer:
    services = call.services
    return await quotes.quoted(
        services.ledger.database,
        services.prices.current,
        services.prices.version,
        call.caller.account,
        asked,
    )
