"""The months of charges: made ahead, filled from the default, dropped when old."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from ledger import charges, partitions, verify
from ledger.errors import InvalidInput, LedgerUnavailable, NotFound
from ledger.partitions import Month
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 12, 15, tzinfo=UTC)


def id_in(year: int, month: int, day: int = 3) -> bytes:
    return charges.id_at(datetime(year, month, day, tzinfo=UTC))[:8] + b"\0\0\0\1"


async def spent(bank: Bank, account_id: int, charge_id: bytes) -> None:
    player = bank.players[account_id]
    await bank.post(player.hold(charge_id, 2), player.settle(charge_id, 2))


async def test_months_are_made_ahead_once(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        made = await partitions.ensure(connection, NOW, ahead=2)
        assert made == [Month(2026, 11), Month(2026, 12), Month(2027, 1), Month(2027, 2)]
        assert await partitions.ensure(connection, NOW, ahead=2) == []
        assert await partitions.existing(connection) == made


async def test_what_lay_in_the_default_partition_moves(bank: Bank) -> None:
    account = await bank.account(units=100)
    for charge_id in (id_in(2026, 12), id_in(2027, 9)):
        await spent(bank, account.id, charge_id)
    async with bank.database.connection() as connection:
        await partitions.ensure(connection, NOW)
    where = await bank.rows("SELECT tableoid::regclass::text AS part FROM charges ORDER BY id")
    assert [row["part"] for row in where] == ["charges_2026_12", "charges_default"]
    await spent(bank, account.id, id_in(2027, 1))
    assert len(await bank.rows("SELECT * FROM charges_2027_01")) == 1
    assert await bank.verify() == []


async def test_an_id_lies_in_the_month_it_was_minted_in(bank: Bank) -> None:
    account = await bank.account(units=100)
    async with bank.database.connection() as connection:
        await partitions.ensure(connection, NOW)
    first = charges.id_at(datetime(2027, 1, 1, tzinfo=UTC))
    last = (int.from_bytes(first[:8], "big") - 1).to_bytes(8, "big") + b"\xff\xff\xff\xff"
    for charge_id in (first, last):
        await spent(bank, account.id, charge_id)
    where = await bank.rows("SELECT tableoid::regclass::text AS part FROM charges ORDER BY id")
    assert [row["part"] for row in where] == ["charges_2026_12", "charges_2027_01"]


async def test_old_months_are_dropped_and_the_books_still_balance(bank: Bank) -> None:
    account = await bank.account(units=100)
    async with bank.database.connection() as connection:
        await partitions.ensure(connection, datetime(2026, 9, 5, tzinfo=UTC), ahead=3)
    for month in (9, 12):
        await spent(bank, account.id, id_in(2026, month))
    async with bank.database.connection() as connection:
        assert await partitions.complete_since(connection) is None
        dropped = await partitions.retire(connection, NOW, 2)
        assert dropped == [Month(2026, 8), Month(2026, 9)]
        assert await partitions.retire(connection, NOW, 2) == []
        assert await partitions.complete_since(connection) == datetime(2026, 10, 1, tzinfo=UTC)
        with pytest.raises(NotFound):
            await charges.get(connection, id_in(2026, 9))
    pool = await bank.pool(account.id)
    assert (pool["captured"], pool["remaining"]) == (4, 96)
    # The account is of this (test's) day, after which nothing was dropped: say it is older.
    await bank.execute("UPDATE accounts SET created_at = '2026-09-01'")
    assert await bank.verify() == []


async def test_a_month_that_a_clock_set_back_made_again_is_dropped_again(bank: Bank) -> None:
    """What was retired is added up: the books need both."""
    account = await bank.account(units=100)
    for _ in range(2):
        async with bank.database.connection() as connection:
            await partitions.ensure(connection, datetime(2026, 9, 5, tzinfo=UTC), ahead=0)
        await spent(bank, account.id, id_in(2026, 9))
        async with bank.database.connection() as connection:
            dropped = await partitions.retire(connection, NOW, 1)
        assert dropped == [Month(2026, 8), Month(2026, 9)]
    [retired] = await bank.rows("SELECT charges FROM retired_partitions WHERE charges > 0")
    assert retired["charges"] == 2


async def test_a_month_with_an_open_hold_stays(bank: Bank) -> None:
    account = await bank.account(units=100)
    async with bank.database.connection() as connection:
        await partitions.ensure(connection, datetime(2026, 9, 5, tzinfo=UTC), ahead=0)
    await bank.post(bank.players[account.id].hold(id_in(2026, 9), 5))
    async with bank.database.connection() as connection:
        assert await partitions.retire(connection, NOW, 1) == [Month(2026, 8)]
        assert await partitions.existing(connection) == [Month(2026, 9)]


async def test_at_least_a_month_is_kept(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(InvalidInput):
            await partitions.retire(connection, NOW, 0)


def test_months_are_counted_over_the_turn_of_the_year() -> None:
    assert Month(2026, 11).plus(3) == Month(2027, 2)
    assert Month(2027, 1).plus(-1) == Month(2026, 12)


async def test_posting_goes_on_while_months_are_made(bank: Bank) -> None:
    """A poster in the middle of its transaction makes the keeper wait, never deadlock."""
    account = await bank.account(units=100)
    await spent(bank, account.id, id_in(2026, 12))

    async def keep() -> None:
        async with bank.database.connection() as connection:
            await partitions.ensure(connection, NOW)

    async with bank.database.transaction() as connection:
        await connection.fetch("SELECT * FROM charges")
        keeper = asyncio.create_task(keep())
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        ):
            assert not keeper.done()
        await connection.execute("UPDATE charges SET note = 'posting writes what it read'")
    await keeper
    assert (await bank.row("SELECT note FROM charges"))["note"] is not None


async def test_who_reads_as_of_one_moment_misses_no_charge_that_moves_meanwhile(bank: Bank) -> None:
    """Tables are chosen as they are now, rows as they were then: a moved row would be in none."""
    account = await bank.account(units=100)
    await spent(bank, account.id, id_in(2026, 12))
    async with bank.database.connection() as reading, verify.one_snapshot(reading):
        await reading.fetch("SELECT id FROM accounts")
        async with bank.database.connection() as connection:
            with suppress(LedgerUnavailable):
                await partitions.ensure(connection, NOW)
        first, last = id_in(2026, 12, 1), id_in(2026, 12, 5)
        found = await reading.fetch(
            "SELECT id FROM charges WHERE id >= $1 AND id <= $2", first, last
        )
        assert [row["id"] for row in found] == [id_in(2026, 12)]


async def test_the_keeper_gives_way_to_long_reading(bank: Bank) -> None:
    async with bank.database.transaction() as reading:
        await reading.fetch("SELECT * FROM charges")
        async with bank.database.connection() as connection:
            with pytest.raises(LedgerUnavailable):
                await partitions.ensure(connection, NOW)
            assert await partitions.existing(connection) == []
