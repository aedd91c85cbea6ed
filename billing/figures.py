"""
What selling earns: revenue, margin, recurring revenue, churn, refunds and what sells best.

Money is counted in minor units per currency and never converted. Days are UTC. Revenue is what
was paid without tax; the margin is revenue without what was given back, Stripe's fees and what
the calls of that time cost at the upstream.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction

from config import PriceFileError, PriceList, load_price_list
from ledger import price_versions, usage
from ledger.database import Connection, Queries
from ledger.errors import InvalidInput, NotFound

DEFAULT_DAYS = 30
MAX_DAYS = 400
"""A year and a bit: the calls are counted from single charges."""

EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
"""The last days that may be asked for: beyond them days cannot be counted on and back."""

MILLIONTHS = 1_000_000
"""`upstream_cost` is kept in millionths of a minor unit."""

MONTHS_PER = {
    "day": Fraction(365, 12),
    "week": Fraction(52, 12),
    "month": Fraction(1),
    "year": Fraction(1, 12),
}
"""How many of an interval make a month."""

_SQL = Queries("figures", package="billing")


@dataclass(slots=True)
class Money:
    """
    What came in and went out in one currency, in minor units.

    Attributes:
        one_time_minor, recurring_minor: Revenue of checkouts and top-ups, and of invoices.
        refunded_minor, disputed_minor: What was given back or withdrawn, without its tax.
        fee_minor: Stripe's, as far as known; `fees_unknown` payments are not in it.
        upstream_minor: What the calls cost at the upstream, rounded up; 0 where no route
            says so.

    """

    payments: int = 0
    paying_accounts: int = 0
    one_time_minor: int = 0
    recurring_minor: int = 0
    tax_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    fee_minor: int = 0
    fees_unknown: int = 0
    upstream_minor: int = 0

    @property
    def revenue_minor(self) -> int:
        """One-time and recurring, without tax."""
        return self.one_time_minor + self.recurring_minor

    @property
    def margin_minor(self) -> int:
        """What is left; nothing in it counts tax."""
        back = self.refunded_minor + self.disputed_minor
        return self.revenue_minor - back - self.fee_minor - self.upstream_minor

    @property
    def average_minor(self) -> int:
        """Of a payment, rounded down; 0 where there is none."""
        return self.revenue_minor // self.payments if self.payments else 0


@dataclass(slots=True)
class Total(Money):
    """
    One currency over the whole time.

    Attributes:
        refund_rate: Payments of that time that were reversed at least in part, of all.
        mrr_minor: What the subscriptions of now pay in a month, rounded down.

    """

    refund_rate: float = 0.0
    mrr_minor: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """One currency on one day."""

    day: date
    currency: str
    money: Money


@dataclass(frozen=True, slots=True)
class Popular:
    """How one package sold, in one currency."""

    package: str
    currency: str
    payments: int
    quantity: int
    revenue_minor: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """
    Subscriptions: `active`, `trialing` and `churned` (ended) now; the others in the time.

    Attributes:
        churn_rate: `ended` of `at_start`; 0 where there were none.

    """

    active: int
    trialing: int
    churned: int
    at_start: int
    begun: int
    ended: int
    churn_rate: float


@dataclass(frozen=True, slots=True)
class Begun:
    """Purchases begun in the time, how many were paid and how many given up by now."""

    started: int
    completed: int
    given_up: int


@dataclass(frozen=True, slots=True)
class Figures:
    """From `since` to `until`, both included."""

    since: date
    until: date
    days: Sequence[Day]
    totals: Mapping[str, Total]
    packages: Sequence[Popular]
    subscriptions: Subscribed
    purchases: Begun
    unread_versions: Sequence[int] = field(default=())
    """Price versions whose text cannot be read any more: their calls' cost is not counted."""


