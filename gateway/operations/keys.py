"""API keys: made and shown once, rotated with an overlap, capped, revoked at once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.models import Answer, GivenBody, Time
from gateway.operations.credit_types import chosen
from gateway.operations.desk import Desk
from gateway.operations.grants import CreditTypeName
from gateway.operations.shown import Display, display, milliseconds, moment
from ledger import accounts, api_keys, credit_types, key_caps
from ledger.database import Connection
from ledger.errors import NotFound
from ledger.facts import MAX_AMOUNT
from ledger.ids import account_text, key_text, parse_key
from ledger.limits import Per

Scope = Literal["call", "manage"]
Name = Annotated[str, Field(max_length=200, description="To tell keys apart.")]

SCOPES: dict[Scope, int] = {"call": api_keys.CALL, "manage": api_keys.MANAGE}


class CapDraft(GivenBody):
    """The most a key may spend of a credit type in each window."""

    credit_type: CreditTypeName = None
    per: Annotated[Per, Field(description="A day or month of the calendar, in UTC; or for ever.")]
    amount: Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="Smallest units.")]


CapDrafts = Annotated[list[CapDraft], Field(max_length=key_caps.MOST_CAPS)]


class CapsDraft(GivenBody):
    """All caps of a key."""

    caps: CapDrafts


class KeyDraft(GivenBody):
    """A new key."""

    name: Name = ""
    scopes: list[Scope] = Field(
        default_factory=lambda: list[Scope](["call"]), min_length=1, max_length=2
    )
    expires_at: Time | None = None
    caps: CapDrafts = Field(default_factory=list[CapDraft])


class KeyName(GivenBody):
    """What a key is to be called."""

    name: Name


class Rotation(GivenBody):
    """How a key is replaced."""

    overlap_s: Annotated[
        int,
        Field(ge=0, le=api_keys.MAX_OVERLAP_S, description="Seconds the old key still works."),
    ] = 24 * 3600


class CapRow(Answer):
    """A cap, and what was spent in its window since it was set: held or captured, as posted."""

    credit_type: str
    scale: int
    per: Per
    amount: int
    spent: int
    display: Display


class KeyRow(Answer):
    """A key, without its secret."""

    id: str
    account: str
    name: str
    prefix: Annotated[str, Field(description="The first characters of the secret.")]
    scopes: list[Scope]
    status: Literal["active", "expired", "revoked"]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    replaces: str | None
    caps: list[CapRow]


class KeyChanged(KeyRow):
    """A key after a change; `applied` false: in force as soon as Redis answers."""

    applied: bool


class KeyMade(KeyChanged):
    """A new key with its secret, which is shown this once."""

    key: str


class KeyList(Answer):
    """All keys of an account, newest first."""

    items: list[KeyRow]


async def create(desk: Desk, account: str, draft: KeyDraft) -> KeyMade:
    """Make a key for an account."""
    async with desk.ledger.database.connection() as connection, connection.transaction():
        owner = await accounts.find(connection, account)
        made = await api_keys.create(
            connection,
            owner.id,
            actor=desk.actor,
            random_bytes=desk.random_bytes,
            name=draft.name,
            scopes=sum(SCOPES[scope] for scope in set(draft.scopes)),
            expires_at=draft.expires_at,
        )
        wanted = await _caps(connection, draft.caps)
        _, cseq = await key_caps.put(connection, made.key.id, wanted, actor=desk.actor)
    return await _made(desk, made, cseq)


async def rotate(desk: Desk, key: str, rotation: Rotation, owner: int | None = None) -> KeyMade:
    """Make a key that replaces another; `owner` limits it to an account's own keys."""
    number = _number(key)
    async with desk.ledger.database.connection() as connection, connection.transaction():
        await _owned(connection, number, owner)
        made = await api_keys.rotate(
            connection,
            number,
            actor=desk.actor,
            random_bytes=desk.random_bytes,
            overlap_s=rotation.overlap_s,
        )
        kept = [one.cap for one in (await _standing(connection, made.key)).get(number, ())]
        _, cseq = await key_caps.put(connection, made.key.id, kept, actor=desk.actor)
    return await _made(desk, made, cseq)


async def put_caps(
    desk: Desk, key: str, draft: CapsDraft, *, owner: int | None = None, of_type: int | None = None
) -> KeyChanged:
    """
    Give a key these caps and no others.

    `owner` limits it to an account's own keys. With `of_type` caps of other types stay.
    """
    number = _number(key)
    async with desk.ledger.database.connection() as connection:
        await _owned(connection, number, owner)
        wanted = await _caps(connection, draft.caps)
        capped, cseq = await key_caps.put(
            connection, number, wanted, actor=desk.actor, of_type=of_type
        )
        shown = await _shown(connection, capped)
    return KeyChanged(**shown, applied=await desk.push(capped.account_id, cseq))


