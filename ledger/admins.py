"""Named admins, single-use sign-in links, and sessions of pages. Tokens are kept as hashes."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ledger import audit
from ledger.api_keys import RandomBytes
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from ledger.ids import account_text
from ledger.inputs import clean_text

ROOT = "root"
"""The admin whose token comes from the settings."""

TOKEN_PREFIX = "fba_"  # noqa: S105 - what every admin's token begins with
MIN_TOKEN_CHARACTERS = 16
LINK_MINUTES = 10
SESSION_HOURS = 12
ADMIN_SESSION_HOURS = 4
"""Who may change everything signs in again after a meal; a session left open ends by itself."""

_TOKEN_BYTES = 32
_SQL = Queries("admins")


@dataclass(frozen=True, slots=True)
class Admin:
    """A person (or program) whose name stands beside what it changes."""

    id: int
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class PageSession:
    """
    Who looks at pages: an account's owner or an admin, never both.

    `key_id`: the API key that the session began with, which it ends with; None after a link.
    """

    account_id: int | None
    admin_id: int | None
    expires_at: datetime
    key_id: int | None = None


async def create(
    connection: Connection, name: str, *, actor: str, random_bytes: RandomBytes
) -> tuple[Admin, str]:
    """
    Make an admin and return it with its token, which is nowhere else.

    Raises:
        InvalidInput: A name that cannot be kept, or `root`.
        Conflict: `admin-exists`. Nothing changed.

    """
    name = clean_text("name", name, 60, least=1)
    if name == ROOT:
        raise InvalidInput("name", f"{ROOT} is the admin of FAREBOX_ADMIN_TOKEN")
    token = TOKEN_PREFIX + random_bytes(_TOKEN_BYTES).hex()
    async with connection.transaction():
        try:
            row = await connection.fetchrow(_SQL.create, name, digest(token))
        except asyncpg.UniqueViolationError as used:
            raise Conflict("admin-exists", f"there is an admin {name}") from used
        await audit.write(connection, actor, "admin.create", name, {})
    return Admin(**row), token


async def put_root(connection: Connection, token: str) -> Admin:
    """
    Let this token be the one of `root`; the one before, and what it opened, are good no longer.

    A repeat is harmless.

    Raises:
        InvalidInput: Shorter than 16 characters.
        Conflict: `token-used`: it is another admin's.

    """
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise InvalidInput("FAREBOX_ADMIN_TOKEN", f"at least {MIN_TOKEN_CHARACTERS} characters")
    async with connection.transaction():
        try:
            row = await connection.fetchrow(_SQL.put_root, ROOT, digest(token))
        except asyncpg.UniqueViolationError as used:
            raise Conflict("token-used", "FAREBOX_ADMIN_TOKEN is another admin's token") from used
        if row is not None:
            await connection.execute(_SQL.end_sessions_of, row["id"])
            await audit.write(connection, ROOT, "admin.token", ROOT, {})
            return Admin(**row)
        return Admin(**await connection.fetchrow(_SQL.by_name, ROOT))


async def revoke(connection: Connection, name: str, *, actor: str) -> Admin:
    """
    Refuse an admin's token from now on, and end their sessions. A repeat changes nothing.

    Raises:
        NotFound: No such admin.
        Conflict: `root-stays`: the next start of a gateway would let root in again.

    """
    if name == ROOT:
        raise Conflict(
            "root-stays",
            f"{ROOT}'s token is the one of FAREBOX_ADMIN_TOKEN or the data folder: "
            "change it there and start farebox serve again",
        )
    async with connection.transaction():
        row = await connection.fetchrow(_SQL.revoke, name)
        if row is not None:
            await connection.execute(_SQL.end_sessions_of, row["id"])
            await audit.write(connection, actor, "admin.revoke", name, {})
            return Admin(**row)
        known = await connection.fetchrow(_SQL.by_name, name)
        if known is None:
            raise NotFound(f"no admin {name}")
        return Admin(**known)


async def of_token(connection: Connection, token: str) -> Admin | None:
    """Return the admin with this token; None if there is none, or it was revoked."""
    hashed = digest(token)
    row = await connection.fetchrow(_SQL.by_token, hashed)
    if row is None or not hmac.compare_digest(row["token_sha256"], hashed):
        return None
    return _admin(row)


async def every(connection: Connection) -> list[Admin]:
    """All admins there ever were, by number."""
    return [Admin(**row) for row in await connection.fetch(_SQL.every)]


async def new_link(
    connection: Connection, account_id: int, *, actor: str, random_bytes: RandomBytes
) -> str:
    """
    Make the token of a sign-in link: once, within ten minutes, to this account's pages.

    Raises:
        NotFound: No such account.

    """
    token = random_bytes(_TOKEN_BYTES).hex()
    async with connection.transaction():
        try:
            await connection.execute(_SQL.new_link, digest(token), account_id, LINK_MINUTES)
        except asyncpg.ForeignKeyViolationError as unknown:
            raise NotFound(f"no account {account_text(account_id)}") from unknown
        await audit.write(connection, actor, "account.sign-in", account_text(account_id), {})
    return token


async def use_link(
    connection: Connection, token: str, *, random_bytes: RandomBytes
) -> tuple[int, str] | None:
    """Trade a link's token for (account, session token); None if used, too old or unknown."""
    session = random_bytes(_TOKEN_BYTES).hex()
    async with connection.transaction():
        account_id = await connection.fetchval(_SQL.use_link, digest(token))
        if account_id is None:
            return None
        await connection.execute(_SQL.new_session, digest(session), account_id, None, SESSION_HOURS)
    return account_id, session


async def new_key_session(
    connection: Connection, account_id: int, key_id: int, *, random_bytes: RandomBytes
) -> str:
    """Return the token of a new session that this key of the account began, and ends with."""
    token = random_bytes(_TOKEN_BYTES).hex()
    await connection.execute(_SQL.new_key_session, digest(token), account_id, key_id, SESSION_HOURS)
    return token


async def sign_in(
    connection: Connection, token: str, *, random_bytes: RandomBytes
) -> tuple[Admin, str] | None:
    """
    Open a session of the admin's pages for this admin's token.

    Returns:
        The admin, and the session's token; None where `of_token` knows nobody.

    """
    session = random_bytes(_TOKEN_BYTES).hex()
    async with connection.transaction():
        row = await connection.fetchrow(
            _SQL.sign_in, digest(token), digest(session), ADMIN_SESSION_HOURS
        )
        if row is None:
            return None
        await audit.write(connection, row["name"], "admin.sign-in", row["name"], {})
    return Admin(**row), session


async def admin_of_session(connection: Connection, token: str) -> Admin | None:
    """Return whose session of the admin's pages this is; None if it is over, or was revoked."""
    row = await connection.fetchrow(_SQL.admin_of_session, digest(token))
    return None if row is None else Admin(**row)


async def session_of(connection: Connection, token: str) -> PageSession | None:
    """Return the session with this token; None if there is none, or it is over."""
    row = await connection.fetchrow(_SQL.session_of, digest(token))
    return None if row is None else PageSession(**row)


async def end_session(connection: Connection, token: str) -> None:
    """End a session. A repeat is harmless."""
    await connection.execute(_SQL.end_session, digest(token))


async def sweep(connection: Connection) -> None:
    """Forget links and sessions that are over."""
    await connection.execute(_SQL.sweep_links)
    await connection.execute(_SQL.sweep_sessions)


def digest(token: str) -> bytes:
    """Return the sha256 under which a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _admin(row: Any) -> Admin:
    return Admin(row["id"], row["name"], row["created_at"], row["revoked_at"])
