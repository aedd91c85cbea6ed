"""Named admins, and what they did."""

from typing import Annotated, Any

from pydantic import Field

from gateway.models import Answer, GivenBody, Time
from gateway.operations.desk import Desk
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import admins, audit


class AdminDraft(GivenBody):
    """A new admin."""

    name: Annotated[str, Field(min_length=1, max_length=60)]


class AdminRow(Answer):
    """An admin, without the token."""

    name: str
    created_at: Time
    revoked_at: Time | None


class AdminMade(AdminRow):
    """A new admin with the token, which is shown this once."""

    token: str


class AdminList(Answer):
    """All admins there ever were."""

    items: list[AdminRow]


class AuditQuery(PageQuery):
    """Which changes."""

    actor: Annotated[str | None, Field(max_length=200, description="Who did it.")] = None
    target: Annotated[
        str | None, Field(max_length=200, description="To what, like acc_12 or key_7.")
    ] = None


class AuditRow(Answer):
    """A change: `actor` did `action` to `target`."""

    id: int
    at: Time
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


class AuditPage(Answer):
    """A page of changes, newest first."""

    items: list[AuditRow]
    next: str | None


async def create(desk: Desk, draft: AdminDraft) -> AdminMade:
    """Make an admin."""
    async with desk.ledger.database.connection() as connection:
        made, token = await admins.create(
            connection, draft.name, actor=desk.actor, random_bytes=desk.random_bytes
        )
    return AdminMade(**_fields(made), token=token)


async def revoke(desk: Desk, name: str) -> AdminRow:
    """Refuse an admin's token from now on."""
    async with desk.ledger.database.connection() as connection:
        return AdminRow(**_fields(await admins.revoke(connection, name, actor=desk.actor)))


async def listed(desk: Desk) -> AdminList:
    """Return all admins."""
    async with desk.ledger.database.connection() as connection:
        return AdminList(
            items=[AdminRow(**_fields(admin)) for admin in await admins.every(connection)]
        )


async def changes(desk: Desk, query: AuditQuery) -> AuditPage:
    """Return a page of what admins, commands and keys changed, newest first."""
    before = unpack_number("audit", query.cursor)
    async with desk.ledger.database.connection() as connection:
        rows = await audit.rows(
            connection, actor=query.actor, target=query.target, before=before, limit=query.limit
        )
    return AuditPage(
        items=[
            AuditRow(
                id=row.id,
                at=row.at,
                actor=row.actor,
                action=row.action,
                target=row.target,
                detail=row.detail,
            )
            for row in rows
        ],
        next=pack_cursor("audit", rows[-1].id) if len(rows) == query.limit else None,
    )


def _fields(admin: admins.Admin) -> dict[str, Any]:
    return {
        "name": admin.name,
        "created_at": admin.created_at,
        "revoked_at": admin.revoked_at,
    }
