"""Credits put in and taken back by people: grants, adjustments, and those that wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ledger import audit, controls, reaches
from ledger.account_record import LIVE_LOTS
from ledger.controls import DEFAULT_PRIORITY, Added, Clawback, Enter, Grant, GrantKind
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import NEVER
from ledger.ids import account_text, grant_text
from ledger.inputs import check_amount, check_limit, clean_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = Queries("grants")


@dataclass(frozen=True, slots=True)
class GrantRow:
    """
    A grant and what became of it; amounts in smallest units.

    state: scheduled, pending (ordered, not seen applied), queued (32 like it are in use), live,
    spent, expired or clawed. clawed: taken back; expired: lost at its end. routes: where it may
    be used; None: everywhere.
    """

    id: int
    account_id: int
    credit_type: str
    credit_type_id: int
    kind: str
    amount: int
    remaining: int
    held: int
    clawed: int
    expired: int
    priority: int
    state: str
    effective_at: datetime | None
    expires_at: datetime | None
    charge_id: bytes | None
    description: str
    reference: str | None
    metadata: dict[str, Any]
    actor: str
    created_at: datetime
    routes: list[str] | None


class Due(NamedTuple):
    """A grant that waits and may enter now."""

    account_id: int
    grant_id: int


async def give(
    connection: Connection,
    account_id: int,
    grant: Grant,
    *,
    actor: str,
    reference: str | None = None,
) -> Added:
    """
    Grant credits in an admin's name.

    Args:
        connection: To Postgres.
        account_id: To whom.
        grant: What; its own `reference` is set from the argument.
        actor: Who gives it.
        reference: Unique per account; the same one again, with the same kind, type and
            amount, is answered as the first was. None: every call grants anew.

    Raises:
        NotFound: No such account or credit type.
        InvalidInput: See `controls.add`; a route that the prices in force do not have.
        Conflict: `reference-used` for something else; `too-much`. Nothing changed.

    """
    if reference is not None:
        reference = clean_text("reference", reference, least=1)
    source_id = None if reference is None else f"{account_id}:{reference}"
    asked = _with_reference(grant, reference)
    async with connection.transaction():
        await reaches.check_names(connection, grant.routes)
        try:
            added = await controls.add(connection, account_id, asked, "grant", source_id, actor)
        except Conflict as conflict:
            if conflict.code != "source-used":
                raise
            raise Conflict(
                "reference-used", f"reference {reference} was used for another grant"
            ) from conflict
        if not added.repeated:
            detail: dict[str, Any] = {
                "account": account_text(account_id),
                "credit_type_id": grant.credit_type_id,
                "amount": grant.amount,
                "kind": grant.kind,
                "reference": reference,
                "description": grant.description,
            }
            if grant.routes:
                detail["routes"] = sorted(set(grant.routes))
            await audit.write(connection, actor, "grant", grant_text(added.object_id), detail)
    return added


async def adjust(
    connection: Connection,
    account_id: int,
    credit_type_id: int,
    amount: int,
    *,
    reason: str,
    actor: str,
    reference: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Added:
    """
    Put in (`amount` above 0) or take out (below 0) credits, and say why.

    Taking out more than there is leaves debt, which the next grant pays.

    Args:
        connection: To Postgres.
        account_id: Whose.
        credit_type_id: Of which type.
        amount: Signed, smallest units, not 0.
        reason: Shown in the history.
        actor: Who does it.
        reference: As in `give`.
        metadata: Shown in the history.

    Raises:
        NotFound: No such account or credit type.
        InvalidInput: No reason, an amount of 0 or out of range.
        Conflict: `reference-used`, `too-much`. Nothing changed.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    if amount == 0:
        raise InvalidInput("amount", "not 0")
    check_amount("amount", abs(amount))
    if reference is not None:
        reference = clean_text("reference", reference, least=1)
    source_id = None if reference is None else f"{account_id}:{reference}"
    change: Grant | Clawback
    if amount > 0:
        change = Grant(
            credit_type_id,
            amount,
            kind="adjustment",
            description=why,
            reference=reference,
            metadata=metadata or {},
        )
    else:
        change = Clawback(
            credit_type_id,
            -amount,
            entry_kind="adjustment",
            description=why,
            reference=reference,
            metadata=metadata or {},
        )
    async with connection.transaction():
        try:
            added = await controls.add(connection, account_id, change, "adjust", source_id, actor)
        except Conflict as conflict:
            if conflict.code != "source-used":
                raise
            raise Conflict(
                "reference-used", f"reference {reference} was used for another adjustment"
            ) from conflict
        if not added.repeated:
            detail = {
                "credit_type_id": credit_type_id,
                "amount": amount,
                "reason": why,
                "reference": reference,
            }
            await audit.write(connection, actor, "adjust", account_text(account_id), detail)
    return added


async def get(connection: Connection, grant_id: int) -> GrantRow:
    """
    Return a grant.

    Raises:
        NotFound: There is none with this number.

    """
    row = await connection.fetchrow(_SQL.by_id, grant_id)
    if row is None:
        raise NotFound(f"no grant {grant_text(grant_id)}")
    return _grant(row)


async def of_account(
    connection: Connection, account_id: int, *, before: int | None = None, limit: int = 50
) -> list[GrantRow]:
    """List an account's grants, the newest first; `before` is the last id of the page before."""
    rows = await connection.fetch(_SQL.of_account, account_id, before, check_limit(limit))
    return [_grant(row) for row in rows]


MOST_REFUNDS = 100
"""Of one charge that are listed; each takes some of it, and nearly all charges have one at most."""


async def of_charge(connection: Connection, charge_id: bytes) -> list[GrantRow]:
    """List the first refunds of a charge, in the order in which they were given."""
    return [_grant(row) for row in await connection.fetch(_SQL.of_charge, charge_id, MOST_REFUNDS)]


async def ending(connection: Connection, account_id: int, limit: int = 50) -> list[GrantRow]:
    """List an account's grants of which something is left and will end, the first to end first."""
    return [_grant(row) for row in await connection.fetch(_SQL.ending, account_id, limit)]


async def due(connection: Connection, shard: int, now: datetime, limit: int = 100) -> list[Due]:
    """
    Return grants that may enter now: scheduled ones whose time has come, queued ones.

    At most as many per pool as lots are free, in burn order.
    """
    rows = await connection.fetch(_SQL.due, shard, now, LIVE_LOTS, limit)
    return [Due(row["account_id"], row["id"]) for row in rows]


async def enter(connection: Connection, grant: Due) -> Added | None:
    """Order that a due grant gets its lot; None if another steward was quicker."""
    async with connection.transaction():
        try:
            return await controls.add(
                connection, grant.account_id, Enter(grant.grant_id), "enter", None, "steward"
            )
        except Conflict:
            return None


def _with_reference(grant: Grant, reference: str | None) -> Grant:
    return Grant(
        credit_type_id=grant.credit_type_id,
        amount=grant.amount,
        kind=grant.kind,
        priority=grant.priority,
        effective_at=grant.effective_at,
        expires_at=grant.expires_at,
        description=grant.description,
        reference=reference,
        metadata=grant.metadata,
        routes=grant.routes,
    )


def _grant(row: Any) -> GrantRow:
    values = dict(row)
    ends = values.pop("expires_ms")
    return GrantRow(
        **values, expires_at=None if ends == NEVER else _EPOCH + timedelta(milliseconds=ends)
    )


__all__ = [
    "DEFAULT_PRIORITY",
    "Due",
    "Grant",
    "GrantKind",
    "GrantRow",
    "adjust",
    "due",
    "enter",
    "get",
    "give",
    "of_account",
]
