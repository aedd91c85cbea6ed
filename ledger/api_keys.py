"""
API keys: made once, kept as a hash, known to Redis through controls.

A secret is `fbx_`, 43 base-62 characters of 32 random bytes, and 6 of a checksum, so that a
mistyped or cut key is refused without asking a store, and leaked ones can be searched for.
"""

import hashlib
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger import audit, controls
from ledger.controls import KeyPut
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.facts import NEVER
from ledger.ids import account_text, key_text
from ledger.inputs import clean_text, to_ms

SECRET_PREFIX = "fbx_"  # noqa: S105 - what every key begins with
SHOWN_CHARACTERS = 12
SECRET_CHARACTERS = 53
CALL = 1
MANAGE = 2
ALL_SCOPES = CALL | MANAGE

ACTIVE = 1
REVOKED = 2

MAX_KEYS = 1_000
"""Usable keys per account: all of them are loaded into Redis in one call."""

MAX_OVERLAP_S = 90 * 86_400

RandomBytes = Callable[[int], bytes]

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_BYTES = 32
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_SQL = Queries("api_keys")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row. status: 1 active, 2 revoked. expires_ms: milliseconds since 1970."""

    id: int
    account_id: int
    name: str
    prefix: str
    scopes: int
    status: int
    expires_ms: int
    replaces: int | None
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. The secret is nowhere else and cannot be shown again."""

    key: ApiKey
    secret: str
    cseq: int

    def __repr__(self) -> str:
        """Without the secret: this may end in a log."""
        return f"NewKey({self.key!r}, cseq={self.cseq})"


def new_secret(random_bytes: RandomBytes) -> str:
    """Return a new secret; `random_bytes` is `secrets.token_bytes` outside of tests."""
    body = _base62(int.from_bytes(random_bytes(_RANDOM_BYTES), "big"), _RANDOM_CHARACTERS)
    return SECRET_PREFIX + body + _checksum(SECRET_PREFIX + body)


def check_secret(text: str) -> bytes | None:
    """Return the secret's sha256, or None when it cannot be a key (length, checksum)."""
    if len(text) != SECRET_CHARACTERS or not text.startswith(SECRET_PREFIX) or not text.isascii():
        return None
    if _checksum(text[:-_CHECKSUM_CHARACTERS]) != text[-_CHECKSUM_CHARACTERS:]:
        return None
    return hashlib.sha256(text.encode()).digest()


async def create(
    connection: Connection,
    account_id: int,
    *,
    actor: str,
    random_bytes: RandomBytes,
    name: str = "",
    scopes: int = CALL,
    expires_at: datetime | None = None,
) -> NewKey:
    """
    Make a key; it works once its control is applied.

    Args:
        connection: To Postgres.
        account_id: Whose key.
        actor: Who makes it.
        random_bytes: Where its randomness comes from.
        name: For people.
        scopes: CALL, MANAGE or both.
        expires_at: When it ends by itself.

    Raises:
        NotFound: No such account.
        InvalidInput: Bad scopes, or a time that has passed.
        Conflict: `too-many-keys`. Nothing changed.

    """
    expires_ms = NEVER if expires_at is None else to_ms(expires_at)
    async with connection.transaction():
        made = await _make(
            connection,
            account_id,
            random_bytes,
            actor,
            name=name,
            scopes=scopes,
            expires_ms=expires_ms,
        )
        await _audited(connection, actor, "key.create", made.key)
    return made


async def rotate(
    connection: Connection,
    key_id: int,
    *,
    actor: str,
    random_bytes: RandomBytes,
    overlap_s: int = 0,
) -> NewKey:
    """
    Make a key in place of another, which works for `overlap_s` seconds more (0: revoked).

    Raises:
        NotFound: No such key.
        InvalidInput: The overlap is not 0 to 90 days.
        Conflict: `key-revoked`, `key-expired`. Nothing changed.

    """
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise InvalidInput("overlap_s", f"0 to {MAX_OVERLAP_S}")
    async with connection.transaction():
        old = await locked(connection, key_id)
        if old.status == REVOKED:
            raise Conflict("key-revoked", f"{key_text(key_id)} is revoked: create another")
        if await connection.fetchval(_SQL.has_ended, key_id):
            raise Conflict("key-expired", f"{key_text(key_id)} has expired: create another")
        made = await _make(
            connection,
            old.account_id,
            random_bytes,
            actor,
            name=old.name,
            scopes=old.scopes,
            expires_ms=old.expires_ms,
            replaces=old.id,
        )
        if overlap_s == 0:
            cseq = await _revoke(connection, old, actor)
        else:
            changed = _key(await connection.fetchrow(_SQL.end_later, key_id, overlap_s))
            cseq = await _ordered(connection, changed, actor)
        await _audited(connection, actor, "key.rotate", made.key, overlap_s=overlap_s)
    return NewKey(made.key, made.secret, cseq)


