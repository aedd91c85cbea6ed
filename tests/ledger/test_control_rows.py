"""What each kind of control writes: held against what the account has, or refused whole."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.controls import Added, Clawback, Enter, Grant
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import MAX_AMOUNT
from tests.ledger.bank import CREDITS, Bank

pytestmark = pytest.mark.anyio

TOMORROW = datetime.now(UTC) + timedelta(days=1)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1, 1.5, True])
async def test_amounts_outside_what_the_ledger_keeps_are_refused(bank: Bank, amount) -> None:
    account = await bank.account()
    for control in (Grant(CREDITS, amount), Clawback(CREDITS, amount)):
        with pytest.raises(InvalidInput):
            await bank.add(account.id, control)
    assert await bank.rows("SELECT * FROM controls") == []


async def test_a_pool_cannot_grow_beyond_what_the_ledger_keeps(bank: Bank) -> None:
    account = await bank.account(units=MAX_AMOUNT - 10)
    await bank.add(account.id, Grant(CREDITS, 6))
    await bank.add(account.id, Grant(CREDITS, 4, effective_at=TOMORROW))
    with pytest.raises(Conflict) as refused:
        await bank.add(account.id, Grant(CREDITS, 1))
    assert refused.value.code == "too-much"


async def test_debt_cannot_grow_beyond_what_the_ledger_keeps(bank: Bank) -> None:
    account = await bank.account()
    await bank.add(account.id, Clawback(CREDITS, MAX_AMOUNT - 1))
    with pytest.raises(Conflict) as refused:
        await bank.add(account.id, Clawback(CREDITS, 2))
    assert refused.value.code == "too-much"


async def test_bad_grants_are_refused(bank: Bank) -> None:
    account = await bank.account()
    for grant in (
        Grant(CREDITS, 5, expires_at=YESTERDAY),
        Grant(CREDITS, 5, effective_at=TOMORROW, expires_at=TOMORROW),
        Grant(CREDITS, 5, priority=256),
        Grant(CREDITS, 5, reference=" "),
        Grant(CREDITS, 5, kind="gift"),
        Grant(CREDITS, 5, kind="refund"),
        Grant(CREDITS, 5, charge_id=bytes(12)),
        Grant(CREDITS, 5, description="a\0b"),
        Grant(CREDITS, 5, metadata={"a": "\0"}),
        Grant(CREDITS, 5, metadata={"a": "\ud800"}),
        Grant(CREDITS, 5, metadata={"a": float("nan")}),
        Grant(CREDITS, 5, metadata={"a": "x" * 9_000}),
        Grant(CREDITS, 5, expires_at=datetime(2040, 1, 1)),  # noqa: DTZ001
    ):
        with pytest.raises(InvalidInput):
            await bank.add(account.id, grant)
    for missing in (Grant(9, 5), Clawback(9, 5), Clawback(CREDITS, 5, grant_id=77), Enter(77)):
        with pytest.raises(NotFound):
            await bank.add(account.id, missing)
    with pytest.raises(NotFound):
        await bank.add(77, Grant(CREDITS, 5))
    assert await bank.rows("SELECT * FROM controls") == []


async def test_a_reference_names_one_grant_of_an_account(bank: Bank) -> None:
    account, other = await bank.account("a"), await bank.account("b")
    await bank.add(account.id, Grant(CREDITS, 5, reference="cs_1"))
    await bank.add(other.id, Grant(CREDITS, 5, reference="cs_1"))
    with pytest.raises(Conflict) as refused:
        await bank.add(account.id, Grant(CREDITS, 5, reference="cs_1"))
    assert refused.value.code == "reference-used"


async def test_a_grant_for_later_orders_nothing_yet(bank: Bank) -> None:
    account = await bank.account()
    added = await bank.add(account.id, Grant(CREDITS, 5, effective_at=TOMORROW), "evt_1")
    assert added.cseq is None
    assert (await bank.row("SELECT state FROM grants"))["state"] == "scheduled"
    again = await bank.add(account.id, Grant(CREDITS, 5, effective_at=TOMORROW), "evt_1")
    assert again == Added(None, added.object_id, repeated=True)


async def test_a_scheduled_grant_enters_once(bank: Bank) -> None:
    account = await bank.account()
    added = await bank.add(account.id, Grant(CREDITS, 5, effective_at=TOMORROW))
    entered = await bank.add(account.id, Enter(added.object_id))
    assert entered.cseq == 1
    with pytest.raises(Conflict):
        await bank.add(account.id, Enter(added.object_id))
    await bank.apply(account.id)
    assert (await bank.pool(account.id))["remaining"] == 5
    assert await bank.verify() == []


async def test_a_clawback_of_a_grant_that_waits_makes_it_smaller(bank: Bank) -> None:
    account = await bank.account()
    added = await bank.add(account.id, Grant(CREDITS, 50, effective_at=TOMORROW))
    assert (await bank.add(account.id, Clawback(CREDITS, 20, added.object_id))).cseq is None
    await bank.add(account.id, Enter(added.object_id))
    await bank.apply(account.id)
    pool = await bank.pool(account.id)
    assert (pool["remaining"], pool["granted"]) == (30, 30)
    assert await bank.verify() == []


async def test_a_clawback_of_more_than_a_waiting_grant_takes_the_rest_elsewhere(bank: Bank) -> None:
    account = await bank.account(units=100)
    added = await bank.add(account.id, Grant(CREDITS, 50, effective_at=TOMORROW))
    await bank.add(account.id, Clawback(CREDITS, 60, added.object_id))
    await bank.apply(account.id)
    assert (await bank.pool(account.id))["remaining"] == 90
    grant = await bank.row("SELECT state FROM grants WHERE id = $1", added.object_id)
    assert grant["state"] == "clawed"
    assert await bank.verify() == []
