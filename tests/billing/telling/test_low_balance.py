"""Low balances: one notice for each fall below the threshold."""

from collections.abc import AsyncIterator

import pytest

from billing.telling import low_balance
from config import CreditType, PriceList
from ledger import controls
from ledger.accounts import Account
from ledger.controls import Grant
from ledger.database import Database
from ledger.errors import InvalidInput, NotFound
from tests.billing.told import account_of, notices_of, open_database

pytestmark = pytest.mark.anyio

CREDITS, CALLING = 1, 2


def prices(usual: int | None = 20, *, calling: int | None = None) -> PriceList:
    kinds = {
        "credits": CreditType("credits", low_balance=usual),
        "calling": CreditType("calling", scale=2, low_balance=calling),
    }
    return PriceList(credit_types=kinds, upstreams={}, routes=())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


@pytest.fixture
async def account(database: Database) -> Account:
    return await account_of(database)


async def put(
    database: Database, account: Account, remaining: int, *, kind: int = CREDITS, **more: int
) -> None:
    """Make Postgres' pool of an account what posting would have made it."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO pools (account_id, credit_type_id, remaining, held, debt)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id, credit_type_id)"
            " DO UPDATE SET remaining = $3, held = $4, debt = $5",
            account.id,
            kind,
            remaining,
            more.get("held", 0),
            more.get("debt", 0),
        )


async def choose(database: Database, account: Account, threshold: int | None) -> None:
    async with database.connection() as connection:
        await low_balance.set_threshold(connection, account.id, "credits", threshold)


async def test_an_account_is_told_once_until_it_was_above_again(
    database: Database, account: Account
) -> None:
    told = []
    for remaining in (20, 19, 5, 20, 3):
        await put(database, account, remaining)
        told.append(await low_balance.scan(database, prices()))

    assert told == [0, 1, 0, 0, 1]
    payloads = [notice.payload for notice in await notices_of(database, "low_balance")]
    assert payloads == [
        {"credit_type": "credits", "available": 19, "threshold": 20},
        {"credit_type": "credits", "available": 3, "threshold": 20},
    ]


async def test_an_account_that_never_had_credits_is_not_told(
    database: Database, account: Account
) -> None:
    assert await low_balance.scan(database, prices()) == 0


async def test_debt_counts_against_the_balance(database: Database, account: Account) -> None:
    await put(database, account, 0, debt=7)
    await low_balance.scan(database, prices())

    [notice] = await notices_of(database, "low_balance")
    assert notice.payload["available"] == -7


async def test_what_is_limited_to_some_routes_does_not_count(
    database: Database, account: Account
) -> None:
    """Neither what is left of it, nor what calls under way hold."""
    grant = Grant(CREDITS, 30, routes=["search"])
    async with database.transaction() as connection:
        await controls.add(connection, account.id, grant, "test", None, "test")
        await connection.execute("UPDATE grants SET state = 'live', remaining = 20, held = 10")

    told = []
    for remaining in (40, 39, 40):
        await put(database, account, remaining, held=10)
        told.append(await low_balance.scan(database, prices()))

    assert told == [0, 1, 0]
    [notice] = await notices_of(database, "low_balance")
    assert notice.payload["available"] == 19
    await choose(database, account, 21)
    assert await low_balance.scan(database, prices()) == 1


async def test_a_passing_hold_is_no_fall(database: Database, account: Account) -> None:
    await put(database, account, 5, held=95)
    assert await low_balance.scan(database, prices()) == 0


async def test_an_accounts_own_threshold_wins(database: Database, account: Account) -> None:
    await put(database, account, 50)
    await choose(database, account, 60)
    assert await low_balance.scan(database, prices()) == 1

    [notice] = await notices_of(database, "low_balance")
    assert notice.payload["threshold"] == 60


async def test_an_account_may_ask_for_silence(database: Database, account: Account) -> None:
    await put(database, account, 1, debt=2)
    await choose(database, account, 0)
    assert await low_balance.scan(database, prices()) == 0


async def test_an_own_threshold_works_where_the_price_file_has_none(
    database: Database, account: Account
) -> None:
    await choose(database, account, 10)
    told = []
    for remaining in (9, 10, 9):
        await put(database, account, remaining)
        told.append(await low_balance.scan(database, prices(None)))
    assert told == [1, 0, 1]


async def test_going_back_to_the_price_files_threshold(
    database: Database, account: Account
) -> None:
    await choose(database, account, 0)
    await choose(database, account, None)
    await put(database, account, 1)
    assert await low_balance.scan(database, prices()) == 1


async def test_each_credit_type_has_its_own_notices(database: Database, account: Account) -> None:
    await put(database, account, 1)
    await put(database, account, 1, kind=CALLING)
    assert await low_balance.scan(database, prices(calling=100)) == 2


async def test_thresholds_are_shown_as_they_apply(database: Database, account: Account) -> None:
    await choose(database, account, 0)
    async with database.connection() as connection:
        found = await low_balance.thresholds_of(connection, prices(calling=5), account.id)
    assert found == {"credits": 0, "calling": 5}


async def test_thresholds_that_make_no_sense_are_refused(
    database: Database, account: Account
) -> None:
    with pytest.raises(InvalidInput):
        await choose(database, account, -1)
    async with database.connection() as connection:
        with pytest.raises(NotFound):
            await low_balance.set_threshold(connection, account.id, "gold", 5)
