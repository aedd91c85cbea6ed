"""What a request would cost, and whether there is enough, without sending it."""

import json
from typing import Annotated, Any

from pydantic import Field

from config import PriceList, Quote, Unpriceable, quote
from gateway.models import Answer, Given, GivenBody
from gateway.operations.explained import CostPart
from gateway.operations.limit_standing import Asker, LimitStanding, Standing, standing
from gateway.operations.shown import Display, display
from gateway.problems import Problem
from ledger import accounts, plans
from ledger.database import Connection, Database

REFUSALS = (400, 403, 404, 405, 411, 413, 415, 422)
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
    """
    What the request would cost; where the answer decides (`final` false), at most.

    `cost` is 0 where an allowance would pay (`free`); `price` is what it costs without.
    """

    route: str
    rule: int
    price_version: Annotated[
        int | None, Field(description="The one in force; null: prices that were never published.")
    ]
    credit_type: str
    scale: int
    cost: int
    price: int
    free: Annotated[bool, Field(description="An allowance would pay for it.")]
    final: bool
    units: list[CostPart]
    arithmetic: str
    plan: Annotated[str, Field(description="The price file's plan that counts; empty: none.")]
    observed: Annotated[bool, Field(description="The route only records: nothing is charged.")]
    available: Annotated[int, Field(description="For this route.")]
    sufficient: bool
    shortfall: int
    limits: Annotated[
        list[LimitStanding],
        Field(description="Quotas, allowances and caps, as they stand before it."),
    ]
    refused: Annotated[
        str | None, Field(description="The problem that it would be answered with now.")
    ]
    refused_by: Annotated[str | None, Field(description="Which of the limits refuses it.")]
    display: Display


async def quoted(
    database: Database, prices: PriceList, version: int, asker: Asker, asked: QuoteBody
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
    async with database.connection() as connection:
        on = (await plans.standing(connection, asker.account)).on
        try:
            found = quote(
                prices,
                asked.method.upper(),
                asked.path,
                headers,
                body,
                plan=on.name,
                features=on.features,
            )
        except Unpriceable as refused:
            raise Problem(refused.code, refused.message, status=refused.status) from None
        return await held_against(connection, prices, found, asker, version=version)


async def held_against(
    connection: Connection, prices: PriceList, found: Quote, asker: Asker, *, version: int | None
) -> QuoteAnswer:
    """Hold a quote against what an account has and may."""
    balances = await accounts.balances(connection, asker.account)
    available = sum(
        row.available_on(found.name) for row in balances if row.credit_type == found.credit_type
    )
    met = await standing(connection, prices, found, asker)
    return answer(found, version, available, met)


def answer(found: Quote, version: int | None, available: int, met: Standing) -> QuoteAnswer:
    """Hold a quote against what is available, and how its limits stand."""
    cost = 0 if met.free else found.amount
    shortfall = 0 if found.observe else max(0, cost - available)
    return QuoteAnswer(
        route=found.name,
        rule=found.rule,
        price_version=version,
        credit_type=found.credit_type,
        scale=found.scale,
        cost=cost,
        price=found.amount,
        free=met.free,
        final=found.final,
        units=[CostPart.of(line) for line in found.lines],
        arithmetic=found.arithmetic,
        plan=found.plan,
        observed=found.observe,
        available=available,
        sufficient=shortfall == 0,
        shortfall=shortfall,
        limits=met.limits,
        refused=met.refused or ("insufficient-credits" if shortfall else None),
        refused_by=met.refused_by,
        display=display(
            found.scale, {"cost": cost, "available": available, "shortfall": shortfall}
        ),
    )
