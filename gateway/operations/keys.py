"""API keys: made and shown once, rotated with an overlap, revoked at once."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.models import Answer, GivenBody, Time
from gateway.operations.desk import Desk
from gateway.operations.shown import milliseconds, moment
from ledger import accounts, api_keys
from ledger.database import Connection
from ledger.errors import NotFound
from ledger.ids import account_text, key_text, parse_key

Scope = Literal["call", "manage"]
Name = Annotated[str, Field(max_length=200, description="To tell keys apart.")]

SCOPES: dict[Scope, int] = {"call": api_keys.CALL, "manage": api_keys.MANAGE}


class KeyDraft(GivenBody):
    """A new key."""

    name: Name = ""
    scopes: list[Scope] = Field(
        default_factory=lambda: list[Scope](["call"]), min_length=1, max_length=2
    )
    expires_at: Time | None = None


class Rotation(GivenBody):
    """How a key is replaced."""

    overlap_s: Annotated[
        int,
        Field(ge=0, le=api_keys.MAX_OVERLAP_S, description="Seconds the old key still works."),
    ] = 24 * 3600


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
    async with desk.ledger.database.connection() as connection:
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
    return await _made(desk, made)


async def rotate(desk: Desk, key: str, rotation: Rotation, owner: int | None = None) -> KeyMade:
    """Make a key that replaces another; `owner` limits it to an account's own keys."""
    number = _number(key)
    async with desk.ledger.database.connection() as connection:
        await _owned(connection, number, owner)
        made = await api_keys.rotate(
            connection,
            number,
            actor=desk.actor,
            random_bytes=desk.random_bytes,
            overlap_s=rotation.overlap_s,
        )
    return await _made(desk, made)


async def revoke(desk: Desk, key: str, owner: int | None = None) -> KeyChanged:
    """Refuse a key from its next request on; `owner` limits it to an account's own keys."""
    number = _number(key)
    async with desk.ledger.database.connection() as connection:
        await _owned(connection, number, owner)
        gone, cseq = await api_keys.revoke(connection, number, actor=desk.actor)
    return KeyChanged(**_fields(gone), applied=await desk.push(gone.account_id, cseq))


async def listed(desk: Desk, account: str) -> KeyList:
    """Return an account's keys, newest first, revoked ones too."""
    async with desk.ledger.database.connection() as connection:
        owner = await accounts.find(connection, account)
        found = await api_keys.of_account(connection, owner.id)
    return KeyList(items=[KeyRow(**_fields(key)) for key in found])


async def _made(desk: Desk, made: api_keys.NewKey) -> KeyMade:
    applied = await desk.push(made.key.account_id, made.cseq)
    return KeyMade(**_fields(made.key), key=made.secret, applied=applied)


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


def _fields(key: api_keys.ApiKey) -> dict[str, Any]:
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
    }
