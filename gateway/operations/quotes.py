"""What a request would cost, and whether there is enough, without sending it."""

import json
from typing import Annotated, Any

from pydantic import Field

from config import PriceList, Quote, Unpriceable, quote
from gateway.models import Answer, Given, GivenBody
from gateway.operations.explained import CostPart
from gateway.operations.shown import Display, display
from gateway.problems import Problem
from ledger import accounts
from ledger.database import Database

REFUSALS = (400, 404, 405, 411, 413, 415, 422)
"""What the call itself would be refused with."""

Method = Annotated[str, Field(pattern="^[A-Za-z]{1,20}$")]
Target = Annotated[
    str, Field(min_length=1, max_length=16_384, description="Path, with its query if it has one.")
]


class QuoteQuery(Given):
    """A request without headers and body."""

    method: Method = "GET"
    path: Target


class QuoteBody(GivenBody):
    """A request as it would be sent."""

    method: Method = "GET"
    path: Target
    headers: dict[str, str] = Field(default_factory=dict)
    body: Annotated[
        Any, Field(description="A text is sent as it is; anything else is sent as JSON.")
    ] = None


class QuoteAnswer(Answer):
    """What the request would cost; where the answer decides (`final` false), at most."""

    route: str
    rule: int
    price_version: int
    credit_type: str
    scale: int
    cost: int
    final: bool
    units: list[CostPart]
    arithmetic: str
    observed: Annotated[bool, Field(description="The route only records: nothing is charged.")]
    available: int
    sufficient: bool
    shortfall: int
    display: Display


async def quoted(
    database: Database, prices: PriceList, version: int, account: int, asked: QuoteBody
) -> QuoteAnswer:
    """
    Quote a request for an account.

    Raises:
        Problem: What the request itself would be refused with.

    """
    headers = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
    body = None
    if isinstance(asked.body, str):
        body = asked.body.encode()
    elif asked.body is not None:
        body = json.dumps(asked.body).encode()
        if not any(name.lower() == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
    try:
        found = quote(prices, asked.method.upper(), asked.path, headers, body)
    except Unpriceable as refused:
        raise Problem(refused.code, refused.message, status=refused.status) from None
    async with database.connection() as connection:
        balances = await accounts.balances(connection, account)
    available = sum(row.available for row in balances if row.credit_type == found.credit_type)
    return answer(found, version, available)


def answer(found: Quote, version: int, available: int) -> QuoteAnswer:
    """Hold a quote against what is available."""
    shortfall = 0 if found.observe else max(0, found.amount - available)
    return QuoteAnswer(
        route=found.name,
        rule=found.rule,
        price_version=version,
        credit_type=found.credit_type,
        scale=found.scale,
        cost=found.amount,
        final=found.final,
        units=[CostPart.of(line) for line in found.lines],
        arithmetic=found.arithmetic,
        observed=found.observe,
        available=available,
        sufficient=shortfall == 0,
        shortfall=shortfall,
        display=display(
            found.scale, {"cost": found.amount, "available": available, "shortfall": shortfall}
        ),
    )
