"""
The rows of the control log: what each kind of control writes, and what Redis gets of it.

Each is first held against what the account has. What it does to the grants that it is about is
written with it: a new one, one that enters, one that waits and is made smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

from ledger import facts
from ledger.control_kinds import (
    MAX_PRIORITY,
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
)
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import MAX_AMOUNT, NEVER
from ledger.inputs import (
    MAX_DESCRIPTION_CHARACTERS,
    check_amount,
    check_metadata,
    clean_text,
    to_ms,
)
from ledger.limits import PERIODS

_SQL = Queries("control_rows")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `controls`, but for its number and origin."""

    kind: str
    credit_type_id: int = 0
    object_id: int = 0
    amount: int = 0
    priority: int = 0
    expires_ms: int = NEVER
    flags: int = 0
    entry_kind: str | None = None
    description: str = ""
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reach_id: int | None = None


async def prepare(
    connection: Connection, account_id: int, control: Control, actor: str, reach_id: int | None
) -> tuple[Row | None, int]:
    """
    Hold a control against what its account has, and return its row and what it is about.

    The account's row is locked. `reach_id` is that of a grant's routes. There is no row where Redis
    has nothing to do yet: a grant for later, a clawback of such a grant.

    Raises:
        NotFound, InvalidInput, Conflict: See `controls.add`.

    """
    match control:
        case Grant():
            return await _grant(connection, account_id, control, actor, reach_id)
        case Clawback():
            return await _clawback(connection, account_id, control)
        case Enter():
            return await _enter(connection, account_id, control)
        case Freeze():
            return Row("f", flags=int(control.frozen)), 0
        case KeyPut():
            row = Row(
                "k",
                object_id=control.key_id,
                amount=1 if control.active else 2,
                expires_ms=control.expires_ms,
                flags=control.scopes,
            )
            return row, control.key_id
        case PlanPut():
            return Row("p", object_id=control.number), control.number
        case CapPut():
            if not await connection.fetchval(_SQL.type_known, control.credit_type_id):
                raise NotFound(f"no credit type {control.credit_type_id}")
            row = Row(
                "c",
                control.credit_type_id,
                control.key_id,
                control.units or 0,
                PERIODS.index(control.per),
                flags=int(control.units is not None),
            )
            return row, control.key_id
        case Spent():
            row = Row(
                "s",
                control.credit_type_id,
                control.key_id,
                control.units,
                PERIODS.index(control.per),
                control.ends_ms,
            )
            return row, control.key_id


def packed(row: Mapping[str, Any]) -> facts.Control:
    """Return a row of `controls` as the scripts and the journal know it."""
    return facts.Control(
        kind=row["kind"],
        cseq=row["cseq"],
        credit_type=row["credit_type_id"],
        object_id=row["object_id"],
        amount=row["amount"],
        priority=row["priority"],
        expiry_ms=row["expires_ms"],
        flags=row["flags"],
        reach=row["reach_id"] or 0,
    )


async def _grant(
    connection: Connection, account_id: int, grant: Grant, actor: str, reach_id: int | None
) -> tuple[Row | None, int]:
    check_amount("amount", grant.amount)
    if not 0 <= grant.priority <= MAX_PRIORITY:
        raise InvalidInput("priority", f"0 to {MAX_PRIORITY}")
    if grant.kind not in get_args(GrantKind) or (grant.kind == "refund") != bool(grant.charge_id):
        raise InvalidInput(
            "kind", f"one of {', '.join(get_args(GrantKind))}; a refund has a charge"
        )
    reference = None
    if grant.reference is not None:
        reference = clean_text("reference", grant.reference, least=1)
    facts_now = await connection.fetchrow(
        _SQL.before_grant, account_id, grant.credit_type_id, reference
    )
    if not facts_now["type_known"]:
        raise NotFound(f"no credit type {grant.credit_type_id}")
    if facts_now["reference_used"]:
        raise Conflict("reference-used", f"this account has a grant with reference {reference}")
    if facts_now["total"] + grant.amount > MAX_AMOUNT:
        raise Conflict("too-much", f"a pool holds at most {MAX_AMOUNT}")
    now: datetime = facts_now["now"]
    expires_ms = NEVER if grant.expires_at is None else to_ms(grant.expires_at)
    begins = max(now, grant.effective_at or now)
    if grant.expires_at is not None and not to_ms(begins) < expires_ms < NEVER:
        raise InvalidInput("expires_at", "must be after the grant takes effect")
    later = begins > now
    grant_id: int = await connection.fetchval(
        _SQL.insert_grant,
        account_id,
        grant.credit_type_id,
        grant.kind,
        grant.amount,
        grant.priority,
        grant.effective_at,
        expires_ms,
        "scheduled" if later else "pending",
        grant.charge_id,
        clean_text("description", grant.description, MAX_DESCRIPTION_CHARACTERS),
        reference,
        check_metadata(grant.metadata),
        actor,
        reach_id,
    )
    if later:
        return None, grant_id
    row = Row(
        "g",
        grant.credit_type_id,
        grant_id,
        grant.amount,
        grant.priority,
        expires_ms,
        reach_id=reach_id,
    )
    return row, grant_id


async def _clawback(
    connection: Connection, account_id: int, clawback: Clawback
) -> tuple[Row | None, int]:
    amount = check_amount("amount", clawback.amount)
    if clawback.grant_id:
        grant = await connection.fetchrow(_SQL.lock_grant, account_id, clawback.grant_id)
        if grant is None or grant["credit_type_id"] != clawback.credit_type_id:
            raise NotFound(f"this account has no grant {clawback.grant_id} of that type")
        if grant["state"] in ("scheduled", "queued"):
            # It has no lot yet: what is taken simply never enters.
            cut = min(amount, grant["amount"] - grant["clawed"])
            await connection.execute(_SQL.cut_grant, clawback.grant_id, cut)
            amount -= cut
    elif not await connection.fetchval(_SQL.type_known, clawback.credit_type_id):
        raise NotFound(f"no credit type {clawback.credit_type_id}")
    if amount == 0:
        return None, clawback.grant_id
    most = await connection.fetchval(_SQL.most_debt, account_id, clawback.credit_type_id)
    if most + amount > MAX_AMOUNT:
        raise Conflict("too-much", f"a pool owes at most {MAX_AMOUNT}")
    row = Row(
        "w",
        clawback.credit_type_id,
        clawback.grant_id,
        amount,
        entry_kind=clawback.entry_kind,
        description=clean_text("description", clawback.description, MAX_DESCRIPTION_CHARACTERS),
        reference=None
        if clawback.reference is None
        else clean_text("reference", clawback.reference, least=1),
        metadata=check_metadata(clawback.metadata),
    )
    return row, clawback.grant_id


async def _enter(connection: Connection, account_id: int, enter: Enter) -> tuple[Row | None, int]:
    grant = await connection.fetchrow(_SQL.lock_grant, account_id, enter.grant_id)
    if grant is None:
        raise NotFound(f"this account has no grant {enter.grant_id}")
    if grant["state"] not in ("scheduled", "queued"):
        raise Conflict("not-waiting", f"grant {enter.grant_id} is {grant['state']}")
    await connection.execute(_SQL.enter_grant, enter.grant_id)
    row = Row(
        "e",
        grant["credit_type_id"],
        enter.grant_id,
        grant["amount"] - grant["clawed"],
        grant["priority"],
        grant["expires_ms"],
        reach_id=grant["reach_id"],
    )
    return row, enter.grant_id
