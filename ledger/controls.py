"""
The control log: changes that Postgres orders Redis to make, numbered without gap per account.

A control is inserted under the account's row lock, in the caller's transaction, and applied
by Redis in order, exactly once. Whoever asks again with the same source and source id gets
the first answer. This is the only door through which credits are put in or taken back.
"""

import uuid
from dataclasses import dataclass
from typing import NamedTuple

from ledger import control_rows, reaches
from ledger.control_kinds import (
    DEFAULT_PRIORITY,
    CapPut,
    Clawback,
    Control,
    Enter,
    Freeze,
    Grant,
    GrantKind,
    KeyPut,
    PlanPut,
    Spent,
    request_of,
)
from ledger.database import Connection, Queries
from ledger.errors import Conflict, NotFound

__all__ = [
    "DEFAULT_PRIORITY",
    "Added",
    "CapPut",
    "Clawback",
    "Control",
    "Enter",
    "Freeze",
    "Grant",
    "GrantKind",
    "KeyPut",
    "LastFreeze",
    "PlanPut",
    "Spent",
    "add",
    "applied",
    "last_freeze",
    "pending",
    "waiting_accounts",
]

_SQL = Queries("controls")


@dataclass(frozen=True, slots=True)
class Added:
    """
    What became of it.

    cseq: The control's number; None where none was needed (a grant for later, a clawback of
        such a grant), and nothing has to be pushed.
    object_id: The grant or key it is about; 0 if none.
    """

    cseq: int | None
    object_id: int
    repeated: bool


class LastFreeze(NamedTuple):
    """Whether the account is frozen since, and who asked for it: the control's `source`."""

    frozen: bool
    source: str


async def add(  # noqa: PLR0917 - who, what, and on whose behalf: the order reads as a sentence
    connection: Connection,
    account_id: int,
    control: Control,
    source: str,
    source_id: str | None,
    actor: str,
) -> Added:
    """
    Order a change of an account, in the transaction `connection` is in.

    Args:
        connection: Inside a transaction; the account's row stays locked until it ends.
        account_id: Whose.
        control: What.
        source: Who asks, for instance `stripe`.
        source_id: The asker's own name for this change: a repeat is answered as the first
            was. None: the asker cannot repeat itself, a new name is made.
        actor: Whose doing it is.

    Raises:
        NotFound: No such account, grant or credit type.
        InvalidInput: An amount outside 1..9e13, a time in the past, ...
        Conflict: `source-used`: the same source asked for something else before;
            `reference-used`; `too-much`: the pool, or its debt, would pass 9e13;
            `too-many-reaches`: see `reaches.number_of`. Nothing changed.

    """
    # A transaction of its own within the caller's: whoever catches a refusal and goes on must
    # not commit a reservation without its control.
    async with connection.transaction():
        return await _add(
            connection, account_id, control, (source, source_id or uuid.uuid4().hex), actor
        )


async def last_freeze(connection: Connection, account_id: int) -> LastFreeze | None:
    """
    Return the freeze or thaw of an account that was ordered last; None if there was none.

    It stays the last until the transaction that `connection` is in ends: the account's row is
    locked.
    """
    await connection.fetchrow(_SQL.lock_account, account_id)
    row = await connection.fetchrow(_SQL.last_freeze, account_id)
    return None if row is None else LastFreeze(row["flags"] != 0, row["source"])


async def pending(connection: Connection, account_id: int, limit: int = 1_000) -> list[bytes]:
    """Return the controls that Redis has not been seen to apply, packed, in their order."""
    rows = await connection.fetch(_SQL.pending, account_id, limit)
    return [control_rows.packed(row).pack() for row in rows]


async def waiting_accounts(
    connection: Connection, shard: int, *, after: int = 0, limit: int = 500
) -> list[int]:
    """Return accounts, from the one behind `after` on, for which `pending` returns something."""
    rows = await connection.fetch(_SQL.waiting_accounts, shard, after, limit)
    return [row["id"] for row in rows]


async def applied(connection: Connection, account_id: int, cseq: int) -> bool:
    """Whether Postgres has seen control `cseq` applied."""
    return bool(await connection.fetchval(_SQL.applied, account_id, cseq))


async def _add(
    connection: Connection, account_id: int, control: Control, asked_by: tuple[str, str], actor: str
) -> Added:
    source, source_id = asked_by
    head = await connection.fetchrow(_SQL.lock_account, account_id)
    if head is None:
        raise NotFound(f"no account {account_id}")
    reach = 0
    if isinstance(control, Grant) and control.routes:
        reach = await reaches.number_of(connection, control.routes)
    request = request_of(control, reach)
    if not await connection.fetchval(_SQL.reserve, source, source_id, account_id, request):
        before = await connection.fetchrow(_SQL.asked_before, source, source_id)
        if (before["account_id"], before["request"]) != (account_id, request):
            raise Conflict("source-used", f"{source} {source_id} asked for something else before")
        return Added(before["cseq"], before["object_id"] or 0, repeated=True)
    row, object_id = await control_rows.prepare(
        connection, account_id, control, actor, reach or None
    )
    cseq = None
    if row is not None:
        cseq = head["cseq_head"] + 1
        await connection.execute(
            _SQL.insert,
            account_id,
            cseq,
            row.kind,
            row.credit_type_id,
            row.object_id,
            row.amount,
            row.priority,
            row.expires_ms,
            row.flags,
            actor,
            source,
            source_id,
            row.entry_kind,
            row.description,
            row.reference,
            dict(row.metadata),
            row.reach_id,
        )
        await connection.execute(_SQL.raise_head, account_id, cseq)
    await connection.execute(_SQL.answer, source, source_id, cseq, object_id)
    return Added(cseq, object_id, repeated=False)
