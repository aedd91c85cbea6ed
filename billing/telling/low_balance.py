"""
Low balances: an account is told once when it falls below its threshold.

The threshold is the account's own, else the credit type's in the price file. After a notice the
balance has to come back above it before there is another. Needs no Stripe.
"""

from billing.telling import notices
from config import PriceList
from ledger import credit_types
from ledger.database import Connection, Database, Queries
from ledger.errors import NotFound
from ledger.facts import MAX_AMOUNT
from ledger.inputs import check_amount

MOST_IN_A_RUN = 500
"""Accounts told in one transaction; the next run goes on."""

_SQL = Queries("low_balance", package="billing")


async def scan(database: Database, prices: PriceList) -> int:
    """
    Tell accounts that have fallen below their threshold; return how many. The steward's job.

    As far as posted: what Redis alone knows, or has lost, counts for nothing here.
    """
    async with database.transaction() as connection:
        types, thresholds = await _usual(connection, prices)
        await connection.execute(_SQL.recovered, types, thresholds)
        crossed = await connection.fetch(_SQL.crossed, types, thresholds, MOST_IN_A_RUN)
        for row in crossed:
            await notices.tell(
                connection,
                "low_balance",
                account_id=row["account_id"],
                key=f"{row['account_id']}:{row['credit_type']}:{row['crossings']}",
                payload={name: row[name] for name in ("credit_type", "available", "threshold")},
            )
    return len(crossed)


async def set_threshold(
    connection: Connection, account_id: int, credit_type: str, threshold: int | None
) -> None:
    """
    Say from which balance on an account wants to be told. A repeat changes nothing.

    Args:
        connection: To Postgres.
        account_id: Whose.
        credit_type: By name.
        threshold: Smallest units; 0: never; None: as the price file says.

    Raises:
        NotFound: There is no such credit type.
        InvalidInput: Negative, or beyond 9e13.

    """
    if threshold:
        check_amount("threshold", threshold)
    types = {row.name: row.id for row in await credit_types.every(connection)}
    if credit_type not in types:
        raise NotFound(f"no credit type {credit_type}")
    await connection.execute(_SQL.set, account_id, types[credit_type], threshold)


async def thresholds_of(
    connection: Connection, prices: PriceList, account_id: int
) -> dict[str, int | None]:
    """Return by credit type from which balance on the account is told; None and 0: never."""
    usual = {kind.name: kind.low_balance for kind in prices.credit_types.values()}
    own = await connection.fetch(_SQL.own, account_id)
    return usual | {row["name"]: row["threshold"] for row in own}


async def _usual(connection: Connection, prices: PriceList) -> tuple[list[int], list[int]]:
    """Return the price file's thresholds, as two columns."""
    known = {row.name: row.id for row in await credit_types.every(connection)}
    wanted = {
        known[kind.name]: min(kind.low_balance, MAX_AMOUNT)
        for kind in prices.credit_types.values()
        if kind.low_balance and kind.name in known
    }
    return list(wanted), list(wanted.values())
