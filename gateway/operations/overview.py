"""What an operator looks at first: traffic, money, how posting stands, and what waits."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from billing import attention
from billing.billing import Billing
from gateway.models import Answer, Given, Time
from gateway.operations import figures
from gateway.operations.desk import Desk
from gateway.operations.history import Since, Until
from gateway.operations.shown import Display, display
from gateway.operations.system import Posting, posting_of, redis_state
from ledger import credit_types, dead_facts, findings, shards, traffic

USUAL = timedelta(days=1)
HALF, MOST = 0.5, 0.95
"""The percentiles that are shown: the usual request, and all but the slow ones."""


class OverviewQuery(Given):
    """Which time of traffic, 31 days at most; the last 24 hours if none is named."""

    since: Since = None
    until: Until = None


class Requests(Answer):
    """Requests that were recorded; free ones without a limit, and refused ones, leave no record."""

    requests: int
    charged: int
    uncharged: Annotated[int, Field(description="Nothing was taken: void or expired.")]
    observed: int
    open: int
    failed: Annotated[int, Field(description="Upstream or gateway at fault, or a 5xx.")]
    given_back: Annotated[int, Field(description="Refunded later, at least in part.")]


class HourRequests(Requests):
    """One hour; hours without any request are left out."""

    hour: Time


class TypeTraffic(Answer):
    """What was taken of one credit type, and given back of that; smallest units."""

    credit_type: str
    scale: int
    captured: int
    refunded: int
    display: Display


class Latency(Answer):
    """How long requests took, as the next of some limits; null: none, or longer than all."""

    median_ms: int | None
    p95_ms: int | None


class WaitingAnswer(Answer):
    """What only a person can go on with."""

    events: Annotated[int, Field(description="Of Stripe's, dead or quarantined.")]
    orders: Annotated[int, Field(description="In review or quarantined.")]
    disputes: int
    alerts: int
    dead_facts: int
    findings: dict[str, int]


class Overview(Answer):
    """Everything at a glance; `money` is null where nothing is sold."""

    since: Time
    until: Time
    total: Requests
    hours: list[HourRequests]
    types: list[TypeTraffic]
    latency: Latency
    posting: Posting
    halted: bool
    waiting: WaitingAnswer
    money: figures.FiguresAnswer | None


async def show(desk: Desk, billing: Billing, query: OverviewQuery, *, now: datetime) -> Overview:
    """
    Put together what is asked first.

    Raises:
        InvalidInput: The time is empty or longer than 31 days.

    """
    ledger, shop = desk.ledger, billing.shop
    until = query.until or now
    since = query.since or until - USUAL
    state = await redis_state(ledger)
    async with ledger.database.connection() as connection:
        seen = await traffic.recorded(connection, since, until)
        types = {row.id: row for row in await credit_types.every(connection)}
        posted_at = await shards.posted_at(connection, ledger.options.shard)
        open_findings = await findings.open_by_check(connection)
        halted = await findings.halted(connection)
        undecided = await dead_facts.undecided(connection)
        livemode = shop is not None and shop.livemode
        waiting = await attention.waiting(connection, livemode=livemode)
    money = None if shop is None else await figures.show(shop, figures.FiguresQuery())
    return Overview(
        since=since,
        until=until,
        total=Requests(**_counts(seen.total)),
        hours=[HourRequests(hour=hour, **_counts(counts)) for hour, counts in seen.hours],
        types=[
            TypeTraffic(
                credit_type=types[taken.credit_type_id].name,
                scale=types[taken.credit_type_id].scale,
                captured=taken.captured,
                refunded=taken.refunded,
                display=display(
                    types[taken.credit_type_id].scale,
                    {"captured": taken.captured, "refunded": taken.refunded},
                ),
            )
            for taken in seen.types
        ],
        latency=Latency(median_ms=seen.percentile_ms(HALF), p95_ms=seen.percentile_ms(MOST)),
        posting=posting_of(state, posted_at, now),
        halted=halted,
        waiting=WaitingAnswer(**waiting._asdict(), dead_facts=undecided, findings=open_findings),
        money=money,
    )


def _counts(counts: traffic.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in Requests.model_fields}
