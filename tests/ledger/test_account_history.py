"""An account is rebuilt from its charges and movements; the played Redis shares no code with it."""

import random

import pytest

from ledger.controls import Clawback, Grant
from ledger.posting import post
from tests.ledger.bank import CREDITS, Bank
from tests.ledger.journal import hold_id
from tests.ledger.test_tampering import tamper

pytestmark = pytest.mark.anyio


async def lived(bank: Bank, seed: int) -> int:
    """An account with debt, late captures, expired lots, in batches as chance will have it."""
    chance = random.Random(seed)
    account = (await bank.account(units=60)).id
    player = bank.players[account]
    expired, entries = [], []

    async def flush() -> None:
        async with bank.database.connection() as connection:
            await post(connection, 0, entries)
        entries.clear()

    for number in range(1, 81):
        pool = player.pool(CREDITS)
        lots = [lot for lot, (_, _, left) in pool.lots.items() if left]
        what = chance.choice(["hold", "hold", "settle", "settle", "expire", "late", "lot", "order"])
        if what == "hold" and pool.balance > 0:
            take = chance.randint(1, pool.balance)
            entries.append(bank.journal.entry(player.hold(hold_id(number), take)))
        elif what == "settle" and player.holds:
            held = chance.choice(list(player.holds.values()))
            captured = chance.randint(0, held.price)
            fact = player.settle(held.hold_id, captured, 1 if captured else 20)
            entries.append(bank.journal.entry(fact))
        elif what == "expire" and player.holds:
            held = chance.choice(list(player.holds.values()))
            expired.append(held)
            entries.append(bank.journal.entry(player.settle(held.hold_id, 0, 40)))
        elif what == "late":
            held = expired.pop() if expired and chance.random() < 0.7 else None
            late = (
                player.late(held.hold_id, held.price) if held else player.late(hold_id(number), 5)
            )
            entries.append(bank.journal.entry(late))
        elif what == "lot" and lots and chance.random() < 0.3:
            entries.append(bank.journal.entry(player.expire_lot(chance.choice(lots))))
        elif what == "order":
            await flush()
            control = chance.choice(
                [Grant(CREDITS, chance.randint(1, 50)), Clawback(CREDITS, chance.randint(1, 60))]
            )
            await bank.add(account, control)
            await bank.apply(account)
    await flush()
    assert await bank.dead() == []
    return account


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happened_comes_out_as_it_is_stored(bank: Bank, seed: int) -> None:
    await lived(bank, seed)
    assert await bank.verify() == []


async def test_such_a_life_has_debt_and_overtaken_endings_in_it(bank: Bank) -> None:
    await lived(bank, 1)
    assert await bank.rows("SELECT FROM overtaken_endings") != []
    assert await bank.rows("SELECT FROM movements WHERE balance_after < 0") != []


async def test_a_credit_moved_from_one_lot_to_another_is_found(bank: Bank) -> None:
    """Pool, books and totals stay right; only the history says which lot it was."""
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.grant(account.id, 50, priority=1)
    await bank.post(player.hold(hold_id(1), 20), player.settle(hold_id(1), 20))
    await bank.add(account.id, Clawback(CREDITS, 10))
    await bank.apply(account.id)
    assert await bank.verify() == []
    await tamper(
        bank, "UPDATE grants SET remaining = remaining + CASE amount WHEN 50 THEN 1 ELSE -1 END"
    )
    found = await bank.verify()
    assert {finding.check for finding in found} == {"account-history"}
    assert [finding.detail[:5] for finding in found] == ["lot 1", "lot 2"]
