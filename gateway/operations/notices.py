"""Notices: what people were told, by mail or to the operator's own system, and how that fared."""

from typing import Annotated, Any, Literal

from pydantic import Field

from billing import lists
from billing.lists import NoticeLine
from gateway.models import Answer, Time
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import accounts
from ledger.database import Database
from ledger.ids import account_text

End = Literal["waiting", "sent", "dead", "skipped"]


class NoticeQuery(PageQuery):
    """Which notices."""

    account: str | None = None
    state: Annotated[End | None, Field(description="Only those with such an end.")] = None


class NoticeEnd(Answer):
    """One place a notice goes to."""

    channel: str
    state: Annotated[End, Field(description="`skipped`: nobody to send it to.")]
    attempts: int
    error: str
    sent_at: Time | None


class NoticeRow(Answer):
    """Something told once."""

    id: int
    kind: str
    account: str | None
    key: str
    payload: dict[str, Any]
    created_at: Time
    ends: list[NoticeEnd]


class NoticePage(Answer):
    """A page of notices, newest first."""

    items: list[NoticeRow]
    next: str | None


class NoticeRetried(Answer):
    """These ends of a notice are tried again."""

    id: int
    channels: list[str]


async def listed(database: Database, query: NoticeQuery) -> NoticePage:
    """Return a page of notices, newest first."""
    before = unpack_number("notices", query.cursor)
    async with database.connection() as connection:
        account = await accounts.find(connection, query.account) if query.account else None
        lines = await lists.notices(
            connection,
            state=query.state,
            account_id=account.id if account else None,
            before=before,
            limit=query.limit,
        )
    by_id: dict[int, list[NoticeLine]] = {}
    for line in lines:
        by_id.setdefault(line.id, []).append(line)
    items = [_row(ends) for ends in by_id.values()]
    return NoticePage(
        items=items,
        next=pack_cursor("notices", items[-1].id) if len(items) == query.limit else None,
    )


async def retry(database: Database, notice: int, *, actor: str) -> NoticeRetried:
    """
    Send a notice again to the ends that were given up.

    Raises:
        StateConflict: None was.

    """
    async with database.connection() as connection:
        channels = await lists.retry_notice(connection, notice, actor=actor)
    return NoticeRetried(id=notice, channels=channels)


def _row(ends: list[NoticeLine]) -> NoticeRow:
    first = ends[0]
    return NoticeRow(
        id=first.id,
        kind=first.kind,
        account=None if first.account_id is None else account_text(first.account_id),
        key=first.key,
        payload=dict(first.payload),
        created_at=first.created_at,
        ends=[
            NoticeEnd(
                channel=line.channel,
                state=line.state,  # type: ignore[arg-type]  # the table's CHECK
                attempts=line.attempts,
                error=line.error,
                sent_at=line.sent_at,
            )
            for line in ends
        ],
    )
