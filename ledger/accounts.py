"""Accounts: who they are, what they have, and whether they may call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import asyncpg

from ledger import audit, controls, dead_facts, plans
from ledger.controls import Added
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import NEVER
from ledger.ids import account_text, check_external_id, parse_account
from ledger.inputs import check_limit, clean_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = Queries("accounts")


class Status(IntEnum):
    """Quarantined: a fact broke a rule; nobody calls until an operator has looked."""

    ACTIVE = 1
    FROZEN = 2
    QUARANTINED = 3

    @property
    def word(self) -> str:
        """The word shown outside."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Account:
    """An account's row. `status` follows the journal: a freeze under way is not in it yet."""

    id: int
    external_id: str | None
    name: str
    email: str
    plan: str
    shard: int
    status: Status
    aseq: int
    cseq_head: int
    cseq_applied: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Limited:
    """Credits that may be spent on these routes alone; `expires_at`: the first of them end."""

    routes: list[str]
    available: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Balance:
    """
    An account's credits of one type, in its smallest units, as far as posted.

    available: may be spent now, on any route; negative when more was taken back than was left.
    limited: may be spent beside those, on some routes.
    held: reserved by requests under way. debt: what the next grant pays first.
    purchased, granted, used, refunded, expired, clawed_back: since ever; `granted`
    includes `purchased`, refunds are not in it.
    scheduled: in grants that enter later. expiring: left in lots that end some day, and
    `expires_at` is when the first of them does.
    """

    credit_type_id: int
    credit_type: str
    scale: int
    available: int
    held: int
    debt: int
    granted: int
    purchased: int
    used: int
    refunded: int
    expired: int
    clawed_back: int
    scheduled: int
    expiring: int
    expires_at: datetime | None
    limited: tuple[Limited, ...] = ()

    def available_on(self, route: str) -> int:
        """Return what a request of this route may spend."""
        return self.available + sum(one.available for one in self.limited if route in one.routes)


async def create(
    connection: Connection,
    *,
    actor: str,
    external_id: str | None = None,
    name: str = "",
    email: str = "",
    plan: str = "",
) -> Account:
    """
    Make an account.

    Raises:
        InvalidInput: A text that cannot be kept.
        Conflict: `external-id-used`. Nothing changed.

    """
    values = _texts(external_id, name, email, plan)
    async with connection.transaction():
        try:
            row = await connection.fetchrow(_SQL.create, *values)
        except asyncpg.UniqueViolationError as used:
            raise Conflict("external-id-used", f"there is an account {external_id}") from used
        account = _account(row)
        await _audited(connection, actor, "account.create", account)
        return await _on_its_plan(connection, account, actor)


async def put(
    connection: Connection,
    external_id: str,
    *,
    actor: str,
    name: str | None = None,
    email: str | None = None,
    plan: str | None = None,
) -> tuple[Account, bool]:
    """
    Create the account with this external id, or change what is given (None: as it is).

    Returns:
        The account, and whether it is new. A repeat changes nothing and leaves no trace.

    Raises:
        InvalidInput: A text that cannot be kept; nothing changed.

    """
    values = _texts(external_id, name, email, plan)
    async with connection.transaction():
        row = await connection.fetchrow(_SQL.put_new, *values)
        if row is not None:
            account = _account(row)
            await _audited(connection, actor, "account.create", account)
            return await _on_its_plan(connection, account, actor), True
        row = await connection.fetchrow(_SQL.put_change, *values)
        if row is not None:
            account = _account(row)
            await _audited(connection, actor, "account.update", account)
            return await _on_its_plan(connection, account, actor), False
        return _account(await connection.fetchrow(_SQL.by_external_id, values[0])), False


async def set_plan(connection: Connection, account_id: int, plan: str, *, actor: str) -> Account:
    """
    Put an account on a plan of its own; empty: on none. A repeat changes nothing.

    Raises:
        NotFound: There is none.
        InvalidInput: A text that cannot be kept.

    """
    text = clean_text("plan", plan)
    async with connection.transaction():
        row = await connection.fetchrow(_SQL.set_plan, account_id, text)
        if row is None:
            return await get(connection, account_id)
        account = _account(row)
        await _audited(connection, actor, "account.update", account)
        return await _on_its_plan(connection, account, actor)


async def get(connection: Connection, account_id: int) -> Account:
    """
    Return the account with this number.

    Raises:
        NotFound: There is none.

    """
    row = await connection.fetchrow(_SQL.by_id, account_id)
    if row is None:
        raise NotFound(f"no account {account_text(account_id)}")
    return _account(row)


