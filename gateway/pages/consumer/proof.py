"""
The key again, before what lets somebody spend more.

Where the pages share a host with the backend, whatever the backend serves could act for who is
signed in. It may look and buy, which needs a person at Stripe; to make keys, lift caps or change
automatic top-up it would need the key itself.
"""

from typing import Annotated

from pydantic import Field

from gateway.consumer.services import Services
from gateway.pages.consumer.signing import MAX_KEY_CHARACTERS
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields
from gateway.pages.site import Asked
from gateway.problems import Problem
from ledger.errors import InvalidInput
from ledger.ids import key_text

FIELD = "key_again"


class Proven(Fields):
    """A form that asks for the key again."""

    key_again: Annotated[str, Field(max_length=MAX_KEY_CHARACTERS)] = ""


async def actor_of(asked: Asked[Services, Visitor], form: Proven) -> str:
    """
    Return the name that a change is kept under: the key's that was shown again.

    Raises:
        InvalidInput: No key, a bad one, another account's or one without scope manage.
        Problem: 429 after too many bad ones.

    """
    services, who = asked.services, asked.who
    if services.pages_host is not None:
        return who.actor
    if not form.key_again:
        raise InvalidInput(FIELD, "is needed for this change; give a key with scope manage")
    try:
        caller = await services.gate.find(asked.request, form.key_again.encode())
    except Problem as refused:
        if refused.status != 401:
            raise
        raise InvalidInput(FIELD, refused.detail) from None
    if caller.account != who.account or not caller.manages:
        raise InvalidInput(FIELD, "must be a key of this account with scope manage")
    return key_text(caller.key)
