"""An account's history: what moved its balances, the newest first."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ledger.charges import id_at
from ledger.database import Connection, Queries
from ledger.errors import InvalidInput
from ledger.inputs import check_limit

Kind: TypeAlias = Literal[
    "charge",
    "purchase",
    "subscription",
    "promotion",
    "adjustment",
    "refund",
    "clawback",
    "expiry",
]
KINDS: tuple[Kind, ...] = (
    "charge",
    "purchase",
    "subscription",
    "promotion",
    "adjustment",
    "refund",
    "clawback",
    "expiry",
)

_CURSOR_BYTES = 13
_NEWEST = b"\xff" * _CURSOR_BYTES
_SQL = Queries("entries")


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One line of history.

    amount: Signed, smallest units. balance_after: of that credit type; lines are in the
    order in which requests began, so with requests side by side it need not be the sum of
    the line below and this amount. reference: of a charge its id, else the grant's.
    charge_id: of a charge, and of a refund the charge it gives back. routes: where the credits of
    a limited grant may be used.
    """

    kind: Kind
    credit_type: str
    scale: int
    amount: int
    balance_after: int
    description: str
    reference: str | None
    metadata: dict[str, Any]
    at: datetime
    charge_id: bytes | None
    grant_id: int | None
    routes: list[str] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, and where the next page begins; None after the last."""

    entries: list[Entry]
    next_cursor: str | None


async def page(
    connection: Connection,
    account_id: int,
    *,
    credit_type_id: int | None = None,
    kinds: Sequence[Kind] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """
    Read a page of an account's history.

    Args:
        connection: To Postgres.
        account_id: Whose.
        credit_type_id: Only of this type.
        kinds: Only of these kinds.
        since: Only at or after this moment.
        until: Only before this moment.
        cursor: `next_cursor` of the page before.
        limit: 1 to 200.

    Raises:
        InvalidInput: An unknown kind, a cursor that is none, a limit out of range.

    """
    if unknown := set(kinds) - set(KINDS):
        raise InvalidInput("kind", f"{min(unknown)} is none of {', '.join(KINDS)}")
    last = _NEWEST if cursor is None else _read_cursor(cursor)
    rows = await connection.fetch(
        _SQL.page,
        account_id,
        credit_type_id,
        list(kinds) or None,
        id_at(since) if since else bytes(12),
        id_at(until) if until else b"\xff" * 12,
        last[:-1],
        last[-1],
        check_limit(limit) + 1,
    )
    shown = rows[:limit]
    more = len(rows) > limit
    entries = [Entry(**{name: row[name] for name in Entry.__dataclass_fields__}) for row in shown]
    return Page(entries, _cursor(shown[-1]) if more else None)


def _cursor(row: Any) -> str:
    place: bytes = row["id"] + bytes((row["arm"],))
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _read_cursor(text: str) -> bytes:
    try:
        place = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            "cursor", "is not of this list; use `next` of the page before"
        ) from error
    if len(place) != _CURSOR_BYTES:
        raise InvalidInput("cursor", "is not of this list; use `next` of the page before")
    return place
