"""Grants and adjustments in an admin's name, and grants that wait."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger import grants
from ledger.controls import Grant
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.grants import Due
from tests.ledger.bank import CREDITS, Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def test_a_grant_with_a_reference_is_given_once(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        first = await grants.give(
            connection, account.id, Grant(CREDITS, 5), actor="ann", reference="batch-1"
        )
        again = await grants.give(
            connection, account.id, Grant(CREDITS, 5), actor="ann", reference="batch-1"
        )
        assert (first.object_id, again.repeated) == (again.object_id, True)
        with pytest.raises(Conflict) as refused:
            await grants.give(
                connection, account.id, Grant(CREDITS, 6), actor="ann", reference="batch-1"
            )
        assert refused.value.code == "reference-used"
        row = await grants.get(connection, first.object_id)
    assert (row.amount, row.state, row.reference, row.actor) == (5, "pending", "batch-1", "ann")
    assert len(await bank.rows("SELECT * FROM audit WHERE action = 'grant'")) == 1


async def test_grants_without_a_reference_add_up(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        for _ in range(2):
            await grants.give(connection, account.id, Grant(CREDITS, 5), actor="ann")
    await bank.apply(account.id)
    assert (await bank.pool(account.id))["remaining"] == 10


async def test_an_adjustment_down_leaves_debt_and_says_why(bank: Bank) -> None:
    account = await bank.account(units=10)
    async with bank.database.connection() as connection:
        await grants.adjust(
            connection, account.id, CREDITS, -15, reason="counted twice", actor="ann"
        )
    await bank.apply(account.id)
    pool = await bank.pool(account.id)
    assert (pool["remaining"], pool["debt"]) == (0, 5)
    entry = await bank.row("SELECT * FROM entries WHERE amount < 0")
    assert (entry["kind"], entry["amount"], entry["balance_after"]) == ("adjustment", -15, -5)
    assert entry["description"] == "counted twice"
    assert await bank.verify() == []


async def test_an_adjustment_up_pays_debt(bank: Bank) -> None:
    account = await bank.account(units=10)
    async with bank.database.connection() as connection:
        await grants.adjust(connection, account.id, CREDITS, -15, reason="a", actor="ann")
        await grants.adjust(
            connection, account.id, CREDITS, 20, reason="b", actor="ann", reference="x"
        )
        again = await grants.adjust(
            connection, account.id, CREDITS, 20, reason="b", actor="ann", reference="x"
        )
    assert again.repeated
    await bank.apply(account.id)
    pool = await bank.pool(account.id)
    assert (pool["remaining"], pool["debt"]) == (15, 0)
    assert await bank.verify() == []


@pytest.mark.parametrize(("amount", "reason"), [(0, "why"), (5, ""), (9 * 10**13 + 1, "why")])
async def test_an_adjustment_needs_an_amount_and_a_reason(
    bank: Bank, amount: int, reason: str
) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        with pytest.raises(InvalidInput):
            await grants.adjust(connection, account.id, CREDITS, amount, reason=reason, actor="ann")
        with pytest.raises(NotFound):
            await grants.adjust(connection, 99, CREDITS, 5, reason="why", actor="ann")


async def test_a_grant_says_what_became_of_it(bank: Bank) -> None:
    account = await bank.account()
    player = bank.players[account.id]
    spent, clawed, ended = [await bank.grant(account.id, 5) for _ in range(3)]
    await bank.post(
        player.hold(hold_id(1), 5), player.settle(hold_id(1), 5), player.expire_lot(ended)
    )
    async with bank.database.connection() as connection:
        await grants.adjust(connection, account.id, CREDITS, -5, reason="x", actor="ann")
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        rows = await grants.of_account(connection, account.id)
        assert [(row.id, row.state) for row in rows] == [
            (ended, "expired"),
            (clawed, "clawed"),
            (spent, "spent"),
        ]
        page = await grants.of_account(connection, account.id, before=clawed, limit=1)
        assert [row.id for row in page] == [spent]
        with pytest.raises(NotFound):
            await grants.get(connection, 999)


async def test_scheduled_grants_are_due_when_their_time_has_come(bank: Bank) -> None:
    account = await bank.account()
    later = datetime.now(UTC) + timedelta(days=1)
    added = await bank.add(account.id, Grant(CREDITS, 5, effective_at=later))
    async with bank.database.connection() as connection:
        assert await grants.due(connection, 0, later - timedelta(seconds=1)) == []
        due = await grants.due(connection, 0, later)
        assert due == [Due(account.id, added.object_id)]
        assert await grants.enter(connection, due[0]) is not None
        assert await grants.enter(connection, due[0]) is None
        assert await grants.due(connection, 0, later) == []


async def test_queued_grants_are_due_as_places_become_free_in_burn_order(bank: Bank) -> None:
    account = await bank.account()
    player = bank.players[account.id]
    for _ in range(32):
        await bank.grant(account.id, 1)
    slow = await bank.grant(account.id, 7, priority=9)
    quick = await bank.grant(account.id, 7, priority=8)
    now = datetime.now(UTC)
    async with bank.database.connection() as connection:
        assert await grants.due(connection, 0, now) == []
        assert (await grants.get(connection, slow)).state == "queued"
    await bank.post(player.hold(hold_id(1), 1), player.settle(hold_id(1), 1))
    async with bank.database.connection() as connection:
        due = await grants.due(connection, 0, now)
        assert due == [Due(account.id, quick)]
        await grants.enter(connection, due[0])
        assert await grants.due(connection, 0, now) == []
    await bank.apply(account.id)
    assert (await bank.pool(account.id))["remaining"] == 31 + 7
    assert await bank.verify() == []
