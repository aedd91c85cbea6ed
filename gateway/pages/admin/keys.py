"""An account's keys: made and shown once, replaced, revoked."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.operations import keys
from gateway.operations.keys import KeyDraft, KeyName, KeyRow, Rotation
from gateway.pages import forms
from gateway.pages.admin.account_actions import account_of, called
from gateway.pages.admin.asking import AdminAsked, desk, given
from gateway.pages.admin.form_page import Action, Asks, Input, secret_shown
from ledger.errors import NotFound

NAME = "accounts"
KEY = "/accounts/{account}/keys/{key}"

SCOPES = (
    ("call", "Call the API"),
    ("manage", "Manage the account: keys, purchases, pages"),
)
OVERLAPS = (("86400", "A day"), ("3600", "An hour"), ("604800", "A week"), ("0", "Not at all"))


class NewKey(forms.Fields):
    """A key that is made."""

    name: Annotated[str, Field(max_length=200)] = ""
    scopes: list[Literal["call", "manage"]] = Field(default_factory=list, min_length=1)


class Name(forms.Fields):
    """What a key is called."""

    name: Annotated[str, Field(max_length=200)] = ""


class Overlap(forms.Fields):
    """How long a replaced key still works."""

    overlap_s: int = 86_400


async def key_of(asked: AdminAsked) -> KeyRow:
    """
    Return the key that the address names.

    Raises:
        NotFound: The account has none such.

    """
    found = await keys.listed(desk(asked), asked.path["account"])
    for key in found.items:
        if key.id == asked.path["key"]:
            return key
    raise NotFound("the account has no such key")


async def _asks_new(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"New key for {called(account)}",
        lead="The key is shown once. Whoever has it spends this account's credits.",
        button="Make the key",
        back=f"/accounts/{account.id}",
        values={"scopes": ["call"]},
        inputs=(
            Input("name", "Name", "To tell keys apart."),
            Input("scopes", "What it may do", kind="box", options=SCOPES),
        ),
    )


async def _make(asked: AdminAsked, form: NewKey) -> Response:
    account = await account_of(asked)
    made = await keys.create(
        desk(asked), account.id, given(KeyDraft, name=form.name, scopes=form.scopes)
    )
    return secret_shown(
        asked, "New key", "It is shown only now: keep it safe.", made.key, f"/accounts/{account.id}"
    )


async def _asks_name(asked: AdminAsked) -> Asks:
    key = await key_of(asked)
    return Asks(
        title=f"Rename key {key.name or key.id}",
        button="Save",
        back=f"/accounts/{key.account}",
        values={"name": key.name},
        inputs=(Input("name", "Name", "To tell keys apart."),),
    )


async def _rename(asked: AdminAsked, form: Name) -> Response:
    key = await key_of(asked)
    await keys.rename(desk(asked), key.id, given(KeyName, name=form.name))
    return asked.onward(f"/accounts/{key.account}", done="renamed")


async def _asks_rotation(asked: AdminAsked) -> Asks:
    key = await key_of(asked)
    return Asks(
        title=f"Replace key {key.name or key.id}",
        lead="A new key with the same name, scopes and caps is made and shown once.",
        button="Replace the key",
        back=f"/accounts/{key.account}",
        inputs=(Input("overlap_s", "The old one still works", kind="choice", options=OVERLAPS),),
    )


async def _rotate(asked: AdminAsked, form: Overlap) -> Response:
    key = await key_of(asked)
    made = await keys.rotate(desk(asked), key.id, given(Rotation, overlap_s=form.overlap_s))
    return secret_shown(
        asked,
        "New key",
        "It is shown only now: keep it safe.",
        made.key,
        f"/accounts/{key.account}",
    )


async def _asks_revocation(asked: AdminAsked) -> Asks:
    key = await key_of(asked)
    return Asks(
        title=f"Revoke key {key.name or key.id}",
        lead="Calls with it are refused from the next one on. This cannot be undone.",
        button="Revoke the key",
        back=f"/accounts/{key.account}",
        inputs=(),
        danger=True,
    )


async def _revoke(asked: AdminAsked, _form: forms.Fields) -> Response:
    key = await key_of(asked)
    await keys.revoke(desk(asked), key.id)
    return asked.onward(f"/accounts/{key.account}", done="revoked")


ACTIONS = (
    Action(path="/accounts/{account}/keys/new", name=NAME, model=NewKey, asks=_asks_new, do=_make),
    Action(path=f"{KEY}/rename", name=NAME, model=Name, asks=_asks_name, do=_rename),
    Action(path=f"{KEY}/rotate", name=NAME, model=Overlap, asks=_asks_rotation, do=_rotate),
    Action(path=f"{KEY}/revoke", name=NAME, model=forms.Fields, asks=_asks_revocation, do=_revoke),
)
