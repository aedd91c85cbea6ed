"""API keys: made and shown once, renamed, replaced, capped, revoked."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from config import parse_amount
from gateway.consumer.services import Services
from gateway.operations import keys
from gateway.operations.credit_types import credit_type_of
from gateway.operations.keys import CapDraft, CapsDraft, KeyDraft, KeyMade, KeyRow
from gateway.pages import forms
from gateway.pages.consumer.proof import Proven, actor_of
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.dates import begin_of
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked
from gateway.problems import Problem
from ledger.credit_types import CreditTypeRow
from ledger.errors import InvalidInput, LedgerError, NotFound
from ledger.ids import account_text, key_text
from ledger.limits import Per

Looking = Asked[Services, Visitor]
REFUSED = (LedgerError, Problem)

OVERLAPS = {
    "0": "It stops at once",
    "3600": "For another hour",
    "86400": "For another day",
    "604800": "For another week",
}
PERS: tuple[Per, ...] = ("day", "month", "total")


class NewKey(Proven):
    """A key to make."""

    name: Annotated[str, Field(max_length=200)] = ""
    scopes: Annotated[list[keys.Scope], Field(max_length=2)] = Field(default_factory=list)
    expires: date | None = None


class Caps(Proven):
    """What a key may spend of a credit type; empty: no cap."""

    credit_type: Annotated[str, Field(max_length=200)]
    day: Annotated[str | None, Field(max_length=30)] = None
    month: Annotated[str | None, Field(max_length=30)] = None
    total: Annotated[str | None, Field(max_length=30)] = None


class Rename(Fields):
    """What it is to be called."""

    name: Annotated[str, Field(max_length=200)] = ""


class Rotate(Proven):
    """How long the old one goes on."""

    overlap: Literal["0", "3600", "86400", "604800"] = "86400"


class Done(Fields):
    """What has just been done."""

    done: Annotated[str, Field(max_length=40)] = ""


async def listed(asked: Looking) -> Response:
    """List the account's keys, with a form for another."""
    return await _list(asked, forms.begin(scopes=["call"]))


async def create(asked: Looking) -> Response:
    """Make a key and show it, once."""
    form = forms.fill(NewKey, asked.form)
    if form.read is None:
        return await _list(asked, form, status=422)
    try:
        if not form.read.scopes:
            raise InvalidInput("scopes", "choose at least one")
        desk = asked.services.desk_of(await actor_of(asked, form.read))
        draft = KeyDraft(
            name=form.read.name, scopes=form.read.scopes, expires_at=begin_of(form.read.expires)
        )
        made = await keys.create(desk, account_text(asked.who.account), draft)
    except REFUSED as refused:
        told = form.refused(_renamed(refused), known=("scopes", "key_again"))
        return await _list(asked, told, status=422)
    return _made(asked, made, "")


async def one(asked: Looking) -> Response:
    """Show a key, with what can be done to it."""
    return await _one(asked)


async def rename(asked: Looking) -> Response:
    """Call it otherwise."""
    form, number = forms.fill(Rename, asked.form), asked.path["key"]
    if form.read is None:
        return await _one(asked, naming=form, status=422)
    desk, draft = asked.services.desk_of(asked.who.actor), keys.KeyName(name=form.read.name)
    await keys.rename(desk, number, draft, owner=asked.who.account)
    return asked.onward(f"/keys/{number}", done="renamed")


async def rotate(asked: Looking) -> Response:
    """Replace it and show the new one, once."""
    form, number = forms.fill(Rotate, asked.form), asked.path["key"]
    if form.read is None:
        return await _one(asked, rotating=form, status=422)
    try:
        desk = asked.services.desk_of(await actor_of(asked, form.read))
        rotation = keys.Rotation(overlap_s=int(form.read.overlap))
        made = await keys.rotate(desk, number, rotation, asked.who.account)
    except REFUSED as refused:
        return await _one(asked, rotating=form.refused(refused, known=("key_again",)), status=422)
    return _made(asked, made, number)


async def put_caps(asked: Looking) -> Response:
    """Bound what it may spend."""
    form, number = forms.fill(Caps, asked.form), asked.path["key"]
    if form.read is None:
        return await _one(asked, capping=form, status=422)
    try:
        actor = await actor_of(asked, form.read)
        desk = asked.services.desk_of(actor)
        kind = await credit_type_of(desk, form.read.credit_type)
        await keys.put_caps(
            desk,
            number,
            CapsDraft(caps=_drafts(form.read, kind)),
            owner=asked.who.account,
            of_type=kind.id,
        )
    except REFUSED as refused:
        return await _one(asked, capping=form.refused(refused, known=("key_again",)), status=422)
    return asked.onward(f"/keys/{number}", done="capped")


async def revoke(asked: Looking) -> Response:
    """Refuse it from its next call on."""
    desk = asked.services.desk_of(asked.who.actor)
    gone = await keys.revoke(desk, asked.path["key"], asked.who.account)
    return asked.onward(f"/keys/{gone.id}", done="revoked" if gone.applied else "pending")


def _drafts(form: Caps, kind: CreditTypeRow) -> list[CapDraft]:
    """Read the caps as amounts of their type."""
    drafts = []
    for per in PERS:
        text: str | None = getattr(form, per)
        if text is None:
            continue
        try:
            units = parse_amount(text.replace(",", ""), kind.scale)
        except ValueError as error:
            raise InvalidInput(per, str(error)) from None
        drafts.append(CapDraft(credit_type=kind.name, per=per, amount=units))
    return drafts


async def _list(asked: Looking, form: Form[NewKey], *, status: int = 200) -> Response:
    desk = asked.services.desk_of(asked.who.actor)
    found = await keys.listed(desk, account_text(asked.who.account))
    return asked.shows("consumer/keys.html", status=status, keys=found.items, form=form)


async def _one(
    asked: Looking,
    *,
    naming: Form[Rename] | None = None,
    rotating: Form[Rotate] | None = None,
    capping: Form[Caps] | None = None,
    status: int = 200,
) -> Response:
    desk = asked.services.desk_of(asked.who.actor)
    found = await keys.listed(desk, account_text(asked.who.account))
    key = next((row for row in found.items if row.id == asked.path["key"]), None)
    if key is None:
        raise NotFound("no such key")
    types = sorted(asked.services.prices.current.credit_types)
    return asked.shows(
        "consumer/key.html",
        status=status,
        key=key,
        own=asked.who.key is not None and key.id == key_text(asked.who.key),
        naming=naming or forms.begin(name=key.name),
        rotating=rotating or forms.begin(overlap="86400"),
        cappings=[
            capping
            if capping is not None and capping.value("credit_type") == name
            else _capped(key, name)
            for name in types
        ],
        overlaps=list(OVERLAPS.items()),
        done=forms.ask(Done, asked.request).value("done"),
    )


def _capped(key: KeyRow, credit_type: str) -> Form[Caps]:
    standing = {
        cap.per: cap.display["amount"] for cap in key.caps if cap.credit_type == credit_type
    }
    return forms.begin(credit_type=credit_type, **standing)


def _made(asked: Looking, made: KeyMade, replaces: str) -> Response:
    return asked.shows("consumer/key_made.html", status=201, made=made, replaces=replaces)


def _renamed(refused: Exception) -> Exception:
    """Say it of the field as the form calls it."""
    if isinstance(refused, InvalidInput) and refused.field == "expires_at":
        return InvalidInput("expires", refused.message)
    return refused
