"""What was used, by day and by route, as charts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Literal

from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.operations import history
from gateway.operations.history import DayUsage, RouteUsage, TypeUsage, UsageAnswer
from gateway.operations.now import utc_now
from gateway.pages import charts, filters, forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields
from gateway.pages.site import Asked

DAYS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "A year"}
MOST_ROUTES = 20
"""Bars of single routes; what is left is added up."""


class UseFilter(Fields):
    """Which time, up to now."""

    days: Literal["7", "30", "90", "365"] = "30"


@dataclass(frozen=True, slots=True)
class TypeChart:
    """One credit type: its figures, and what is drawn of them."""

    usage: TypeUsage
    by_day: charts.Chart
    routes: list[tuple[RouteUsage, int]]
    axis: Callable[[int], str]
    summary: str


async def use(asked: Asked[Services, Visitor]) -> Response:
    """Show the charts."""
    services, form = asked.services, forms.ask(UseFilter, asked.request)
    days = int((form.read or UseFilter()).days)
    now = utc_now(services.clock)
    first = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    query = history.UsageQuery.model_validate({"from": first, "to": now})
    used = await history.used(services.ledger.database, asked.who.account, query, now=now)
    shown = forms.begin(days=str(days))
    parts = [_drawn(part, used) for part in used.types]
    return asked.shows("consumer/use.html", form=shown, choices=DAYS, parts=parts, usage=used)


def _drawn(part: TypeUsage, over: UsageAnswer) -> TypeChart:
    text = partial(filters.amount, scale=part.scale)
    points = [
        charts.Point(day.day.isoformat()[5:], day.used, f"{text(day.used)} {part.credit_type}")
        for day in _each_day(part, over)
    ]
    routes = sorted(part.routes, key=lambda one: -one.used)[:MOST_ROUTES]
    percents = charts.shares([one.used for one in routes])
    busiest = max(part.days, key=lambda one: one.used, default=None)
    summary = f"{text(part.used)} {part.credit_type} in {filters.plural(part.count, 'call')}."
    if busiest is not None:
        summary += f" Most on {busiest.day.isoformat()}: {text(busiest.used)}."
    return TypeChart(
        part, charts.bars(points), list(zip(routes, percents, strict=True)), text, summary
    )


def _each_day(part: TypeUsage, over: UsageAnswer) -> list[DayUsage]:
    """Return every day of the time, those without use too."""
    known = {one.day: one for one in part.days}
    day, last = over.since.date(), over.until.date()
    found: list[DayUsage] = []
    while day <= last:
        found.append(known.get(day) or _nothing(day))
        day += timedelta(days=1)
    return found


def _nothing(day: date) -> DayUsage:
    return DayUsage(day=day, count=0, used=0, display={})
