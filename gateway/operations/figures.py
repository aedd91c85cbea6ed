"""What selling earns, per day and over a time."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from pydantic import Field

from billing import figures
from billing.money import money_text
from billing.shop import Shop
from gateway.models import Answer, Given
from gateway.operations.now import utc_now
from gateway.operations.shown import Display


class FiguresQuery(Given):
    """Which days (UTC), both included; the last 30 if none is named, 400 at most."""

    since: Annotated[date | None, Field(alias="from", description="The first day.")] = None
    until: Annotated[date | None, Field(alias="to", description="The last day.")] = None


class Money(Answer):
    """One currency, in minor units; nothing in it counts tax but `tax_minor`."""

    currency: str
    payments: int
    paying_accounts: int
    revenue_minor: Annotated[int, Field(description="One-time and recurring.")]
    one_time_minor: int
    recurring_minor: int
    average_minor: Annotated[int, Field(description="Of a payment.")]
    tax_minor: int
    refunded_minor: int
    disputed_minor: int
    fee_minor: Annotated[int, Field(description="Stripe's, as far as known.")]
    fees_unknown: Annotated[int, Field(description="Payments whose fee is not known yet.")]
    upstream_minor: Annotated[int, Field(description="What calls cost by `upstream_cost`.")]
    margin_minor: Annotated[int, Field(description="What is left; may be below 0.")]
    display: Display


class DayFigures(Money):
    """One currency on one day."""

    day: date


class TotalFigures(Money):
    """One currency over the whole time."""

    refund_rate: Annotated[float, Field(description="Payments reversed at least in part, of all.")]
    mrr_minor: Annotated[int, Field(description="What the subscriptions of now pay in a month.")]


class PackageFigures(Answer):
    """How one package sold in one currency; the first sold best."""

    package: str
    currency: str
    payments: int
    quantity: int
    revenue_minor: int


class SubscriptionFigures(Answer):
    """Subscriptions: `active`, `trialing` and `churned` now, the others in the time."""

    active: int
    trialing: int
    churned: int
    at_start: int
    begun: int
    ended: int
    churn_rate: float


class PurchaseFigures(Answer):
    """Purchases begun in the time, and what became of them by now."""

    started: int
    completed: int
    given_up: int


class FiguresAnswer(Answer):
    """Figures of the days from `since` to `until`."""

    since: date
    until: date
    days: list[DayFigures]
    totals: list[TotalFigures]
    packages: list[PackageFigures]
    subscriptions: SubscriptionFigures
    purchases: PurchaseFigures
    unread_versions: Annotated[
        list[int], Field(description="Price versions whose calls' cost could not be counted.")
    ]


async def show(shop: Shop, query: FiguresQuery) -> FiguresAnswer:
    """Compute the figures of some days."""
    async with shop.ledger.database.connection() as connection:
        found = await figures.figures(
            connection,
            livemode=shop.livemode,
            now=utc_now(shop.clock),
            since=query.since,
            until=query.until,
        )
    return FiguresAnswer(
        since=found.since,
        until=found.until,
        days=[DayFigures(day=day.day, **_money(day.currency, day.money)) for day in found.days],
        totals=[
            TotalFigures(
                refund_rate=total.refund_rate,
                mrr_minor=total.mrr_minor,
                **_money(currency, total),
            )
            for currency, total in sorted(found.totals.items())
        ],
        packages=[PackageFigures(**asdict(package)) for package in found.packages],
        subscriptions=SubscriptionFigures(**asdict(found.subscriptions)),
        purchases=PurchaseFigures(**asdict(found.purchases)),
        unread_versions=list(found.unread_versions),
    )


def _money(currency: str, money: figures.Money) -> dict[str, Any]:
    names = (
        "payments", "paying_accounts", "revenue_minor", "one_time_minor", "recurring_minor",
        "average_minor", "tax_minor", "refunded_minor", "disputed_minor", "fee_minor",
        "fees_unknown", "upstream_minor", "margin_minor",
    )  # fmt: skip
    shown = ("revenue", "average", "margin")
    return {
        "currency": currency,
        **{name: getattr(money, name) for name in names},
        "display": {name: money_text(getattr(money, f"{name}_minor"), currency) for name in shown},
    }
