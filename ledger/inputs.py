"""What people may type: texts, amounts, times and metadata that the tables can keep as they are."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.errors import InvalidInput
from ledger.facts import MAX_AMOUNT

MAX_TEXT_CHARACTERS = 200
MAX_DESCRIPTION_CHARACTERS = 1_000
MAX_METADATA_BYTES = 8_192
"""Shown with every entry; more belongs into the system that the reference names."""

MAX_PAGE = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clean_text(field: str, text: str, most: int = MAX_TEXT_CHARACTERS, *, least: int = 0) -> str:
    """
    Return the text without space around it.

    Raises:
        InvalidInput: Too short, too long, or with characters that do not print.

    """
    text = text.strip()
    if not least <= len(text) <= most:
        raise InvalidInput(field, f"{least} to {most} characters")
    if not text.isprintable():
        raise InvalidInput(field, "printable characters only")
    return text


def check_amount(field: str, amount: int) -> int:
    """
    Return the amount if it is 1 to 9e13 smallest units.

    Raises:
        InvalidInput: It is not.

    """
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise InvalidInput(field, "a whole number of the smallest unit")
    if not 1 <= amount <= MAX_AMOUNT:
        raise InvalidInput(field, f"1 to {MAX_AMOUNT}")
    return amount


def to_ms(moment: datetime) -> int:
    """
    Milliseconds since 1970, rounded down.

    Raises:
        InvalidInput: The moment has no time zone.

    """
    if moment.tzinfo is None:
        raise InvalidInput("time", "needs a time zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the metadata as a plain dictionary.

    Raises:
        InvalidInput: Not JSON, more than 8 KiB, or with characters Postgres cannot keep.

    """
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError) as error:  # also text that is not valid Unicode
        raise InvalidInput("metadata", f"must be JSON: {error}") from error
    if size > MAX_METADATA_BYTES:
        raise InvalidInput("metadata", f"at most {MAX_METADATA_BYTES} bytes of JSON")
    if "\\u0000" in text:
        raise InvalidInput("metadata", "text must not contain NUL")
    return dict(metadata)


def check_limit(limit: int) -> int:
    """
    Return the page length if it is 1 to 200.

    Raises:
        InvalidInput: It is not.

    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput("limit", f"1 to {MAX_PAGE}")
    return limit
