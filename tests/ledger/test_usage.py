"""Usage: in all, per route, per day."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ledger import charges, usage
from ledger.controls import Grant
from ledger.errors import InvalidInput
from ledger.usage import DayUsage, RouteUsage
from tests.ledger.bank import CALLING, Bank
from tests.ledger.journal import NOON_MS

pytestmark = pytest.mark.anyio

NOON = datetime.fromtimestamp(NOON_MS / 1_000, UTC)


def id_on(day: int, number: int) -> bytes:
    moment = NOON + timedelta(days=day, microseconds=number)
    return charges.id_at(moment)[:8] + b"\0\0\0\1"


async def used(bank: Bank) -> int:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    for number, (day, rule, amount) in enumerate([(0, 0, 5), (0, 1, 7), (1, 0, 5), (9, 0, 3)]):
        charge_id = id_on(day, number)
        await bank.post(player.hold(charge_id, amount, rule=rule), player.settle(charge_id, amount))
    void = id_on(0, 9)
    await bank.post(player.hold(void, 4), player.settle(void, 0, 20))
    await bank.add(account.id, Grant(CALLING, 50, kind="promotion"))
    await bank.apply(account.id)
    return account.id


async def test_usage_is_summed_per_route_and_day(bank: Bank) -> None:
    account_id = await used(bank)
    async with bank.database.connection() as connection:
        await charges.refund(connection, id_on(0, 1), amount=2, reference="r", actor="ann")
        report = await usage.report(
            connection,
            account_id,
            now=NOON,
            since=NOON - timedelta(days=1),
            until=NOON + timedelta(days=4),
        )
    main, calling = report.types
    assert (main.used, main.refunded, main.count, main.average_daily) == (17, 2, 3, 3.4)
    assert (main.purchased, main.granted, main.balance) == (100, 100, 80)
    assert main.routes == [RouteUsage("asin_query", 2, 10), RouteUsage("chat", 1, 7)]
    first = NOON.date()
    assert main.days == [
        DayUsage(first, 2, 12),
        DayUsage(date.fromordinal(first.toordinal() + 1), 1, 5),
    ]
    assert (calling.used, calling.purchased, calling.granted, calling.balance) == (0, 0, 50, 50)


async def test_the_last_thirty_days_are_the_default(bank: Bank) -> None:
    account_id = await used(bank)
    async with bank.database.connection() as connection:
        report = await usage.report(
            connection, account_id, now=NOON + timedelta(days=31), credit_type_id=1
        )
    assert [part.used for part in report.types] == [8]
    assert report.until - report.since == timedelta(days=30)


async def test_an_empty_or_endless_time_is_refused(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        for since in (NOON, NOON - timedelta(days=401)):
            with pytest.raises(InvalidInput):
                await usage.report(connection, account.id, now=NOON, since=since)
        assert (await usage.report(connection, account.id, now=NOON)).types == []
