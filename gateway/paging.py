"""
Paging by an opaque cursor: no page skips or repeats a row, whatever arrives meanwhile.

A cursor holds the sort key of the last row shown and the list it belongs to, packed so
that nobody is tempted to take it apart.
"""

import base64
from typing import Annotated

from pydantic import Field

from gateway.models import Given
from ledger.errors import InvalidInput

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
"""A page is read in one query and written as one body; this keeps both small."""

MAX_CURSOR_CHARACTERS = 512


class PageQuery(Given):
    """What a paged route reads from the query."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows on a page.")] = DEFAULT_LIMIT
    cursor: Annotated[
        str | None,
        Field(
            max_length=MAX_CURSOR_CHARACTERS,
            description="`next` of the page before; leave it out for the first page.",
        ),
    ] = None


def pack_cursor(of: str, key: int | str) -> str:
    """Make the cursor that goes on after the row with this sort key, in the list `of`."""
    return base64.urlsafe_b64encode(f"{of}:{key}".encode()).decode().rstrip("=")


def unpack_cursor(of: str, cursor: str | None) -> str | None:
    """
    Return the sort key that a cursor of the list `of` holds; None for the first page.

    Raises:
        InvalidInput: We did not make it, or it belongs to another list.

    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        kind, _, key = base64.urlsafe_b64decode(padded).decode().partition(":")
    except ValueError:
        kind, key = "", ""
    if kind != of or not key:
        raise InvalidInput("cursor", "is not of this list; use `next` of the page before")
    return key


def unpack_number(of: str, cursor: str | None) -> int | None:
    """
    Return the number that a cursor of the list `of` holds; None for the first page.

    Raises:
        InvalidInput: We did not make it, or it belongs to another list.

    """
    key = unpack_cursor(of, cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= MAX_DIGITS):
        raise InvalidInput("cursor", "is not of this list; use `next` of the page before")
    return int(key)


MAX_DIGITS = 18
"""Every row's number fits; a longer one would not fit into Postgres' bigint."""
