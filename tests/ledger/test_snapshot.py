"""What the loader puts into Redis is what Redis had."""

import pytest

from ledger import api_keys, snapshot
from ledger.account_record import Lot
from ledger.controls import Clawback, Freeze, Grant
from ledger.errors import NotFound
from tests.ledger.bank import CALLING, CREDITS, Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def test_a_snapshot_is_the_account_as_redis_had_it(bank: Bank) -> None:
    account = await bank.account()
    player = bank.players[account.id]
    first = await bank.grant(account.id, 50, priority=7)
    second = await bank.grant(account.id, 30, priority=3)
    await bank.add(account.id, Grant(CALLING, 9))
    await bank.apply(account.id)
    await bank.post(
        player.hold(hold_id(1), 35),
        player.hold(hold_id(2), 5),
        player.settle(hold_id(2), 2),
    )
    taken = await snapshot.read_snapshot(bank.database, account.id)

    assert (taken.epoch, taken.record.aseq, taken.record.cseq) == (1, player.aseq, player.cseq)
    main, calling = taken.record.pools
    assert main.lots == (Lot(first, 7, 2**48 - 1, 43),)
    assert (main.balance, calling.balance) == (43, 9)
    assert [(hold.hold_id, hold.price, hold.allocation) for hold in taken.holds] == [
        (hold_id(1), 35, player.holds[hold_id(1)].allocation)
    ]
    assert second not in {lot.lot for lot in main.lots}
    assert taken.controls == ()


async def test_debt_is_in_the_snapshot(bank: Bank) -> None:
    account = await bank.account(units=5)
    await bank.add(account.id, Clawback(CREDITS, 8))
    await bank.apply(account.id)
    taken = await snapshot.read_snapshot(bank.database, account.id)
    assert [(pool.debt, pool.lots) for pool in taken.record.pools] == [(3, ())]


async def test_controls_under_way_come_along_and_are_not_in_the_record(bank: Bank) -> None:
    account = await bank.account(units=5)
    await bank.add(account.id, Grant(CREDITS, 8))
    await bank.add(account.id, Freeze(frozen=True))
    taken = await snapshot.read_snapshot(bank.database, account.id)
    assert [line[:1] for line in taken.controls] == [b"g", b"f"]
    assert taken.record.status == 1
    assert taken.record.pools[0].balance == 5


async def test_only_keys_that_work_are_loaded(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        made = [
            await api_keys.create(connection, account.id, actor="ann", random_bytes=source)
            for source in (lambda n: b"\1" * n, lambda n: b"\2" * n)
        ]
        await api_keys.revoke(connection, made[0].key.id, actor="ann")
    taken = await snapshot.read_snapshot(bank.database, account.id)
    assert [(number, record.account) for number, record in taken.keys] == [
        (made[1].key.id, account.id)
    ]


async def test_a_quarantined_account_is_frozen_in_redis(bank: Bank) -> None:
    account = await bank.account()
    await bank.execute("UPDATE accounts SET status = 3")
    assert (await snapshot.read_snapshot(bank.database, account.id)).record.status == 2


async def test_an_unknown_account_has_no_snapshot(bank: Bank) -> None:
    with pytest.raises(NotFound):
        await snapshot.read_snapshot(bank.database, 77)
