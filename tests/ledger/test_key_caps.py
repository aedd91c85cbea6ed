"""Caps of keys: what setting them orders, and what a load brings back."""

import random

import pytest

from ledger import api_keys, controls, facts, key_caps
from ledger.api_keys import ApiKey
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import MAX_AMOUNT
from ledger.key_caps import Cap, CapStanding
from ledger.limits import DAY_MS, Tally, read_tallies, tally_field, window_id, window_number
from ledger.lines import CAPPED
from ledger.snapshot import read_snapshot
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio

CHANCE = random.Random(8).randbytes
NOW_MS = 20_500 * DAY_MS


async def a_key(bank: Bank) -> ApiKey:
    account = await bank.account()
    async with bank.database.connection() as connection:
        made = await api_keys.create(connection, account.id, actor="ann", random_bytes=CHANCE)
    return made.key


async def put(bank: Bank, key: ApiKey, *caps: Cap, of_type: int | None = None) -> int | None:
    async with bank.database.connection() as connection:
        _, cseq = await key_caps.put(connection, key.id, caps, actor="ann", of_type=of_type)
    return cseq


async def ordered(bank: Bank, key: ApiKey) -> list[tuple[int, int, int, int]]:
    """The caps that were ordered: type, window, units, whether it is set."""
    async with bank.database.connection() as connection:
        lines = await controls.pending(connection, key.account_id)
    found = [facts.Control.unpack(line) for line in lines]
    return [
        (one.credit_type, one.priority, one.amount, one.flags)
        for one in found
        if one.kind == "c" and one.object_id == key.id
    ]


async def test_what_changes_is_ordered_and_a_repeat_orders_nothing(bank: Bank) -> None:
    key = await a_key(bank)
    day, month = Cap(1, "day", 5), Cap(1, "month", 0)

    assert await put(bank, key, day, month) is not None
    assert await put(bank, key, month, day) is None
    assert await put(bank, key, Cap(1, "day", 6)) is not None
    assert sorted((await ordered(bank, key))[:2]) == [(1, 1, 5, 1), (1, 2, 0, 1)]
    assert sorted((await ordered(bank, key))[2:]) == [(1, 1, 6, 1), (1, 2, 0, 0)]
    assert await put(bank, key, of_type=2) is None
    assert await put(bank, key, of_type=1) is not None
    async with bank.database.connection() as connection:
        assert await key_caps.of_account(connection, key.account_id, NOW_MS) == {}


@pytest.mark.parametrize(
    ("caps", "error"),
    [
        ([Cap(1, "day", -1)], InvalidInput),
        ([Cap(1, "day", MAX_AMOUNT + 1)], InvalidInput),
        ([Cap(1, "day", 1), Cap(1, "day", 2)], InvalidInput),
        ([Cap(77, "day", 1)], NotFound),
    ],
)
async def test_what_no_cap_can_be_changes_nothing(
    bank: Bank, caps: list[Cap], error: type[Exception]
) -> None:
    key = await a_key(bank)
    with pytest.raises(error):
        await put(bank, key, Cap(1, "total", 1), *caps)
    assert await ordered(bank, key) == []


async def test_a_revoked_key_or_none_has_no_caps(bank: Bank) -> None:
    key = await a_key(bank)
    async with bank.database.connection() as connection:
        await api_keys.revoke(connection, key.id, actor="ann")
        with pytest.raises(NotFound):
            await key_caps.put(connection, 999, [Cap(1, "day", 1)], actor="ann")
    with pytest.raises(Conflict):
        await put(bank, key, Cap(1, "day", 1))


async def test_a_load_brings_caps_and_what_was_spent(bank: Bank) -> None:
    key = await a_key(bank)
    await put(bank, key, Cap(1, "day", 50), Cap(1, "total", 500))
    spent = window_id("C", "day", 1)
    today = window_number(spent, NOW_MS)
    async with bank.database.connection() as connection:
        await connection.execute(
            "INSERT INTO limit_uses VALUES ('k', $1, decode('00000000', 'hex'), $2, $3, 8, $4)",
            key.id,
            spent,
            today,
            key.account_id,
        )
        shown = await key_caps.of_account(connection, key.account_id, NOW_MS)
        tomorrow = await key_caps.of_account(connection, key.account_id, NOW_MS + DAY_MS)
    snapshot = await read_snapshot(bank.database, key.account_id)

    day, total = Cap(1, "day", 50), Cap(1, "total", 500)
    assert shown == {key.id: [CapStanding(day, 8), CapStanding(total, 0)]}
    assert tomorrow == {key.id: [CapStanding(day, 0), CapStanding(total, 0)]}
    [(number, record)] = snapshot.keys
    assert (number, record.scopes) == (key.id, key.scopes | CAPPED)
    [(field, value)] = snapshot.limits.items()
    assert field == tally_field("k", key.id)
    assert set(read_tallies(value).values()) == {
        Tally(window_id("c", "day", 1), "c", 0, 50),
        Tally(window_id("c", "total", 1), "c", 0, 500),
        Tally(spent, "C", today, 8),
    }
