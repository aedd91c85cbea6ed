"""What an admin looks at first."""

from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.responses import Response

from billing.money import exponent
from config import format_amount
from gateway.operations import overview
from gateway.operations.figures import FiguresAnswer
from gateway.operations.now import utc_now
from gateway.operations.overview import Overview, OverviewQuery
from gateway.pages import charts
from gateway.pages.admin.asking import AdminAsked, desk
from gateway.pages.charts import Chart, Point

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def show(asked: AdminAsked) -> Response:
    """Show requests, money, posting, and what waits for a person."""
    services = asked.services
    now = utc_now(services.clock)
    seen = await overview.show(desk(asked), services.billing, OverviewQuery(), now=now)
    money = seen.money
    totals = () if money is None else money.totals
    return asked.shows(
        "admin/overview.html",
        seen=seen,
        hours=by_hour(seen),
        earned={one.currency: by_day(money, one.currency) for one in totals if money},
        in_currency=in_currency,
    )


def by_hour(seen: Overview) -> Chart:
    """Draw requests by hour; hours without any are empty."""
    known = {one.hour: one for one in seen.hours}
    points = []
    at = _hour(seen.since)
    while at < seen.until:
        one = known.get(at)
        requests, failed = (0, 0) if one is None else (one.requests, one.failed)
        said = f"{requests:,}" + (f", {failed:,} failed" if failed else "")
        points.append(Point(at.strftime("%H:%M"), requests, said))
        at += HOUR
    return charts.bars(points)


def by_day(money: FiguresAnswer, currency: str) -> Chart:
    """Draw revenue by day in one currency."""
    known = {one.day: one for one in money.days if one.currency == currency}
    points = []
    day = money.since
    while day <= money.until:
        one = known.get(day)
        minor = 0 if one is None else one.revenue_minor
        points.append(Point(day.strftime("%d %b"), minor, in_currency(currency)(minor)))
        day += DAY
    return charts.bars(points)


def in_currency(currency: str) -> Callable[[int], str]:
    """Return what writes minor units of a currency without its name, for an axis."""
    places = exponent(currency)
    return lambda minor: format_amount(minor, places)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