async def find(connection: Connection, text: str) -> Account:
    """
    Return the account that `acc_12`, or an external id, names.

    Raises:
        NotFound: There is none.

    """
    number = parse_account(text)
    if number is not None:
        return await get(connection, number)
    row = await connection.fetchrow(_SQL.by_external_id, text) if text.isprintable() else None
    if row is None:
        raise NotFound(f"no account {text}")
    return _account(row)


async def search(
    connection: Connection, *, text: str = "", after: int = 0, limit: int = 50
) -> list[Account]:
    """List accounts by number; `text` is an id, or part of the external id, name or e-mail."""
    pattern = "%" + text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    rows = await connection.fetch(
        _SQL.search, pattern, after, check_limit(limit), parse_account(text)
    )
    return [_account(row) for row in rows]


async def freeze(
    connection: Connection, account_id: int, *, frozen: bool, actor: str, reason: str
) -> Added:
    """
    Order that the account is refused (`frozen`), or served again.

    It holds once the control is applied; push it. A repeat orders it once more.

    Raises:
        NotFound: No such account.
        InvalidInput: No reason given.
        Conflict: `quarantined`: see `release`.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    async with connection.transaction():
        added = await controls.add(
            connection, account_id, controls.Freeze(frozen), "freeze", None, actor
        )
        if not frozen and (await get(connection, account_id)).status is Status.QUARANTINED:
            raise Conflict("quarantined", "a fact of this account broke a rule: release it first")
        action = "account.freeze" if frozen else "account.thaw"
        await audit.write(connection, actor, action, account_text(account_id), {"reason": why})
    return added


async def release(connection: Connection, account_id: int, *, actor: str, reason: str) -> None:
    """
    End a quarantine: the account is frozen from now on and may be thawed.

    Not before a person has decided about each of its dead facts, nor in the epoch in which they
    broke a rule: there Redis still counts what Postgres refused.

    Raises:
        Conflict: `not-quarantined`, `facts-unresolved`, `rebuild-first`. Nothing changed.
        InvalidInput: No reason given.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    async with connection.transaction():
        if not await connection.fetchval(_SQL.release, account_id):
            raise Conflict("not-quarantined", f"{account_text(account_id)} is not quarantined")
        blame = await dead_facts.blame(connection, account_id)
        if blame.unresolved:
            raise Conflict(
                "facts-unresolved", f"nobody has decided about {blame.unresolved} facts of it yet"
            )
        if blame.in_this_epoch:
            raise Conflict(
                "rebuild-first", "Redis still counts what Postgres refused: begin a new epoch first"
            )
        await audit.write(
            connection, actor, "account.release", account_text(account_id), {"reason": why}
        )


async def balances(connection: Connection, account_id: int) -> list[Balance]:
    """Return the account's credits by type, for types it ever had; may lag by a posting."""
    rows = await connection.fetch(_SQL.balances, account_id)
    return [
        Balance(**dict(row) | {"limited": tuple(_limited(one) for one in row["limited"])})
        for row in rows
    ]


async def by_ids(connection: Connection, ids: Sequence[int]) -> dict[int, Account]:
    """Return those of the accounts that there are, by number."""
    return {row["id"]: _account(row) for row in await connection.fetch(_SQL.by_ids, list(ids))}


def _limited(row: tuple[list[str], int, int]) -> Limited:
    routes, available, ends_ms = row
    ends = None if ends_ms == NEVER else _EPOCH + timedelta(milliseconds=ends_ms)
    return Limited(routes, available, ends)


def _account(row: Any) -> Account:
    values = dict(row)
    return Account(**(values | {"status": Status(values["status"])}))


def _texts(external_id: str | None, *others: str | None) -> list[str | None]:
    cleaned: list[str | None] = [
        None if external_id is None else check_external_id(external_id.strip())
    ]
    for field, text in zip(("name", "email", "plan"), others, strict=True):
        cleaned.append(None if text is None else clean_text(field, text))
    email = cleaned[2]
    if email and "@" not in email:
        raise InvalidInput("email", "an address has an @")
    return cleaned


async def _on_its_plan(connection: Connection, account: Account, actor: str) -> Account:
    """Order of Redis what the account's plan has become; push it where the answer is awaited."""
    cseq = await plans.follow(connection, account.id, actor=actor)
    return account if cseq is None else replace(account, cseq_head=cseq)


async def _audited(connection: Connection, actor: str, action: str, account: Account) -> None:
    detail = {
        "external_id": account.external_id,
        "name": account.name,
        "email": account.email,
        "plan": account.plan,
    }
    await audit.write(connection, actor, action, account_text(account.id), detail)
