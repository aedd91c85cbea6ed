"""Credit types get numbers that never change."""

import asyncio

import pytest

from ledger import credit_types
from ledger.credit_types import CreditTypeRow
from ledger.database import Connection
from ledger.errors import Conflict
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio


async def test_types_are_numbered_in_the_order_they_come(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        numbers = await credit_types.register(connection, {"scraping": 0, "credits": 0})
        assert numbers == {"scraping": 3, "credits": 1}
        assert await credit_types.every(connection) == [
            CreditTypeRow(1, "credits", 0),
            CreditTypeRow(2, "calling", 2),
            CreditTypeRow(3, "scraping", 0),
        ]


async def test_a_scale_never_changes(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(Conflict) as refused:
            await credit_types.register(connection, {"new": 1, "calling": 3})
        assert refused.value.code == "scale-changed"
        assert len(await credit_types.every(connection)) == 2


async def test_gateways_that_register_at_once_agree(bank: Bank) -> None:
    async def register() -> dict[str, int]:
        async with bank.database.connection() as connection:
            return await credit_types.register(connection, {"a": 0, "b": 0})

    answers = await asyncio.gather(*(register() for _ in range(4)))
    assert answers == [{"a": 3, "b": 4}] * 4


async def test_there_are_at_most_255(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_types, "MAX_CREDIT_TYPES", 2)
    async with bank.database.connection() as connection:
        with pytest.raises(Conflict):
            await credit_types.register(connection, {"one more": 0})


async def test_a_window_is_kept_until_another_is_chosen(connection: Connection) -> None:
    await credit_types.register(connection, {"credits": 0, "calling": 2})
    await credit_types.set_windows(connection, {2: 500})
    await credit_types.set_windows(connection, {})
    assert await credit_types.windows(connection) == {1: 1_000_000, 2: 500}
