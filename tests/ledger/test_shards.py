"""A shard's row: epochs go forward, one at a time."""

import asyncio

import pytest

from ledger import shards
from ledger.errors import NotFound
from ledger.shards import OpenHolds
from tests.ledger.bank import Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def test_a_new_epoch_begins_at_nothing_and_knows_what_is_open(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 10), player.hold(hold_id(2), 5))
    async with bank.database.connection() as connection:
        assert (await shards.read(connection, 0)).last_q == 3
        row = await shards.advance(connection, 0, 1, "another redis")
        assert row is not None
        assert row == await shards.read(connection, 0)
        assert (row.epoch, row.incarnation, row.last_q, row.last_chain) == (
            2,
            "another redis",
            0,
            "0" * 16,
        )
        assert row.open_at_start == (OpenHolds(1, 2, 15),)
        assert await shards.open_holds(connection, 0) == [OpenHolds(1, 2, 15)]
        with pytest.raises(NotFound):
            await shards.read(connection, 7)


async def test_of_two_fences_at_once_one_wins(bank: Bank) -> None:
    async def fence(name: str) -> object:
        async with bank.database.connection() as connection:
            return await shards.advance(connection, 0, 1, name)

    rows = await asyncio.gather(*(fence(f"r{n}") for n in range(4)))
    assert sum(row is not None for row in rows) == 1
    async with bank.database.connection() as connection:
        assert (await shards.read(connection, 0)).epoch == 2


async def test_session_numbers_are_never_given_twice(bank: Bank) -> None:
    async def several() -> list[int]:
        async with bank.database.connection() as connection:
            return [await shards.next_session(connection) for _ in range(5)]

    lists = await asyncio.gather(*(several() for _ in range(4)))
    numbers = [number for numbers in lists for number in numbers]
    assert len(set(numbers)) == 20
    assert min(numbers) >= 1


async def test_credit_can_be_posted_in_the_next_epoch(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 10))
    async with bank.database.connection() as connection:
        await shards.advance(connection, 0, 1, "another redis")
    bank.journal = type(bank.journal)(epoch=2)
    await bank.post(player.settle(hold_id(1), 10))
    charge = await bank.row("SELECT opened_epoch, closed_epoch, captured FROM charges")
    assert charge == {"opened_epoch": 1, "closed_epoch": 2, "captured": 10}
    assert await bank.verify() == []
