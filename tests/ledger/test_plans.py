"""Plans in Postgres: numbered once, ordered of Redis, own and subscribed."""

import asyncio

import asyncpg
import pytest

from ledger import accounts, plans
from ledger.database import Database
from ledger.errors import LedgerUnavailable, NotFound
from ledger.migrations import ledger_component, migrate, read_migrations
from ledger.plans import NOTHING, OnPlan, PlanDirectory
from ledger.snapshot import read_snapshot
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio


async def put(bank: Bank, account: int, plan: str) -> None:
    async with bank.database.connection() as connection:
        await accounts.set_plan(connection, account, plan, actor="ann")


async def subscribe(bank: Bank, account: int, on: OnPlan | None) -> int | None:
    async with bank.database.connection() as connection:
        return await plans.subscribe(connection, account, on, actor="stripe")


async def ordered(bank: Bank, account: int) -> list[int]:
    rows = await bank.rows(
        "SELECT object_id FROM controls WHERE kind = 'p' AND account_id = $1 ORDER BY cseq", account
    )
    return [row["object_id"] for row in rows]


async def test_a_plan_has_one_number_for_ever(bank: Bank) -> None:
    """Whoever is on it, and however often it comes and goes; features make another of it."""
    one, other = (await bank.account("one")).id, (await bank.account("other")).id
    for plan in ("pro", "", "pro", "pro"):
        await put(bank, one, plan)
    await put(bank, other, "pro")
    await subscribe(bank, other, OnPlan("", ("export",)))

    [pro, gone, again], [same, more] = await ordered(bank, one), await ordered(bank, other)

    assert pro == again == same
    assert gone == 0
    assert more not in (0, pro)
    directory = PlanDirectory(bank.database)
    assert directory.remembered(more) is None
    assert await directory.find(more) == OnPlan("pro", ("export",))
    assert directory.remembered(more) == OnPlan("pro", ("export",))
    assert directory.remembered(0) == NOTHING


async def test_an_unknown_number_is_no_plan(bank: Bank) -> None:
    """Rather no call than one at a wrong price."""
    with pytest.raises(LedgerUnavailable):
        await PlanDirectory(bank.database).find(99)
    assert await PlanDirectory(bank.database).of_account(99) == NOTHING
    with pytest.raises(NotFound):
        await subscribe(bank, 99, OnPlan("pro"))


async def test_a_repeat_orders_nothing(bank: Bank) -> None:
    account = (await bank.account()).id
    assert await subscribe(bank, account, None) is None
    assert await subscribe(bank, account, OnPlan("pro", ("b", "a", "b"))) is not None
    assert await subscribe(bank, account, OnPlan("pro", ("a", "b"))) is None
    await put(bank, account, "team")  # the subscription's goes first, so nothing changes

    assert len(await ordered(bank, account)) == 1
    assert await subscribe(bank, account, None) is not None
    async with bank.database.connection() as connection:
        standing = await plans.standing(connection, account)
    assert (standing.on, standing.own, standing.applied) == (OnPlan("team"), "team", False)


async def test_many_at_once_number_a_plan_once(bank: Bank) -> None:
    made = [(await bank.account(f"number-{number}")).id for number in range(8)]
    await asyncio.gather(*(put(bank, account, "pro") for account in made))

    rows = await bank.rows("SELECT number FROM plans")
    assert len(rows) == 1
    assert [await ordered(bank, account) for account in made] == [[rows[0]["number"]]] * 8


async def test_a_snapshot_has_the_plan_that_was_applied(bank: Bank) -> None:
    """What is still to come is among its controls."""
    account = (await bank.account()).id
    await put(bank, account, "pro")
    await bank.apply(account)
    [pro] = await ordered(bank, account)
    await put(bank, account, "team")

    snapshot = await read_snapshot(bank.database, account)

    assert snapshot.record.plan == pro
    assert len(snapshot.controls) == 1


async def test_words_that_were_plans_before_are_ordered_by_the_migration(
    empty_database_url: str,
) -> None:
    """Each account once, behind what was ordered of it; those without a word are left alone."""
    number = next(one.number for one in read_migrations(ledger_component()) if one.name == "plans")
    await migrate(empty_database_url, number - 1)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            "INSERT INTO accounts (external_id, plan, cseq_head)"
            " VALUES ('a', 'pro', 2), ('b', '', 1), ('c', 'pro', 0), ('d', 'team', 0)"
        )
        await migrate(empty_database_url)
        found = await connection.fetch(
            "SELECT a.external_id, k.cseq, a.cseq_head, p.name FROM accounts a"
            " JOIN controls k ON k.account_id = a.id JOIN plans p ON p.number = k.object_id"
            " WHERE k.kind = 'p' ORDER BY a.id"
        )
        head_of_b = await connection.fetchval("SELECT cseq_head FROM accounts WHERE plan = ''")
    finally:
        await connection.close()
    assert [tuple(row) for row in found] == [
        ("a", 3, 3, "pro"),
        ("c", 1, 1, "pro"),
        ("d", 1, 1, "team"),
    ]
    assert head_of_b == 1
    database = await Database.connect(empty_database_url, most=1)
    try:
        async with database.connection() as lent:
            assert await plans.follow(lent, 1, actor="ann") is None
    finally:
        await database.close()
