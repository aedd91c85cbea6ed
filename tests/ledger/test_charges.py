"""Charges as they are read, and refunds."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ledger import charges
from ledger.books import ChargeState
from ledger.charges import REFUND_LIFE_DAYS, Refund, Standing
from ledger.errors import Conflict, InvalidInput, NotFound
from tests.ledger.bank import Bank
from tests.ledger.journal import NOON_MS, hold_id

pytestmark = pytest.mark.anyio

NOON = datetime.fromtimestamp(NOON_MS / 1_000, UTC)


async def captured(bank: Bank, number: int = 1, held: int = 10, amount: int = 10) -> int:
    account = await bank.account(f"a{number}", 100)
    player = bank.players[account.id]
    await bank.post(
        player.hold(hold_id(number), held, detail=b'{"u":[3]}'),
        player.settle(hold_id(number), amount),
    )
    return account.id


async def refund(bank: Bank, amount: int | None, reference: str, number: int = 1) -> Refund:
    async with bank.database.connection() as connection:
        return await charges.refund(
            connection, hold_id(number), amount=amount, reference=reference, actor="ann"
        )


async def test_a_charge_explains_itself(bank: Bank) -> None:
    account_id = await captured(bank, held=10, amount=4)
    async with bank.database.connection() as connection:
        charge = await charges.get(connection, hold_id(1))
    assert charge.text_id == hold_id(1).hex()
    assert (charge.account_id, charge.state, charge.reason) == (
        account_id,
        ChargeState.CAPTURED,
        "delivered",
    )
    assert (charge.route, charge.path, charge.price) == (
        "asin_query",
        "/v1/products/{asin}",
        {"flat": 2},
    )
    assert (charge.units, charge.held, charge.captured, charge.balance_after) == ([3], 10, 4, 96)
    assert (charge.price_version, charge.rule, charge.credit_type, charge.scale) == (
        1,
        0,
        "credits",
        0,
    )
    assert charge.opened_at == NOON + timedelta(microseconds=1)


async def test_another_accounts_charge_is_not_there(bank: Bank) -> None:
    account_id = await captured(bank)
    async with bank.database.connection() as connection:
        with pytest.raises(NotFound):
            await charges.get(connection, hold_id(1), account_id=account_id + 1)
        with pytest.raises(NotFound):
            await charges.get(connection, hold_id(2))


async def test_the_state_of_a_charge_comes_with_epoch_and_position(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 10))
    async with bank.database.connection() as connection:
        assert await charges.charge_state(connection, hold_id(1)) == Standing(
            1, ChargeState.OPEN, 2
        )
        assert await charges.charge_state(connection, hold_id(2)) == Standing(1, None, 2)


async def test_expired_charges_are_ended_but_not_closed(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    for number in range(1, 5):
        await bank.post(player.hold(hold_id(number), 10))
    await bank.post(
        player.settle(hold_id(1), 10),
        player.settle(hold_id(2), 0, 20),
        player.settle(hold_id(3), 0, 40),
    )
    ids = [hold_id(number) for number in range(1, 7)]
    async with bank.database.connection() as connection:
        assert await charges.closed_of(connection, ids) == {hold_id(1), hold_id(2)}
        assert await charges.ended_of(connection, ids) == {hold_id(1), hold_id(2), hold_id(3)}
        assert await charges.closed_of(connection, []) == set()


async def test_charges_are_listed_newest_first_in_pages(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    for number in range(1, 6):
        await bank.post(player.hold(hold_id(number), 1, rule=number % 2))
    await bank.post(player.settle(hold_id(5), 1))
    async with bank.database.connection() as connection:

        async def listed(**filters) -> list[int]:
            found = await charges.find(connection, account_id=account.id, **filters)
            return [int.from_bytes(charge.id[:8], "big") - NOON_MS * 1_000 for charge in found]

        assert await listed(limit=2) == [5, 4]
        assert await listed(limit=2, before=hold_id(4)) == [3, 2]
        assert await listed(route="chat") == [5, 3, 1]
        assert await listed(states=[ChargeState.CAPTURED]) == [5]
        assert await listed(since=NOON + timedelta(microseconds=4)) == [5, 4]
        assert await listed(until=NOON + timedelta(microseconds=3)) == [2, 1]
        assert await listed(key_id=2) == []
        with pytest.raises(InvalidInput):
            await listed(limit=201)


async def test_a_refund_comes_back_as_a_grant(bank: Bank) -> None:
    account_id = await captured(bank)
    given = await refund(bank, None, "r1")
    await bank.apply(account_id)

    assert (given.amount, given.repeated) == (10, False)
    pool = await bank.pool(account_id)
    assert (pool["remaining"], pool["refunded"], pool["captured"]) == (100, 10, 10)
    assert (await bank.row("SELECT refunded FROM charges"))["refunded"] == 10
    assert (await bank.row("SELECT actor FROM audit WHERE action = 'charge.refund'"))[
        "actor"
    ] == "ann"
    assert await bank.verify() == []


async def test_the_same_reference_is_answered_as_before(bank: Bank) -> None:
    await captured(bank)
    first = await refund(bank, 4, "r1")
    assert await refund(bank, 4, "r1") == Refund(first.grant_id, 4, first.cseq, repeated=True)
    assert (await refund(bank, None, "r1")).amount == 4
    with pytest.raises(Conflict) as refused:
        await refund(bank, 5, "r1")
    assert refused.value.code == "reference-used"
    assert (await bank.row("SELECT refunded FROM charges"))["refunded"] == 4


async def test_never_more_is_refunded_than_was_captured(bank: Bank) -> None:
    await captured(bank)
    await refund(bank, 4, "r1")
    with pytest.raises(Conflict) as refused:
        await refund(bank, 7, "r2")
    assert refused.value.code == "already-refunded"
    assert (await refund(bank, None, "r3")).amount == 6
    with pytest.raises(Conflict) as refused:
        await refund(bank, None, "r4")
    assert refused.value.code == "already-refunded"
    assert len(await bank.rows("SELECT * FROM grants WHERE kind = 'refund'")) == 2


async def test_refunds_at_once_do_not_add_up_to_more_than_captured(bank: Bank) -> None:
    await captured(bank)
    answers = await asyncio.gather(
        *(refund(bank, 3, f"r{n}") for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Refund) for answer in answers) == 3
    assert (await bank.row("SELECT refunded FROM charges"))["refunded"] == 9
    assert await bank.verify() == []


async def test_what_was_not_captured_is_not_refunded(bank: Bank) -> None:
    await captured(bank, amount=0)
    with pytest.raises(Conflict) as refused:
        await refund(bank, None, "r1")
    assert refused.value.code == "not-captured"
    with pytest.raises(NotFound):
        await refund(bank, None, "r1", number=9)
    with pytest.raises(InvalidInput):
        await refund(bank, 0, "r1")
    with pytest.raises(InvalidInput):
        await refund(bank, None, "")


async def test_a_refund_lives_as_long_as_the_credits_would_have(bank: Bank) -> None:
    account = await bank.account("x")
    player = bank.players[account.id]
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    await bank.grant(account.id, 5, expires_at=soon, priority=1)
    await bank.grant(account.id, 5, expires_at=soon + timedelta(days=1))
    await bank.post(player.hold(hold_id(1), 10), player.settle(hold_id(1), 10))
    await bank.post(player.late(hold_id(2), 0))
    given = await refund(bank, None, "r1")
    ends = await bank.row("SELECT expires_ms FROM grants WHERE id = $1", given.grant_id)
    assert ends["expires_ms"] == int((soon + timedelta(days=1)).timestamp() * 1_000)


async def test_a_refund_of_credits_that_have_ended_gets_thirty_days(bank: Bank) -> None:
    account_id = await captured(bank)
    past = (1_000_000_000_000).to_bytes(6, "little")
    async with bank.database.connection() as connection:
        lot = await connection.fetchval("SELECT id FROM grants WHERE account_id = $1", account_id)
        packed = b"\1" + lot.to_bytes(5, "little") + b"\x64" + past + (10).to_bytes(6, "little")
        await connection.execute("UPDATE charges SET allocation = $1", packed)
    given = await refund(bank, None, "r1")
    ends = await bank.row("SELECT expires_ms, created_at FROM grants WHERE id = $1", given.grant_id)
    days = (ends["expires_ms"] / 1_000 - ends["created_at"].timestamp()) / 86_400
    assert days == pytest.approx(REFUND_LIFE_DAYS, abs=0.01)
