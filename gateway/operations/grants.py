"""Credits put in by an admin, and corrections of a balance by hand."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from gateway.models import MAX_AMOUNT, Amount, Answer, GivenBody, LongText, Text, Time
from gateway.operations.credit_types import chosen
from gateway.operations.desk import Desk
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import accounts, controls, credit_types, grants
from ledger.database import Connection
from ledger.ids import account_text, grant_text

Kind = Literal["purchase", "subscription", "promotion", "adjustment"]
KINDS = get_args(Kind)

CreditTypeName = Annotated[
    str | None, Field(description="May be left out where there is only one.")
]
Reference = Annotated[
    Text | None,
    Field(description="Your own name for this: a repeat with the same one changes nothing."),
]


class GrantDraft(GivenBody):
    """Credits to put in."""

    credit_type: CreditTypeName = None
    amount: Amount
    kind: Kind = "promotion"
    priority: Annotated[int, Field(ge=0, le=255, description="Lower is used up first.")] = 100
    effective_at: Annotated[Time | None, Field(description="Enters then; null: now.")] = None
    expires_at: Annotated[Time | None, Field(description="What is left then is lost.")] = None
    description: Annotated[str, Field(max_length=1_000)] = ""
    reference: Reference = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Adjustment(GivenBody):
    """A correction: credits put in, or (below 0) taken, as debt where too few are left."""

    credit_type: CreditTypeName = None
    amount: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, description="Not 0.")]
    reason: LongText
    reference: Reference = None


class GrantRow(Answer):
    """Credits put in, and what became of them."""

    id: str
    account: str
    credit_type: str
    scale: int
    kind: str
    state: Annotated[
        str,
        Field(
            description="scheduled, pending, queued, live, spent, expired or clawed; 32 may be live"
        ),
    ]
    amount: int
    remaining: Annotated[int, Field(description="Left, as far as posted.")]
    held: int
    priority: int
    effective_at: Time | None
    expires_at: Time | None
    charge: Annotated[str | None, Field(description="What a refund gave back.")]
    description: str
    reference: str | None
    metadata: dict[str, Any]
    actor: str
    created_at: Time
    display: Display


class GrantAnswer(GrantRow):
    """Credits just put in; `applied` false: they can be spent as soon as Redis answers."""

    repeated: Annotated[bool, Field(description="The reference was used before: nothing changed.")]
    applied: bool


class GrantPage(Answer):
    """An account's grants, newest first."""

    items: list[GrantRow]
    next: str | None


class Ending(Answer):
    """Credits that are left and will end."""

    grant: str
    credit_type: str
    scale: int
    kind: str
    description: str
    remaining: Annotated[int, Field(description="Left, as far as posted.")]
    expires_at: Time
    display: Display


class EndingList(Answer):
    """The first of them that will end, at most 50."""

    items: list[Ending]


class AdjustmentAnswer(Answer):
    """A correction; `applied` false: it is in force as soon as Redis answers."""

    account: str
    credit_type: str
    scale: int
    amount: int
    reason: str
    reference: str | None
    repeated: bool
    applied: bool
    display: Display


async def grant(desk: Desk, account: str, draft: GrantDraft) -> GrantAnswer:
    """Put credits in; a repeated reference is answered as the first time."""
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        credit_type = chosen(await credit_types.every(connection), draft.credit_type)
        added = await grants.give(
            connection,
            owner.id,
            control_of(draft, credit_type.id),
            actor=desk.actor,
            reference=draft.reference,
        )
    applied = await desk.push(owner.id, added.cseq)
    return await granted(desk, added.object_id, repeated=added.repeated, applied=applied)


def control_of(draft: GrantDraft, credit_type_id: int) -> controls.Grant:
    """Return a draft as the ledger takes it."""
    return controls.Grant(
        credit_type_id,
        draft.amount,
        kind=draft.kind,
        priority=draft.priority,
        effective_at=draft.effective_at,
        expires_at=draft.expires_at,
        description=draft.description,
        metadata=draft.metadata,
    )


async def granted(desk: Desk, grant_id: int, *, repeated: bool, applied: bool) -> GrantAnswer:
    """Return a grant as it stands after a change."""
    async with desk.ledger.database.connection() as connection:
        row = await grants.get(connection, grant_id)
        scales = await _scales(connection)
    return GrantAnswer(**_fields(row, scales[row.credit_type]), repeated=repeated, applied=applied)


async def listed(desk: Desk, account: str, query: PageQuery) -> GrantPage:
    """Return a page of an account's grants, newest first."""
    before = unpack_number("grants", query.cursor)
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        rows = await grants.of_account(connection, owner.id, before=before, limit=query.limit)
        scales = await _scales(connection)
    return GrantPage(
        items=[GrantRow(**_fields(row, scales[row.credit_type])) for row in rows],
        next=pack_cursor("grants", rows[-1].id) if len(rows) == query.limit else None,
    )


async def ending(desk: Desk, account: str) -> EndingList:
    """Return what is left of an account's grants that will end, the first to end first."""
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        rows = await grants.ending(connection, owner.id)
        scales = await _scales(connection)
    return EndingList(items=[_ending(row, scales[row.credit_type]) for row in rows])


async def adjust(desk: Desk, account: str, change: Adjustment) -> AdjustmentAnswer:
    """Correct a balance by hand, with a reason that its owner sees."""
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        credit_type = chosen(await credit_types.every(connection), change.credit_type)
        added = await grants.adjust(
            connection,
            owner.id,
            credit_type.id,
            change.amount,
            reason=change.reason,
            actor=desk.actor,
            reference=change.reference,
        )
    return AdjustmentAnswer(
        account=account_text(owner.id),
        credit_type=credit_type.name,
        scale=credit_type.scale,
        amount=change.amount,
        reason=change.reason,
        reference=change.reference,
        repeated=added.repeated,
        applied=await desk.push(owner.id, added.cseq),
        display=display(credit_type.scale, {"amount": change.amount}),
    )


async def _scales(connection: Connection) -> dict[str, int]:
    return {row.name: row.scale for row in await credit_types.every(connection)}


def _ending(row: grants.GrantRow, scale: int) -> Ending:
    assert row.expires_at is not None, "asked for by that"
    return Ending(
        grant=grant_text(row.id),
        credit_type=row.credit_type,
        scale=scale,
        kind=row.kind,
        description=row.description,
        remaining=row.remaining,
        expires_at=row.expires_at,
        display=display(scale, {"remaining": row.remaining}),
    )


def _fields(row: grants.GrantRow, scale: int) -> dict[str, Any]:
    amounts = {"amount": row.amount, "remaining": row.remaining, "held": row.held}
    reference, metadata = row.reference, dict(row.metadata)
    if row.charge_id is not None:
        # A refund's is unique per charge, not per account, so the ledger keeps it elsewhere.
        reference = metadata.pop("reference", None)
    return {
        **amounts,
        "id": grant_text(row.id),
        "account": account_text(row.account_id),
        "credit_type": row.credit_type,
        "scale": scale,
        "kind": row.kind,
        "state": row.state,
        "priority": row.priority,
        "effective_at": row.effective_at,
        "expires_at": row.expires_at,
        "charge": None if row.charge_id is None else row.charge_id.hex(),
        "description": row.description,
        "reference": reference,
        "metadata": metadata,
        "actor": row.actor,
        "created_at": row.created_at,
        "display": display(scale, amounts),
    }
