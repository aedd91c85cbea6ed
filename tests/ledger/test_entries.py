"""History: every kind of line, its balance, its filters and its pages."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger import charges, entries, grants
from ledger.controls import Clawback, Grant
from ledger.entries import KINDS
from ledger.errors import InvalidInput
from tests.ledger.bank import CALLING, CREDITS, Bank
from tests.ledger.journal import NOON_MS, hold_id

pytestmark = pytest.mark.anyio


async def lived(bank: Bank) -> int:
    """An account with a line of every kind, ten milliseconds apart."""
    account = await bank.account()
    player = bank.players[account.id]
    lot = await bank.grant(
        account.id, 50, reference="cs_1", description="Starter", metadata={"package": "starter"}
    )
    await bank.grant(account.id, 20, kind="subscription")
    await bank.grant(account.id, 10, kind="promotion", priority=1)
    charge_id = hold_id(35_000)
    await bank.post(
        player.hold(charge_id, 15, detail=b'{"r":{"asin":"B01"}}'), player.settle(charge_id, 12)
    )
    await bank.post(player.hold(hold_id(45_000), 5), player.settle(hold_id(45_000), 0, 20))
    await bank.grant(account.id, 3, kind="adjustment")
    await bank.add(account.id, Clawback(CREDITS, 9, lot, description="dispute", reference="dp_1"))
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        await charges.refund(
            connection, charge_id, amount=4, reference="r", actor="ann", reason="broken"
        )
        await grants.adjust(connection, account.id, CREDITS, -1, reason="typo", actor="ann")
    await bank.apply(account.id)
    await bank.post(player.expire_lot(lot))
    await bank.add(account.id, Grant(CALLING, 7))
    await bank.apply(account.id)
    return account.id


async def test_every_movement_of_credit_is_a_line(bank: Bank) -> None:
    account_id = await lived(bank)
    async with bank.database.connection() as connection:
        page = await entries.page(connection, account_id)
    assert page.next_cursor is None
    assert [(line.kind, line.amount, line.balance_after) for line in reversed(page.entries)] == [
        ("purchase", 50, 50),
        ("subscription", 20, 70),
        ("promotion", 10, 80),
        ("charge", -12, 68),
        ("adjustment", 3, 71),
        ("clawback", -9, 62),
        ("refund", 4, 66),
        ("adjustment", -1, 65),
        ("expiry", -38, 27),
        ("purchase", 7, 7),
    ]
    assert {line.kind for line in page.entries} == set(KINDS)
    assert await bank.verify() == []


async def test_a_line_says_what_it_was(bank: Bank) -> None:
    account_id = await lived(bank)
    async with bank.database.connection() as connection:
        page = await entries.page(connection, account_id)
    by_kind = {line.kind: line for line in page.entries}
    charge, refund, clawback = by_kind["charge"], by_kind["refund"], by_kind["clawback"]
    assert (charge.description, charge.reference, charge.metadata) == (
        "asin_query",
        hold_id(35_000).hex(),
        {"asin": "B01"},
    )
    assert (refund.description, refund.charge_id) == ("broken", hold_id(35_000))
    assert refund.reference == hold_id(35_000).hex()
    assert (clawback.description, clawback.reference) == ("dispute", "dp_1")
    first = page.entries[-1]
    assert (first.description, first.reference, first.metadata) == (
        "Starter",
        "cs_1",
        {"package": "starter"},
    )
    assert (page.entries[0].credit_type, page.entries[0].scale) == ("calling", 2)


async def test_the_view_shows_the_same_lines(bank: Bank) -> None:
    account_id = await lived(bank)
    async with bank.database.connection() as connection:
        page = await entries.page(connection, account_id)
    view = await bank.rows("SELECT kind, amount, balance_after FROM entries ORDER BY id DESC")
    assert [tuple(row.values()) for row in view] == [
        (line.kind, line.amount, line.balance_after) for line in page.entries
    ]


@pytest.mark.parametrize("limit", [1, 3, 4, 10])
async def test_pages_put_together_are_the_whole(bank: Bank, limit: int) -> None:
    account_id = await lived(bank)
    async with bank.database.connection() as connection:
        whole = (await entries.page(connection, account_id)).entries
        seen, cursor = [], None
        while True:
            page = await entries.page(connection, account_id, limit=limit, cursor=cursor)
            seen += page.entries
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == whole


async def test_lines_are_filtered(bank: Bank) -> None:
    account_id = await lived(bank)
    noon = datetime.fromtimestamp(NOON_MS / 1_000, UTC)
    async with bank.database.connection() as connection:

        async def kinds(**filters) -> list[str]:
            page = await entries.page(connection, account_id, **filters)
            return [line.kind for line in page.entries]

        assert await kinds(kinds=["charge", "refund"]) == ["refund", "charge"]
        assert await kinds(credit_type_id=CALLING) == ["purchase"]
        assert await kinds(until=noon + timedelta(milliseconds=25)) == ["subscription", "purchase"]
        assert len(await kinds(since=noon + timedelta(milliseconds=25))) == 8
        assert (await entries.page(connection, 99)).entries == []
        for wrong in ({"kinds": ["gift"]}, {"cursor": "?"}, {"cursor": "YQ"}, {"limit": 0}):
            with pytest.raises(InvalidInput):
                await kinds(**wrong)
