"""
The control log: changes that Postgres orders Redis to make, numbered without gap per account.

A control is inserted under the account's row lock, in the caller's transaction, and applied
by Redis in order, exactly once. Whoever asks again with the same source and source id gets
the first answer. This is the only door through which credits are put in or taken back.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from ledger import facts, reaches
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import MAX_AMOUNT, NEVER
from ledger.inputs import (
    MAX_DESCRIPTION_CHARACTERS,
    check_amount,
    check_metadata,
    clean_text,
)
from ledger.limits import PERIODS, Per

MAX_PRIORITY = 255
DEFAULT_PRIORITY = 100

GrantKind: TypeAlias = Literal["purchase", "subscription", "promotion", "adjustment", "refund"]

_SQL = Queries("controls")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Put credits in: `amount` smallest units, used up before lots of higher priority.

    With `effective_at` in the future it waits, and enters then. `reference` is unique per
    account. A grant of kind `refund` names the charge it gives back. With `routes` it can be
    used on those alone; whether there are such is the caller's to check (`reaches.check_names`).
    """

    credit_type_id: int
    amount: int
    kind: GrantKind = "purchase"
    priority: int = DEFAULT_PRIORITY
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    description: str = ""
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    charge_id: bytes | None = None
    routes: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Clawback:
    """Take credits back: from this grant's lot (0: none named), then others, then as debt."""

    credit_type_id: int
    amount: int
    grant_id: int = 0
    entry_kind: Literal["clawback", "adjustment"] = "clawback"
    description: str = ""
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Refuse every request of the account (`frozen`), or allow them again."""

    frozen: bool


@dataclass(frozen=True, slots=True)
class KeyPut:
    """Make Redis know a key as it stands now in `api_keys`."""

    key_id: int
    scopes: int
    active: bool
    expires_ms: int = NEVER


@dataclass(frozen=True, slots=True)
class CapPut:
    """Bound what a key spends of a credit type in each window; `units` None lifts the cap."""

    key_id: int
    credit_type_id: int
    per: Per
    units: int | None


@dataclass(frozen=True, slots=True)
class PlanPut:
    """Put the account on the plan with this number (see `ledger.plans`); 0 takes it off."""

    number: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Count what a key has spent already in the window that ends at `ends_ms`, for its cap."""

    key_id: int
    credit_type_id: int
    per: Per
    units: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Enter:
    """Give a scheduled or queued grant its lot."""

    grant_id: int


Control: TypeAlias = Grant | Clawback | Freeze | KeyPut | CapPut | Spent | PlanPut | Enter


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


@dataclass(frozen=True, slots=True)
class _Row:
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
    return [packed(row).pack() for row in rows]


async def waiting_accounts(
    connection: Connection, shard: int, *, after: int = 0, limit: int = 500
) -> list[int]:
    """Return accounts, from the one behind `after` on, for which `pending` returns something."""
    rows = await connection.fetch(_SQL.waiting_accounts, shard, after, limit)
    return [row["id"] for row in rows]


async def applied(connection: Connection, account_id: int, cseq: int) -> bool:
    """Whether Postgres has seen control `cseq` applied."""
    return bool(await connection.fetchval(_SQL.applied, account_id, cseq))


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


def to_ms(moment: datetime) -> int:
    """
    Milliseconds since 1970, rounded down.

    Raises:
        InvalidInput: The moment has no time zone.

    """
    if moment.tzinfo is None:
        raise InvalidInput("time", "needs a time zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


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
    request = _request(control, reach)
    if not await connection.fetchval(_SQL.reserve, source, source_id, account_id, request):
        before = await connection.fetchrow(_SQL.asked_before, source, source_id)
        if (before["account_id"], before["request"]) != (account_id, request):
            raise Conflict("source-used", f"{source} {source_id} asked for something else before")
        return Added(before["cseq"], before["object_id"] or 0, repeated=True)
    row, object_id = await _prepare(connection, account_id, control, actor, reach or None)
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


async def _prepare(
    connection: Connection, account_id: int, control: Control, actor: str, reach_id: int | None
) -> tuple[_Row | None, int]:
    match control:
        case Grant():
            return await _prepare_grant(connection, account_id, control, actor, reach_id)
        case Clawback():
            return await _prepare_clawback(connection, account_id, control)
        case Enter():
            return await _prepare_enter(connection, account_id, control)
        case Freeze():
            return _Row("f", flags=int(control.frozen)), 0
        case KeyPut():
            row = _Row(
                "k",
                object_id=control.key_id,
                amount=1 if control.active else 2,
                expires_ms=control.expires_ms,
                flags=control.scopes,
            )
            return row, control.key_id
        case PlanPut():
            return _Row("p", object_id=control.number), control.number
        case CapPut():
            if not await connection.fetchval(_SQL.type_known, control.credit_type_id):
                raise NotFound(f"no credit type {control.credit_type_id}")
            row = _Row(
                "c",
                control.credit_type_id,
                control.key_id,
                control.units or 0,
                PERIODS.index(control.per),
                flags=int(control.units is not None),
            )
            return row, control.key_id
        case Spent():
            row = _Row(
                "s",
                control.credit_type_id,
                control.key_id,
                control.units,
                PERIODS.index(control.per),
                control.ends_ms,
            )
            return row, control.key_id


async def _prepare_grant(
    connection: Connection, account_id: int, grant: Grant, actor: str, reach_id: int | None
) -> tuple[_Row | None, int]:
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
    row = _Row(
        "g",
        grant.credit_type_id,
        grant_id,
        grant.amount,
        grant.priority,
        expires_ms,
        reach_id=reach_id,
    )
    return row, grant_id


async def _prepare_clawback(
    connection: Connection, account_id: int, clawback: Clawback
) -> tuple[_Row | None, int]:
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
    row = _Row(
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


async def _prepare_enter(
    connection: Connection, account_id: int, enter: Enter
) -> tuple[_Row | None, int]:
    grant = await connection.fetchrow(_SQL.lock_grant, account_id, enter.grant_id)
    if grant is None:
        raise NotFound(f"this account has no grant {enter.grant_id}")
    if grant["state"] not in ("scheduled", "queued"):
        raise Conflict("not-waiting", f"grant {enter.grant_id} is {grant['state']}")
    await connection.execute(_SQL.enter_grant, enter.grant_id)
    row = _Row(
        "e",
        grant["credit_type_id"],
        enter.grant_id,
        grant["amount"] - grant["clawed"],
        grant["priority"],
        grant["expires_ms"],
        reach_id=grant["reach_id"],
    )
    return row, enter.grant_id


def _request(control: Control, reach: int) -> str:
    """Say what a repeat must have in common with the first; words and times may differ."""
    match control:
        case Grant():
            limit = f" limited {reach}" if reach else ""
            return f"grant {control.kind} {control.credit_type_id} {control.amount}{limit}"
        case Clawback():
            return f"clawback {control.credit_type_id} {control.amount} {control.grant_id}"
        case Freeze():
            return f"freeze {control.frozen}"
        case KeyPut():
            return f"key {control.key_id} {control.scopes} {control.active} {control.expires_ms}"
        case PlanPut():
            return f"plan {control.number}"
        case CapPut():
            return f"cap {control.key_id} {control.credit_type_id} {control.per} {control.units}"
        case Spent():
            place = f"{control.key_id} {control.credit_type_id} {control.per} {control.ends_ms}"
            return f"spent {place} {control.units}"
        case Enter():
            return f"enter {control.grant_id}"
