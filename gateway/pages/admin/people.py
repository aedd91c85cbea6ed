"""Admins, and who changed what."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from gateway.operations import admins
from gateway.operations.admins import AdminDraft, AuditQuery
from gateway.pages import forms
from gateway.pages.admin.asking import (
    ROWS,
    AdminAsked,
    Paged,
    Word,
    desk,
    filters,
    given,
    paging,
    query,
)
from gateway.pages.admin.form_page import Action, Asks, Input, secret_shown


class AuditSearch(Paged):
    """Which changes."""

    actor: Word = None
    target: Word = None


class NewAdmin(forms.Fields):
    """A person who may do all this."""

    name: Annotated[str, Field(min_length=1, max_length=60)]


async def audit(asked: AdminAsked) -> Response:
    """Show who changed what, newest first."""
    search = query(asked, AuditSearch)
    page = await admins.changes(
        desk(asked),
        given(
            AuditQuery,
            actor=search.actor,
            target=search.target,
            cursor=search.cursor,
            limit=ROWS,
        ),
    )
    return asked.shows(
        "admin/audit.html",
        page=page,
        told=told,
        form=filters(asked),
        paging=paging(asked, page.next),
    )


def told(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a change says of itself, without what is empty; times and values as text."""
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for name, value in detail.items()
        if value not in (None, "", [], {})
    ]


async def listed(asked: AdminAsked) -> Response:
    """Show all admins."""
    found = await admins.listed(desk(asked))
    return asked.shows(
        "admin/admins.html",
        admins=found.items,
        done=asked.request.query_params.get("done", ""),
    )


async def _asks_new(_asked: AdminAsked) -> Asks:
    return Asks(
        title="New admin",
        lead="Whoever has the token may do everything that these pages can; each change is kept "
        "with the name.",
        button="Make the admin",
        back="/admins",
        inputs=(Input("name", "Name", "A person's or a program's own.", required=True),),
    )


async def _make(asked: AdminAsked, form: NewAdmin) -> Response:
    made = await admins.create(desk(asked), given(AdminDraft, name=form.name))
    return secret_shown(
        asked, f"Token of {made.name}", "It is shown only now: keep it safe.", made.token, "/admins"
    )


async def _asks_revocation(asked: AdminAsked) -> Asks:
    return Asks(
        title=f"Revoke {asked.path['admin']}",
        lead="The token is refused from now on, and who is signed in with it is signed out.",
        button="Revoke the admin",
        back="/admins",
        inputs=(),
        danger=True,
    )


async def _revoke(asked: AdminAsked, _form: forms.Fields) -> Response:
    await admins.revoke(desk(asked), asked.path["admin"])
    return asked.onward("/admins", done="revoked")


ACTIONS = (
    Action(path="/admins/new", name="admins", model=NewAdmin, asks=_asks_new, do=_make),
    Action(path="/admins/{admin}/revoke", name="admins", model=forms.Fields,
           asks=_asks_revocation, do=_revoke),
)  # fmt: skip
