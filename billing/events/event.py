"""
An event of Stripe's, as far as it is believed: its name, its type, and which object it is about.

Snapshot and thin events are read here and nowhere else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.events.event_types import SNAPSHOT, THIN, object_of

_ID = re.compile(r"evt_[A-Za-z0-9_]{1,200}", re.ASCII)
_TYPE = re.compile(r"[a-z0-9_.\[\]-]{1,200}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9_/-]{1,200}", re.ASCII)

LATEST_CREATED_S = 2**33
"""Seconds since 1970, in the year 2242: beyond it, or before 1970, is no time but a mistake."""


class BadPayload(Exception):
    """The body is signed but no event of Stripe's. Carries a sentence without the body."""


@dataclass(frozen=True, slots=True)
class Event:
    """
    What is read of an event.

    Attributes:
        stripe_account: The connected account it is of; empty for our own.
        object_type: Stripe's word, like `charge`; empty, like `object_id`, if none is named.
        api_version: In which the snapshot was written; empty for a thin one.

    """

    id: str
    type: str
    livemode: bool
    created: datetime
    stripe_account: str
    object_type: str
    object_id: str
    api_version: str
    thin: bool


def read_event(document: Any) -> Event:
    """
    Read an event from its JSON.

    Raises:
        BadPayload: It is not one.

    """
    if not isinstance(document, Mapping):
        raise BadPayload("the body is not a JSON object")
    if document.get("object") not in (SNAPSHOT, THIN):
        raise BadPayload("the object is no event")
    thin = document["object"] == THIN
    livemode = document.get("livemode")
    if not isinstance(livemode, bool):
        raise BadPayload("livemode is missing")
    object_type, object_id = object_of(document)
    version = document.get("api_version")
    return Event(
        id=_text(document, "id", _ID),
        type=_text(document, "type", _TYPE),
        livemode=livemode,
        created=_created(document.get("created")),
        stripe_account=_account(document.get("context" if thin else "account")),
        object_type=object_type,
        object_id=object_id,
        api_version=version if isinstance(version, str) and _WORD.fullmatch(version) else "",
        thin=thin,
    )


def _text(document: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise BadPayload(f"{name} is missing or has another form")
    return value


def _created(value: Any) -> datetime:
    """Return the time that a snapshot gives in seconds and a thin event as text."""
    seconds: Any = value
    if isinstance(value, str):
        try:
            seconds = datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError) as bad:
            raise BadPayload("created is no time") from bad
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadPayload("created is missing")
    if not 0 <= seconds < LATEST_CREATED_S:
        raise BadPayload("created is no time")
    return datetime.fromtimestamp(seconds, UTC)


def _account(value: Any) -> str:
    """Return whose it is: of `org_1/acct_2`, as organisations send it, the account."""
    if value is None:
        return ""
    if not isinstance(value, str) or not _ACCOUNT.fullmatch(value):
        raise BadPayload("the account has another form")
    return value.rpartition("/")[2]
