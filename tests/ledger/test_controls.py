"""The control log: numbered without gap, asked twice is done once, refused whole."""

import asyncio

import pytest

from ledger import controls, facts
from ledger.controls import Added, Clawback, Freeze, Grant
from ledger.errors import Conflict
from ledger.facts import MAX_AMOUNT
from tests.ledger.bank import CREDITS, Bank

pytestmark = pytest.mark.anyio


async def test_controls_are_numbered_in_the_order_they_are_asked_for(bank: Bank) -> None:
    account = await bank.account()
    first = await bank.add(account.id, Grant(CREDITS, 5))
    second = await bank.add(account.id, Freeze(frozen=True))
    assert (first.cseq, second.cseq) == (1, 2)
    async with bank.database.connection() as connection:
        lines = await controls.pending(connection, account.id)
        assert await controls.waiting_accounts(connection, 0) == [account.id]
        assert await controls.waiting_accounts(connection, 0, after=account.id) == []
    packed = [facts.Control.unpack(line) for line in lines]
    assert packed[0] == facts.Control("g", 1, CREDITS, first.object_id, 5, 100)
    assert packed[1] == facts.Control("f", 2, flags=1)


async def test_a_repeat_is_answered_as_the_first(bank: Bank) -> None:
    account = await bank.account()
    first = await bank.add(account.id, Grant(CREDITS, 5, description="one"), "evt_1")
    again = await bank.add(account.id, Grant(CREDITS, 5, description="other words"), "evt_1")
    assert again == Added(first.cseq, first.object_id, repeated=True)
    assert len(await bank.rows("SELECT * FROM grants")) == 1


async def test_a_hundred_deliveries_of_one_payment_are_one_grant(bank: Bank) -> None:
    account = await bank.account()
    added = await asyncio.gather(
        *(bank.add(account.id, Grant(CREDITS, 5), "evt_1") for _ in range(100))
    )
    assert sum(not one.repeated for one in added) == 1
    assert len({one.object_id for one in added}) == 1
    assert await bank.verify() == []


async def test_one_source_cannot_ask_for_two_things(bank: Bank) -> None:
    account, other = await bank.account("a"), await bank.account("b")
    await bank.add(account.id, Grant(CREDITS, 5), "evt_1")
    for asked in ((account.id, Grant(CREDITS, 6)), (other.id, Grant(CREDITS, 5))):
        with pytest.raises(Conflict) as refused:
            await bank.add(*asked, "evt_1")
        assert refused.value.code == "source-used"


async def test_one_source_for_two_accounts_at_once_is_granted_once(bank: Bank) -> None:
    ids = [(await bank.account(f"a{n}")).id for n in range(8)]
    answers = await asyncio.gather(
        *(bank.add(one, Grant(CREDITS, 5), "evt_1") for one in ids), return_exceptions=True
    )
    assert sum(isinstance(answer, Added) for answer in answers) == 1
    assert all(isinstance(a, Added | Conflict) for a in answers)
    assert len(await bank.rows("SELECT * FROM grants")) == 1
    assert await bank.verify() == []


async def test_controls_of_one_account_asked_at_once_leave_no_gap(bank: Bank) -> None:
    account = await bank.account()
    await asyncio.gather(*(bank.add(account.id, Grant(CREDITS, n)) for n in range(1, 31)))
    numbers = [row["cseq"] for row in await bank.rows("SELECT cseq FROM controls ORDER BY cseq")]
    assert numbers == list(range(1, 31))
    assert await bank.verify() == []


async def test_what_is_rolled_back_was_never_asked(bank: Bank) -> None:
    account = await bank.account()

    async def settle_order() -> None:
        async with bank.database.transaction() as connection:
            await controls.add(connection, account.id, Grant(CREDITS, 5), "test", "evt_1", "root")
            raise RuntimeError("the caller's own row fails")

    with pytest.raises(RuntimeError):
        await settle_order()
    assert (await bank.add(account.id, Grant(CREDITS, 5), "evt_1")).cseq == 1


async def test_a_refusal_that_is_caught_and_committed_can_be_asked_again(bank: Bank) -> None:
    account = await bank.account(units=MAX_AMOUNT)
    async with bank.database.transaction() as connection:
        with pytest.raises(Conflict):
            await controls.add(connection, account.id, Grant(CREDITS, 5), "test", "evt_1", "root")
    await bank.add(account.id, Clawback(CREDITS, 5))
    await bank.apply(account.id)
    added = await bank.add(account.id, Grant(CREDITS, 5), "evt_1")
    assert not added.repeated
    assert added.cseq is not None


async def test_the_control_log_cannot_be_changed(bank: Bank) -> None:
    await bank.account(units=5)
    for statement in ("UPDATE controls SET amount = 6", "DELETE FROM controls"):
        with pytest.raises(Exception, match="append-only"):
            await bank.execute(statement)


async def test_two_that_refer_to_an_account_first_do_not_wait_for_each_other(bank: Bank) -> None:
    """A row that refers to the account, as a payment's does, locks it as a foreign key does."""
    account = await bank.account()
    async with bank.database.transaction() as one, bank.database.connection() as other:
        await one.execute("SELECT FROM accounts WHERE id = $1 FOR KEY SHARE", account.id)
        async with other.transaction():
            await other.execute("SELECT FROM accounts WHERE id = $1 FOR KEY SHARE", account.id)
            async with asyncio.timeout(10):
                await controls.add(other, account.id, Grant(CREDITS, 5), "test", "2", "test")
        await controls.add(one, account.id, Grant(CREDITS, 5), "test", "1", "test")
    assert await bank.verify() == []


async def test_the_last_freeze_is_the_one_that_was_ordered_last(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.transaction() as connection:
        assert await controls.last_freeze(connection, account.id) is None
    for frozen in (True, False):
        await bank.add(account.id, Freeze(frozen=frozen))
        await bank.add(account.id, Grant(CREDITS, 5))
        async with bank.database.transaction() as connection:
            last = await controls.last_freeze(connection, account.id)
        assert last is not None
        assert last.frozen is frozen
