"""billing/figures.py: what was earned, per day, currency and package."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from billing import figures
from ledger.database import Connection, Database
from ledger.errors import InvalidInput

pytestmark = pytest.mark.anyio

NOON = datetime(2031, 5, 10, 12, tzinfo=UTC)
DAY = NOON.date()


class Books:
    """Orders, payments and what followed, written as settling leaves them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.count = 0

    async def account(self) -> int:
        return await self.connection.fetchval("INSERT INTO accounts DEFAULT VALUES RETURNING id")

    async def payment(
        self, account: int, paid: int, *, package: str = "starter", at: datetime = NOON, **more: Any
    ) -> int:
        """A payment of `paid` minor units; returns its id."""
        self.count += 1
        order = f"ord_{self.count:024x}"
        row = {
            "order_id": order, "account_id": account, "livemode": False, "source": "checkout",
            "object_id": f"cs_test_{self.count}", "currency": "usd", "quantity": 1,
            "subtotal_minor": paid, "tax_minor": 0, "paid_minor": paid, "paid_at": at,
        } | more  # fmt: skip
        kind = "subscription" if row["source"] == "invoice" else "checkout"
        await self.connection.execute(
            "INSERT INTO billing.orders (id, account_id, livemode, kind, state, package, offer,"
            " credit_type_id, credits_each, currency, unit_minor, quantity, least_quantity,"
            " most_quantity, created_at)"
            " VALUES ($1, $2, $3, $4, 'paid', $5, '{}', 1, 100, $6, $7, 1, 1, 1, $8)",
            order, account, row["livemode"], kind, package, row["currency"], paid, at,
        )  # fmt: skip
        names = ", ".join(row)
        places = ", ".join(f"${n + 1}" for n in range(len(row)))
        return await self.connection.fetchval(
            f"INSERT INTO billing.payments ({names}) VALUES ({places}) RETURNING id", *row.values()
        )

    async def refund(self, payment: int, minor: int, status: str = "succeeded") -> None:
        self.count += 1
        await self.connection.execute(
            "INSERT INTO billing.stripe_refunds (livemode, id, payment_id, amount_minor, currency,"
            " status, created_at, fetched_at) VALUES (false, $1, $2, $3, 'usd', $4, $5, $5)",
            f"re_{self.count}", payment, minor, status, NOON,
        )  # fmt: skip

    async def subscription(self, account: int, minor: int, interval: str, **more: Any) -> None:
        self.count += 1
        row = {
            "livemode": False, "id": f"sub_{self.count}", "account_id": account,
            "customer_id": "cus_1", "status": "active", "package": "monthly", "currency": "usd",
            "period_minor": minor, "interval": interval, "created_at": NOON - timedelta(days=90),
            "fetched_at": NOON,
        } | more  # fmt: skip
        names = ", ".join(row)
        places = ", ".join(f"${n + 1}" for n in range(len(row)))
        await self.connection.execute(
            f"INSERT INTO billing.subscriptions ({names}) VALUES ({places})", *row.values()
        )

    async def figures(self, **asked: Any) -> figures.Figures:
        return await figures.figures(self.connection, livemode=False, now=NOON, **asked)


@pytest.fixture
async def books(database_url: str) -> Any:
    database = await Database.connect(database_url, most=1)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO credit_types (id, name, scale) VALUES (1, 'credits', 0)"
        )
        yield Books(connection)
    await database.close()


async def test_revenue_is_one_time_and_recurring_without_tax(books: Books) -> None:
    ann, bob = await books.account(), await books.account()
    await books.payment(ann, 1_190, tax_minor=190)
    await books.payment(ann, 500)
    await books.payment(bob, 2_000, source="invoice", object_id="in_1")

    shown = await books.figures()

    (day,) = shown.days
    assert (day.day, day.currency) == (DAY, "usd")
    assert (day.money.one_time_minor, day.money.recurring_minor) == (1_500, 2_000)
    assert (day.money.tax_minor, day.money.payments, day.money.paying_accounts) == (190, 3, 2)
    assert shown.totals["usd"].average_minor == 3_500 // 3


async def test_currencies_and_modes_are_never_added_up(books: Books) -> None:
    ann = await books.account()
    await books.payment(ann, 1_000)
    await books.payment(ann, 1_500, currency="jpy")
    await books.payment(ann, 9_000, livemode=True)

    totals = (await books.figures()).totals

    assert {name: total.revenue_minor for name, total in totals.items()} == {
        "jpy": 1_500,
        "usd": 1_000,
    }


async def test_the_margin_is_what_is_left_after_refunds_and_fees(books: Books) -> None:
    ann = await books.account()
    paid = await books.payment(ann, 1_190, tax_minor=190, fee_minor=65, fee_currency="usd")
    await books.payment(ann, 1_000)
    await books.refund(paid, 595)
    await books.refund(paid, 100, status="failed")

    total = (await books.figures()).totals["usd"]

    assert (total.refunded_minor, total.fee_minor, total.fees_unknown) == (500, 65, 1)
    assert total.margin_minor == 2_000 - 500 - 65


