"""The audit log names who did what, and cannot be changed."""

import pytest

from ledger import audit
from ledger.errors import InvalidInput
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio


async def test_rows_are_listed_newest_first_and_filtered(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        for number in range(1, 5):
            who = "ann" if number % 2 else "bob"
            await audit.write(connection, who, "poke", f"acc_{number}", {"n": number})
        newest = await audit.rows(connection, limit=2)
        assert [row.detail for row in newest] == [{"n": 4}, {"n": 3}]
        older = await audit.rows(connection, before=newest[-1].id, limit=2)
        assert [row.detail for row in older] == [{"n": 2}, {"n": 1}]
        assert [row.target for row in await audit.rows(connection, actor="ann")] == [
            "acc_3",
            "acc_1",
        ]
        assert [row.actor for row in await audit.rows(connection, target="acc_2")] == ["bob"]
        with pytest.raises(InvalidInput):
            await audit.rows(connection, limit=0)


async def test_a_row_stays_as_it_was_written(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await audit.write(connection, "ann", "poke", "acc_1", {})
    for statement in ("UPDATE audit SET actor = 'bob'", "DELETE FROM audit"):
        with pytest.raises(Exception, match="append-only"):
            await bank.execute(statement)


async def test_a_change_that_fails_leaves_no_row(bank: Bank) -> None:
    async def change() -> None:
        async with bank.database.transaction() as connection:
            await audit.write(connection, "ann", "poke", "acc_1", {})
            raise RuntimeError("the change fails")

    with pytest.raises(RuntimeError):
        await change()
    assert await bank.rows("SELECT * FROM audit WHERE action = 'poke'") == []
