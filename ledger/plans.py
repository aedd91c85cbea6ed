"""
What accounts are on: a plan by its name, and features beside it.

What it costs to be on one is the price file's. Here a name with its features has a number, for
ever, and a control brings the number to Redis: so every hold is checked against what the account
is on at that moment, and a hold that was priced by another is refused (`PlanChanged`).

An account has a plan of its own, and its subscriptions may name one instead; what they open comes
beside it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ledger import controls
from ledger.controls import PlanPut
from ledger.database import PROMPT_LIMIT_S, Connection, Database, Queries
from ledger.errors import LedgerUnavailable, NotFound
from ledger.inputs import clean_text
from ledger.outage import OUTAGE

MOST_FEATURES = 100
"""Beside a plan: more than anybody's subscriptions name."""

MOST_REMEMBERED = 10_000
"""Numbers whose names are kept; then all are forgotten, and asked for again."""

_SQL = Queries("plans")


class OnPlan(NamedTuple):
    """What an account is on. name: empty for no plan. features: those beside it, sorted."""

    name: str = ""
    features: tuple[str, ...] = ()


NOTHING = OnPlan()
"""What number 0 stands for."""


class Standing(NamedTuple):
    """
    An account's plan and where it comes from.

    own: The account's own. subscribed: Of its subscriptions, None where they say nothing.
    applied: Whether Redis knows it, as far as posted.
    """

    on: OnPlan
    own: str
    subscribed: OnPlan | None
    applied: bool


async def lock(connection: Connection, account_id: int) -> None:
    """
    Keep others from changing what an account is on until the transaction ends.

    Raises:
        NotFound: No such account.

    """
    if await connection.fetchval(_SQL.lock, account_id) is None:
        raise NotFound(f"no account {account_id}")


async def follow(connection: Connection, account_id: int, *, actor: str) -> int | None:
    """
    Order what the account's own plan and its subscriptions come to, if it is not ordered yet.

    Args:
        connection: Inside the transaction in which one of them changed.
        account_id: Whose.
        actor: Whose doing it is.

    Returns:
        The number of the control; None where nothing was to change.

    Raises:
        NotFound: No such account.

    """
    await lock(connection, account_id)
    row = await connection.fetchrow(_SQL.standing, account_id)
    number = await _number(connection, _comes_to(row))
    if number == (row["ordered"] or 0):
        return None
    added = await controls.add(connection, account_id, PlanPut(number), "plan", None, actor)
    return added.cseq


async def subscribe(
    connection: Connection, account_id: int, on: OnPlan | None, *, actor: str
) -> int | None:
    """
    Say what the account's subscriptions put it on; None: nothing, its own plan counts again.

    A repeat changes nothing. Push the control.

    Returns:
        The number of the control; None where nothing was to change.

    Raises:
        NotFound: No such account.

    """
    async with connection.transaction():
        await lock(connection, account_id)
        if on is None or on == NOTHING:
            await connection.execute(_SQL.unsubscribe, account_id)
        else:
            name = clean_text("plan", on.name)
            features = sorted({clean_text("feature", one) for one in on.features if one})
            await connection.execute(_SQL.subscribe, account_id, name, features[:MOST_FEATURES])
        return await follow(connection, account_id, actor=actor)


async def standing(connection: Connection, account_id: int) -> Standing:
    """
    Return what an account is on, as it was ordered last.

    Raises:
        NotFound: No such account.

    """
    row = await connection.fetchrow(_SQL.standing, account_id)
    if row is None:
        raise NotFound(f"no account {account_id}")
    subscribed = None
    if row["subscribed"] is not None:
        subscribed = OnPlan(row["subscribed"], tuple(row["features"]))
    return Standing(_comes_to(row), row["own"], subscribed, row["applied"])


async def names(connection: Connection) -> list[str]:
    """Return the names of the plans that accounts are on."""
    return [row["name"] for row in await connection.fetch(_SQL.names)]


async def names_of(connection: Connection, account_ids: Iterable[int]) -> dict[int, str]:
    """Return the plan that each of these accounts is on, by account; empty: none."""
    rows = await connection.fetch(_SQL.of_accounts, list(account_ids))
    return {row["id"]: row["name"] for row in rows}


def _comes_to(row: Mapping[str, Any]) -> OnPlan:
    return OnPlan(row["subscribed"] or row["own"], tuple(row["features"] or ()))


async def _number(connection: Connection, on: OnPlan) -> int:
    """Return the number of a plan with its features, which gets one where it has none."""
    if on == NOTHING:
        return 0
    features = list(on.features)
    found = await connection.fetchval(_SQL.number, on.name, features)
    if found is None:
        # Another transaction may number it at the same time: it has the same number then.
        await connection.execute(_SQL.add, on.name, features)
        found = await connection.fetchval(_SQL.number, on.name, features)
    return int(found)


class PlanDirectory:
    """Which plan has a number. The answer never changes, so it is remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, OnPlan] = {0: NOTHING}
        self._room = asyncio.Semaphore(1)

    def remembered(self, number: int) -> OnPlan | None:
        """Return the plan where that was found out before; asks nobody."""
        return self._known.get(number)

    async def of_account(self, account: int) -> OnPlan:
        """
        Return what an account is on, as it was ordered last; nothing where there is no account.

        Raises:
            LedgerUnavailable: Postgres is away.

        """
        try:
            async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
                return (await standing(connection, account)).on
        except NotFound:
            return NOTHING
        except OUTAGE as away:
            raise LedgerUnavailable(f"Postgres does not answer: {away}") from away

    async def find(self, number: int) -> OnPlan:
        """
        Return the plan with this number.

        Raises:
            LedgerUnavailable: Postgres is away, or does not have the number: it lost something.

        """
        async with self._room:  # one question for all who wait
            known = self._known.get(number)
            if known is not None:
                return known
            try:
                async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
                    row = await connection.fetchrow(_SQL.by_number, number)
            except OUTAGE as away:
                raise LedgerUnavailable(f"Postgres does not answer: {away}") from away
            if row is None:
                raise LedgerUnavailable(f"Postgres does not know plan {number}")
            if len(self._known) >= MOST_REMEMBERED:
                self._known = {0: NOTHING}
            known = OnPlan(row["name"], tuple(row["features"]))
            self._known[number] = known
            return known