async def test_the_margin_knows_what_calls_cost_at_the_upstream(books: Books) -> None:
    text = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: "/*", upstream: api, price: 1, upstream_cost: { usd: 0.4 } }]
"""
    connection = books.connection
    await connection.execute(
        "INSERT INTO price_texts VALUES (decode(repeat('00', 32), 'hex'), $1)", text
    )
    await connection.execute(
        "INSERT INTO price_versions (version, sha256, source, actor)"
        " VALUES (1, decode(repeat('00', 32), 'hex'), 'file', 'test')"
    )
    for number, state in enumerate((2, 2, 2, 3)):
        await connection.execute(
            "INSERT INTO charges (id, account_id, held, captured, opened_q, closed_q, opened_epoch,"
            " price_version, rule, credit_type_id, state) VALUES ($1, 1, 1, $2, 1, 2, 1, 1, 0, 1, $3)",
            (int(NOON.timestamp() * 1_000_000) + number).to_bytes(8, "big") + bytes(4),
            int(state == 2),
            state,
        )

    shown = await books.figures()

    assert shown.totals["usd"].upstream_minor == 2  # 3 x 0.4 cents, rounded up
    assert shown.totals["usd"].margin_minor == -2
    assert shown.unread_versions == []


async def test_the_refund_rate_counts_payments(books: Books) -> None:
    ann = await books.account()
    await books.payment(ann, 1_000, reversed_minor=10)
    for _ in range(3):
        await books.payment(ann, 1_000)

    assert (await books.figures()).totals["usd"].refund_rate == 0.25


async def test_recurring_revenue_is_per_month_of_those_that_pay_now(books: Books) -> None:
    ann = await books.account()
    await books.subscription(ann, 1_000, "month")
    await books.subscription(ann, 12_000, "year")
    await books.subscription(ann, 600, "month", interval_count=3)
    await books.subscription(ann, 5_000, "month", status="trialing")
    await books.subscription(ann, 5_000, "month", status="canceled", ended_at=NOON)

    assert (await books.figures()).totals["usd"].mrr_minor == 2_200


async def test_churn_is_what_ended_of_what_was_there(books: Books) -> None:
    ann = await books.account()
    for _ in range(3):
        await books.subscription(ann, 100, "month")
    await books.subscription(ann, 100, "month", status="canceled", ended_at=NOON)
    await books.subscription(ann, 100, "month", created_at=NOON)

    now = (await books.figures()).subscriptions

    assert (now.at_start, now.ended, now.begun, now.churn_rate) == (4, 1, 1, 0.25)
    assert (now.active, now.churned) == (4, 1)


async def test_popular_packages_come_first(books: Books) -> None:
    ann = await books.account()
    await books.payment(ann, 8_000, package="business")
    await books.payment(ann, 1_000)
    await books.payment(ann, 2_000, quantity=2)

    shown = (await books.figures()).packages

    assert [(each.package, each.payments, each.quantity) for each in shown] == [
        ("starter", 2, 3),
        ("business", 1, 1),
    ]


async def test_only_the_days_asked_for_count(books: Books) -> None:
    ann = await books.account()
    await books.payment(ann, 100, at=NOON - timedelta(days=1))
    await books.payment(ann, 200)
    await books.payment(ann, 400, at=NOON + timedelta(days=1))

    shown = await books.figures(since=DAY, until=DAY)

    assert shown.totals["usd"].revenue_minor == 200
    assert (await books.figures(since=DAY - timedelta(days=1))).totals["usd"].revenue_minor == 300


async def test_begun_purchases_are_counted_beside_the_paid_ones(books: Books) -> None:
    ann = await books.account()
    await books.payment(ann, 100)
    await books.payment(ann, 100)
    await books.connection.execute("UPDATE billing.orders SET state = 'expired' WHERE id LIKE '%1'")

    begun = (await books.figures()).purchases

    assert (begun.started, begun.completed, begun.given_up) == (2, 1, 1)


@pytest.mark.parametrize(
    "days",
    [
        (date(2031, 2, 2), date(2031, 2, 1)),
        (date(2029, 1, 1), date(2031, 2, 1)),
        (None, date.min),
        (None, date.max),
    ],
)
async def test_days_that_make_no_sense_are_refused(
    books: Books, days: tuple[date | None, date]
) -> None:
    with pytest.raises(InvalidInput):
        await books.figures(since=days[0], until=days[1])


def test_an_interval_is_a_share_of_a_month() -> None:
    assert figures.monthly(1_200, "year", 1) == 100
    assert figures.monthly(12, "week", 1) == 52
    assert figures.monthly(12, "day", 2) == Fraction(365, 2)