async def figures(
    connection: Connection,
    *,
    livemode: bool,
    now: datetime,
    since: date | None = None,
    until: date | None = None,
) -> Figures:
    """
    Compute the figures of some days.

    Args:
        connection: To Postgres.
        livemode: Of real money, or of tests.
        now: For the days that are not given.
        since: The first day; 30 days back if not given.
        until: The last day; today if not given.

    Raises:
        InvalidInput: The days are in the wrong order, or too many at once.

    """
    last = until or now.date()
    if not EARLIEST <= last <= LATEST:
        raise InvalidInput("until", f"{EARLIEST} to {LATEST}")
    first = since or last - timedelta(days=DEFAULT_DAYS - 1)
    if not first <= last:
        raise InvalidInput("since", "must not be after `until`")
    if (last - first).days >= MAX_DAYS:
        raise InvalidInput("since", f"at most {MAX_DAYS} days at once")
    time_asked = (livemode, _midnight(first), _midnight(last + timedelta(days=1)))

    days: defaultdict[tuple[date, str], Money] = defaultdict(Money)
    for row in await connection.fetch(_SQL.revenue, *time_asked):
        kept = {name: value for name, value in row.items() if name not in ("day", "currency")}
        days[row["day"], row["currency"]] = Money(**kept)
    for row in await connection.fetch(_SQL.given_back, *time_asked):
        money = days[row["day"], row["currency"]]
        money.refunded_minor, money.disputed_minor = row["refunded_minor"], row["disputed_minor"]
    costs, unread = await upstream_costs(connection, *time_asked[1:])
    for where, millionths in costs.items():
        days[where].upstream_minor = -(-millionths // MILLIONTHS)

    return Figures(
        since=first,
        until=last,
        days=[Day(day, currency, money) for (day, currency), money in sorted(days.items())],
        totals=await _totals(connection, time_asked, days, costs),
        packages=[Popular(**row) for row in await connection.fetch(_SQL.packages, *time_asked)],
        subscriptions=await _subscribed(connection, time_asked),
        purchases=Begun(**await connection.fetchrow(_SQL.begun, *time_asked)),
        unread_versions=unread,
    )


def monthly(period_minor: int, interval: str, interval_count: int) -> Fraction:
    """Return what a subscription pays in a month on average, in minor units."""
    return period_minor * MONTHS_PER[interval] / interval_count


async def upstream_costs(
    connection: Connection, since: datetime, until: datetime
) -> tuple[dict[tuple[date, str], int], list[int]]:
    """
    Add up what the charged requests of a time cost at the upstream, by the prices of then.

    Returns:
        (day, currency) -> millionths of a minor unit; and the price versions whose text this
        release cannot read, whose calls are left out.

    """
    costs: defaultdict[tuple[date, str], int] = defaultdict(int)
    lists: dict[int, PriceList | None] = {}
    for row in await usage.served(connection, since, until):
        if row.version not in lists:
            lists[row.version] = await _list_of(connection, row.version)
        prices = lists[row.version]
        if prices is None or row.rule >= len(prices.routes):
            continue
        for currency, millionths in prices.routes[row.rule].upstream_cost.items():
            costs[row.day, currency] += row.count * millionths
    return dict(costs), sorted(version for version, prices in lists.items() if prices is None)


async def _totals(
    connection: Connection,
    time_asked: tuple[bool, datetime, datetime],
    days: Mapping[tuple[date, str], Money],
    costs: Mapping[tuple[date, str], int],
) -> dict[str, Total]:
    livemode = time_asked[0]
    rates: defaultdict[str, Fraction] = defaultdict(Fraction)
    for row in await connection.fetch(_SQL.subscribed, livemode):
        rates[row["currency"]] += monthly(
            row["period_minor"], row["interval"], row["interval_count"]
        )
    whole = {row["currency"]: row for row in await connection.fetch(_SQL.in_all, *time_asked)}
    totals = {}
    for currency in sorted({currency for _, currency in days} | set(rates)):
        mine = [money for (_, other), money in days.items() if other == currency]
        row = whole.get(currency)
        payments = row["payments"] if row else 0
        upstream = sum(cost for (_, other), cost in costs.items() if other == currency)
        totals[currency] = Total(
            payments=payments,
            paying_accounts=row["paying_accounts"] if row else 0,
            one_time_minor=sum(money.one_time_minor for money in mine),
            recurring_minor=sum(money.recurring_minor for money in mine),
            tax_minor=sum(money.tax_minor for money in mine),
            refunded_minor=sum(money.refunded_minor for money in mine),
            disputed_minor=sum(money.disputed_minor for money in mine),
            fee_minor=sum(money.fee_minor for money in mine),
            fees_unknown=sum(money.fees_unknown for money in mine),
            upstream_minor=-(-upstream // MILLIONTHS),
            refund_rate=row["reversed_payments"] / payments if row and payments else 0.0,
            mrr_minor=int(rates[currency]),
        )
    return totals


async def _subscribed(
    connection: Connection, time_asked: tuple[bool, datetime, datetime]
) -> Subscribed:
    row = await connection.fetchrow(_SQL.churn, *time_asked)
    rate = row["ended"] / row["at_start"] if row["at_start"] else 0.0
    return Subscribed(**row, churn_rate=rate)


async def _list_of(connection: Connection, version: int) -> PriceList | None:
    try:
        text = await price_versions.text_of(connection, version)
        return load_price_list(text, environ=None)  # for reading: nothing is forwarded by it
    except (NotFound, PriceFileError):
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
