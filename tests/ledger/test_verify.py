"""`verify` is silent about a sound ledger and finds each kind of damage."""

import random

import pytest

from ledger import batch_walk, charges, gateways, snapshot, verify
from ledger.controls import Clawback, Grant
from ledger.posting import post
from tests.ledger.bank import CALLING, CREDITS, Bank, checks
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def busy(bank: Bank) -> int:
    """An account to which something of every kind has happened."""
    account = await bank.account(units=100)
    player = bank.players[account.id]
    lot = await bank.grant(account.id, 40, priority=1)
    await bank.post(
        *(player.hold(hold_id(n), 10) for n in range(1, 6)),
        player.settle(hold_id(1), 10),
        player.settle(hold_id(2), 4),
        player.settle(hold_id(3), 0, 20, 500),
        player.settle(hold_id(4), 0, 40),
        player.late(hold_id(4), 10),
        player.expire_lot(lot),
    )
    await bank.add(account.id, Clawback(CREDITS, 7))
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        await charges.refund(connection, hold_id(1), amount=3, reference="r", actor="ann")
    await bank.apply(account.id)
    return account.id


async def test_a_sound_ledger_has_no_findings(bank: Bank) -> None:
    await busy(bank)
    assert await bank.verify() == []


DAMAGE = {
    "UPDATE pools SET remaining = remaining + 1": {
        "pool-identity",
        "pool-is-its-lots",
        "books-are-the-pools",
    },
    "UPDATE pools SET granted = granted + 1, captured = captured + 1": {
        "totals-from-history",
        "totals-from-charges",
        "books-are-the-pools",
    },
    "UPDATE grants SET remaining = remaining - 1 WHERE remaining > 9": {"pool-is-its-lots"},
    "UPDATE grants SET held = held - 1 WHERE held > 0": {"lot-is-held", "pool-is-its-lots"},
    "UPDATE charges SET allocation = NULL WHERE state = 1": {"lot-is-held"},
    "UPDATE charges SET captured = captured - 1 WHERE state = 5": {"totals-from-charges"},
    "UPDATE charges SET captured = held WHERE captured BETWEEN 1 AND 4": {"totals-from-charges"},
    "DELETE FROM charges WHERE state = 1": {"held-is-open-charges", "facts-counted"},
    "DELETE FROM charges WHERE state = 3": {"facts-counted"},
    "UPDATE charges SET refunded = refunded + 1 WHERE refunded = 3": {"refunds-of-charges"},
    "UPDATE charges SET deadline_ms = 5 WHERE state = 1": {"overdue-holds"},
    "UPDATE movements SET amount = amount - 1 WHERE kind = 'clawback'": {
        "controls-were-applied",
        "totals-from-history",
    },
    "DELETE FROM movements WHERE kind = 'purchase' AND amount = 40": {
        "controls-were-applied",
        "totals-from-history",
    },
    "UPDATE accounts SET aseq = aseq + 1": {"facts-counted"},
    "UPDATE accounts SET cseq_head = cseq_head + 1": {"controls-continuous"},
    "UPDATE accounts SET status = 3": {"quarantined"},
    "ALTER TABLE batch_lines DISABLE TRIGGER USER;"
    "UPDATE batch_lines SET amount = amount + 1 WHERE book = 'revenue'": {
        "lines-balance",
        "books-are-the-pools",
        "batch-chain",
    },
    "ALTER TABLE batches DISABLE TRIGGER ALL;DELETE FROM batches WHERE q_from = 2": {
        "batches-continuous"
    },
    "ALTER TABLE batches DISABLE TRIGGER USER; UPDATE batches SET chain = 'f' WHERE q_from = 1": {
        "batch-chain"
    },
    "UPDATE shards SET last_sha = decode(repeat('11', 32), 'hex')": {"batch-chain"},
    "INSERT INTO dead_facts (shard, epoch, q, fact, why) VALUES (0, 1, 1, 'x', 'odd')": {
        "dead-facts"
    },
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_is_found(bank: Bank, damage: str) -> None:
    await busy(bank)
    await bank.execute(damage)
    assert DAMAGE[damage] <= checks(await bank.verify())


async def test_gateways_with_different_files_are_found(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        for name in ("a", "b"):
            await gateways.register(connection, name, f"host-{name}")
            await gateways.set_prices(
                connection, name, price_version=1, file_sha256=name.encode() * 32
            )
    assert checks(await bank.verify()) == {"gateways-differ"}


async def test_slices_miss_nobody(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ACCOUNTS_AT_ONCE", 2)
    monkeypatch.setattr(batch_walk, "BATCHES_AT_ONCE", 2)
    ids = [(await bank.account(f"a{n}", 10)).id for n in range(7)]
    assert await bank.verify() == []
    await bank.execute("UPDATE accounts SET aseq = 9")
    assert {finding.account_id for finding in await bank.verify()} == set(ids)


async def test_a_batch_that_is_not_there_at_the_end_is_found(bank: Bank) -> None:
    await busy(bank)
    await bank.execute(
        "ALTER TABLE batches DISABLE TRIGGER ALL;"
        "DELETE FROM batches WHERE q_from = (SELECT max(q_from) FROM batches)"
    )
    assert "batch-chain" in checks(await bank.verify())


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_postgres_agrees_with_the_played_redis(
    bank: Bank, seed: int
) -> None:
    """Random lives of three accounts, in random batches; then every row, key by key."""
    chance = random.Random(seed)
    ids = [(await bank.account(f"a{n}", 60)).id for n in range(3)]
    entries, number = [], 0
    for _ in range(60):
        account_id = chance.choice(ids)
        player = bank.players[account_id]
        facts = []
        for _ in range(chance.randint(1, 4)):
            number += 1
            pool = player.pool(CREDITS)
            lots = [lot for lot, (_, _, left) in pool.lots.items() if left]
            what = chance.choice(["hold"] * 4 + ["settle"] * 4 + ["late", "expire"])
            if what == "hold" and pool.balance > 0:
                facts.append(player.hold(hold_id(number), chance.randint(1, pool.balance)))
            elif what == "settle" and player.holds:
                held = chance.choice(list(player.holds.values()))
                captured, reason = chance.choice([(held.price, 1), (held.price // 2, 1), (0, 20)])
                facts.append(player.settle(held.hold_id, captured, reason))
            elif what == "late":
                facts.append(player.late(hold_id(number), chance.randint(1, 9)))
            elif what == "expire" and lots and chance.random() < 0.2:
                facts.append(player.expire_lot(chance.choice(lots)))
        if facts:
            entries.append(bank.journal.entry(*facts))
        if chance.random() < 0.4:
            async with bank.database.connection() as connection:
                await post(connection, 0, entries)
            entries = []
            change = chance.choice(
                [
                    Grant(CREDITS, chance.randint(1, 80), priority=chance.randint(1, 3)),
                    Grant(CALLING, 5),
                    Clawback(CREDITS, chance.randint(1, 30)),
                ]
            )
            await bank.add(account_id, change)
            await bank.apply(account_id)
    async with bank.database.connection() as connection:
        await post(connection, 0, entries)

    assert await bank.dead() == []
    assert await bank.verify() == []
    for account_id in ids:
        player = bank.players[account_id]
        taken = await snapshot.read_snapshot(bank.database, account_id)
        assert (taken.record.aseq, taken.record.cseq) == (player.aseq, player.cseq)
        for pool in taken.record.pools:
            played = player.pools[pool.credit_type]
            assert pool.debt == played.debt
            assert [(lot.lot, lot.remaining) for lot in pool.lots] == [
                (lot, played.lots[lot][2]) for lot in played.order() if played.lots[lot][2]
            ]
        assert {hold.hold_id: hold.allocation for hold in taken.holds} == {
            hold.hold_id: hold.allocation for hold in player.holds.values()
        }