async def rename(connection: Connection, key_id: int, name: str, *, actor: str) -> ApiKey:
    """
    Give a key another name, revoked ones too. A repeat changes nothing and is not in the audit.

    Raises:
        NotFound: No such key.
        InvalidInput: A name that cannot be kept.

    """
    name = clean_text("name", name)
    async with connection.transaction():
        key = await locked(connection, key_id)
        if key.name == name:
            return key
        renamed = _key(await connection.fetchrow(_SQL.rename, key_id, name))
        await _audited(connection, actor, "key.rename", renamed, before=key.name)
    return renamed


async def revoke(connection: Connection, key_id: int, *, actor: str) -> tuple[ApiKey, int | None]:
    """
    Revoke a key; calls are refused once the control is applied.

    Returns:
        The key, and the control's number; None when it was revoked already.

    Raises:
        NotFound: No such key.

    """
    async with connection.transaction():
        key = await locked(connection, key_id)
        if key.status == REVOKED:
            return key, None
        cseq = await _revoke(connection, key, actor)
        await _audited(connection, actor, "key.revoke", key)
        return await get(connection, key_id), cseq


async def find(connection: Connection, sha256: bytes) -> ApiKey | None:
    """Return the key with this hash, whatever its state; None if there never was one."""
    row = await connection.fetchrow(_SQL.by_sha256, sha256)
    return None if row is None else _key(row)


async def get(connection: Connection, key_id: int) -> ApiKey:
    """
    Return the key with this number.

    Raises:
        NotFound: There is none.

    """
    row = await connection.fetchrow(_SQL.by_id, key_id)
    if row is None:
        raise NotFound(f"no key {key_text(key_id)}")
    return _key(row)


async def of_account(connection: Connection, account_id: int) -> list[ApiKey]:
    """Return the account's newest 1,000 keys, newest first, revoked ones too."""
    rows = await connection.fetch(_SQL.of_account, account_id, MAX_KEYS)
    return [_key(row) for row in rows]


async def _make(
    connection: Connection,
    account_id: int,
    random_bytes: RandomBytes,
    actor: str,
    *,
    name: str,
    scopes: int,
    expires_ms: int,
    replaces: int | None = None,
) -> NewKey:
    if not CALL <= scopes <= ALL_SCOPES:
        raise InvalidInput("scopes", "call, manage or both")
    secret = new_secret(random_bytes)
    usable = await connection.fetchrow(_SQL.lock_and_count, account_id)
    if usable is None:
        raise NotFound(f"no account {account_text(account_id)}")
    if usable["keys"] >= MAX_KEYS:
        raise Conflict("too-many-keys", f"at most {MAX_KEYS} usable keys: revoke some")
    if expires_ms <= usable["now_ms"]:
        raise InvalidInput("expires_at", "must be in the future")
    row = await connection.fetchrow(
        _SQL.create,
        account_id,
        clean_text("name", name),
        secret[:SHOWN_CHARACTERS],
        hashlib.sha256(secret.encode()).digest(),
        scopes,
        min(expires_ms, NEVER),
        replaces,
    )
    key = _key(row)
    return NewKey(key, secret, await _ordered(connection, key, actor))


async def locked(connection: Connection, key_id: int) -> ApiKey:
    """Read a key under its account's lock, which posting and controls take first too."""
    if not await connection.fetchval(_SQL.lock_account_of, key_id):
        raise NotFound(f"no key {key_text(key_id)}")
    return await get(connection, key_id)


async def _revoke(connection: Connection, key: ApiKey, actor: str) -> int:
    row = await connection.fetchrow(_SQL.revoke, key.id)
    return await _ordered(connection, _key(row), actor)


async def _ordered(connection: Connection, key: ApiKey, actor: str) -> int:
    put = KeyPut(key.id, key.scopes, active=key.status == ACTIVE, expires_ms=key.expires_ms)
    added = await controls.add(connection, key.account_id, put, "key", None, actor)
    assert added.cseq is not None  # a KeyPut always makes a control
    return added.cseq


def _key(row: Any) -> ApiKey:
    return ApiKey(**row)


async def _audited(
    connection: Connection, actor: str, action: str, key: ApiKey, **more: object
) -> None:
    detail = {
        "account": account_text(key.account_id),
        "prefix": key.prefix,
        "name": key.name,
        "scopes": key.scopes,
        "replaces": None if key.replaces is None else key_text(key.replaces),
        **more,
    }
    await audit.write(connection, actor, action, key_text(key.id), detail)


def _base62(number: int, characters: int) -> str:
    digits = []
    for _ in range(characters):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_CHARACTERS)
