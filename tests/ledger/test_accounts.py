"""Accounts: made, changed, found, frozen, and what they have."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger import accounts
from ledger.accounts import Status
from ledger.controls import Clawback, Grant
from ledger.errors import Conflict, InvalidInput, NotFound
from tests.ledger.bank import CALLING, CREDITS, Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def test_an_account_is_found_by_either_name(bank: Bank) -> None:
    account = await bank.account("acme")
    async with bank.database.connection() as connection:
        assert await accounts.find(connection, "acme") == account
        assert await accounts.find(connection, f"acc_{account.id}") == account
        for text in ("nobody", "acc_99", "", "a\0b"):
            with pytest.raises(NotFound):
                await accounts.find(connection, text)


async def test_an_external_id_is_used_once(bank: Bank) -> None:
    await bank.account("acme")
    async with bank.database.connection() as connection:
        with pytest.raises(Conflict) as refused:
            await accounts.create(connection, external_id="acme", actor="ann")
        assert refused.value.code == "external-id-used"
        first = await accounts.create(connection, actor="ann")
        second = await accounts.create(connection, actor="ann")
    assert (first.external_id, second.external_id) == (None, None)


@pytest.mark.parametrize(
    "values",
    [
        {"external_id": "acc_12"},
        {"external_id": ""},
        {"external_id": "x" * 201},
        {"external_id": "a\nb"},
        {"name": "a\0b"},
        {"email": "nobody"},
        {"plan": "x" * 201},
    ],
)
async def test_texts_that_cannot_be_kept_are_refused(bank: Bank, values) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(InvalidInput):
            await accounts.create(connection, actor="ann", **values)
    assert await bank.rows("SELECT * FROM accounts") == []


async def test_putting_creates_then_changes_only_what_is_given(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        made, new = await accounts.put(connection, "acme", actor="ann", name="Acme", email="a@b")
        assert new
        changed, new = await accounts.put(connection, "acme", actor="ann", plan="gold")
        assert not new
        assert (changed.id, changed.name, changed.email, changed.plan) == (
            made.id,
            "Acme",
            "a@b",
            "gold",
        )
        same, new = await accounts.put(connection, "acme", actor="ann", name="Acme", plan="gold")
    assert (same, new) == (changed, False)
    actions = await bank.rows("SELECT action, actor FROM audit WHERE target LIKE 'acc_%'")
    assert [row["action"] for row in actions] == ["account.create", "account.update"]


async def test_accounts_are_searched_by_any_part_of_a_name(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await accounts.put(connection, "one", actor="ann", name="Acme 100%", email="x@one.org")
        await accounts.put(connection, "two", actor="ann", name="Beta_2")

        async def found(text: str, **page) -> list[str | None]:
            return [a.external_id for a in await accounts.search(connection, text=text, **page)]

        assert await found("") == ["one", "two"]
        assert await found("ACME") == ["one"]
        assert await found("one.org") == ["one"]
        assert await found("%") == ["one"]
        assert await found("_") == ["two"]
        assert await found("", limit=1, after=1) == ["two"]
        assert await found("\\") == []


async def test_a_freeze_holds_when_it_was_applied(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        added = await accounts.freeze(
            connection, account.id, frozen=True, actor="ann", reason="fraud"
        )
        assert added.cseq == 1
        assert (await accounts.get(connection, account.id)).status is Status.ACTIVE
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        assert (await accounts.get(connection, account.id)).status is Status.FROZEN
        await accounts.freeze(connection, account.id, frozen=False, actor="ann", reason="cleared")
        with pytest.raises(InvalidInput):
            await accounts.freeze(connection, account.id, frozen=True, actor="ann", reason=" ")
        with pytest.raises(NotFound):
            await accounts.freeze(connection, 99, frozen=True, actor="ann", reason="x")
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        assert (await accounts.get(connection, account.id)).status is Status.ACTIVE
    assert await bank.verify() == []


async def test_a_quarantine_ends_by_release_and_then_thaw(bank: Bank) -> None:
    account = await bank.account()
    await bank.execute("UPDATE accounts SET status = 3")
    async with bank.database.connection() as connection:
        with pytest.raises(Conflict) as refused:
            await accounts.freeze(connection, account.id, frozen=False, actor="ann", reason="x")
        assert refused.value.code == "quarantined"
        await accounts.release(connection, account.id, actor="ann", reason="settled by hand")
        assert (await accounts.get(connection, account.id)).status is Status.FROZEN
        with pytest.raises(Conflict):
            await accounts.release(connection, account.id, actor="ann", reason="again")
    assert await bank.rows("SELECT * FROM controls") == []


async def test_balances_are_shown_per_credit_type(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    await bank.grant(account.id, 40, kind="promotion", expires_at=soon, priority=200)
    await bank.add(account.id, Grant(CALLING, 70, effective_at=soon))
    await bank.post(
        player.hold(hold_id(1), 10),
        player.hold(hold_id(2), 10),
        player.settle(hold_id(2), 6),
    )
    async with bank.database.connection() as connection:
        main, calling = await accounts.balances(connection, account.id)
    assert (main.credit_type, main.available, main.held, main.used) == (
        "credits",
        124,
        10,
        6,
    )
    assert (main.purchased, main.granted, main.expiring, main.expires_at) == (
        100,
        140,
        40,
        soon,
    )
    assert (calling.available, calling.scheduled, calling.scale) == (0, 70, 2)


async def test_debt_makes_the_balance_negative(bank: Bank) -> None:
    account = await bank.account(units=5)
    await bank.add(account.id, Clawback(CREDITS, 8))
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        (balance,) = await accounts.balances(connection, account.id)
        assert await accounts.by_ids(connection, [account.id, 99]) == {
            account.id: await accounts.get(connection, account.id)
        }
    assert (balance.available, balance.debt, balance.clawed_back) == (-3, 3, 8)