async def rename(desk: Desk, key: str, draft: KeyName, *, owner: int | None = None) -> KeyChanged:
    """Give a key another name; `owner` limits it to an account's own keys."""
    number = _number(key)
    async with desk.ledger.database.connection() as connection:
        await _owned(connection, number, owner)
        renamed = await api_keys.rename(connection, number, draft.name, actor=desk.actor)
        shown = await _shown(connection, renamed)
    return KeyChanged(**shown, applied=True)


async def revoke(desk: Desk, key: str, owner: int | None = None) -> KeyChanged:
    """Refuse a key from its next request on; `owner` limits it to an account's own keys."""
    number = _number(key)
    async with desk.ledger.database.connection() as connection:
        await _owned(connection, number, owner)
        gone, cseq = await api_keys.revoke(connection, number, actor=desk.actor)
        shown = await _shown(connection, gone)
    return KeyChanged(**shown, applied=await desk.push(gone.account_id, cseq))


async def listed(desk: Desk, account: str) -> KeyList:
    """Return an account's keys, newest first, revoked ones too."""
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        found = await api_keys.of_account(connection, owner.id)
        caps = await key_caps.of_account(connection, owner.id, milliseconds(datetime.now(UTC)))
        types = await credit_types.every(connection)
    rows = (_fields(key, _cap_rows(caps.get(key.id, ()), types)) for key in found)
    return KeyList(items=[KeyRow(**row) for row in rows])


async def _made(desk: Desk, made: api_keys.NewKey, capped: int | None) -> KeyMade:
    applied = await desk.push(made.key.account_id, capped or made.cseq)
    async with desk.ledger.database.connection() as connection:
        shown = await _shown(connection, made.key)
    return KeyMade(**shown, key=made.secret, applied=applied)


async def _caps(connection: Connection, drafts: Sequence[CapDraft]) -> list[key_caps.Cap]:
    types = await credit_types.every(connection) if drafts else []
    return [
        key_caps.Cap(chosen(types, draft.credit_type).id, draft.per, draft.amount)
        for draft in drafts
    ]


async def _standing(
    connection: Connection, key: api_keys.ApiKey
) -> dict[int, list[key_caps.CapStanding]]:
    now_ms = milliseconds(datetime.now(UTC))
    return await key_caps.of_account(connection, key.account_id, now_ms)


async def _shown(connection: Connection, key: api_keys.ApiKey) -> dict[str, Any]:
    standing = (await _standing(connection, key)).get(key.id, ())
    types = await credit_types.every(connection) if standing else []
    return _fields(key, _cap_rows(standing, types))


def _cap_rows(
    standing: Sequence[key_caps.CapStanding], types: Sequence[credit_types.CreditTypeRow]
) -> list[CapRow]:
    known = {row.id: row for row in types}
    rows = []
    for cap, spent in standing:
        of = known[cap.credit_type_id]
        shown = display(of.scale, {"amount": cap.units, "spent": spent})
        rows.append(
            CapRow(
                credit_type=of.name,
                scale=of.scale,
                per=cap.per,
                amount=cap.units,
                spent=spent,
                display=shown,
            )
        )
    return rows


def _number(key: str) -> int:
    number = parse_key(key)
    if number is None:
        # What was sent is not repeated: it may be a secret in the wrong place.
        raise NotFound("no such key; keys are named by their id, like key_7")
    return number


async def _owned(connection: Connection, number: int, owner: int | None) -> None:
    if owner is not None and (await api_keys.get(connection, number)).account_id != owner:
        raise NotFound(f"no key {key_text(number)}")


def _status(key: api_keys.ApiKey) -> str:
    if key.status == api_keys.REVOKED:
        return "revoked"
    return "expired" if key.expires_ms <= milliseconds(datetime.now(UTC)) else "active"


def _fields(key: api_keys.ApiKey, caps: list[CapRow]) -> dict[str, Any]:
    return {
        "id": key_text(key.id),
        "account": account_text(key.account_id),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope for scope, bit in SCOPES.items() if key.scopes & bit],
        "status": _status(key),
        "created_at": key.created_at,
        "expires_at": moment(key.expires_ms),
        "revoked_at": key.revoked_at,
        "replaces": None if key.replaces is None else key_text(key.replaces),
        "caps": caps,
    }
