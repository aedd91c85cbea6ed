"""What Stripe delivered, and what a person does about what could not be settled."""

import json
from typing import Annotated, get_args

from pydantic import Field
from starlette.responses import Response

from billing.events.inbox import Status
from gateway.operations import inbox
from gateway.operations.inbox import Attachment, Dismissal, InboxQuery
from gateway.pages import forms
from gateway.pages.admin.account_actions import Reason
from gateway.pages.admin.asking import (
    ROWS,
    AdminAsked,
    Paged,
    Word,
    desk,
    filters,
    given,
    numbered,
    paging,
    query,
)
from gateway.pages.admin.form_page import Action, Asks, Input, act

NAME = "inbox"
EVENT = "/inbox/{event}"
STATUSES = ("any", *get_args(Status))
OPEN = frozenset({"dead", "quarantined", "failed"})
"""What may be tried again, or closed by hand."""


class Search(Paged):
    """Which events."""

    status: Word = None
    object: Word = None


class Owner(forms.Fields):
    """Whose a purchase is."""

    account: Annotated[str, Field(min_length=1, max_length=200)]
    package: Annotated[str, Field(min_length=1, max_length=64)]


async def listed(asked: AdminAsked) -> Response:
    """Show events, newest first; those that wait for a person unless more is asked."""
    search = query(asked, Search)
    page = await inbox.listed(
        asked.services.ledger.database,
        given(
            InboxQuery,
            status=search.status,
            object=search.object,
            cursor=search.cursor,
            limit=ROWS,
        ),
    )
    return asked.shows(
        "admin/inbox.html",
        page=page,
        form=filters(asked),
        statuses=STATUSES,
        open=OPEN,
        paging=paging(asked, page.next),
        done=asked.request.query_params.get("done", ""),
    )


async def one(asked: AdminAsked) -> Response:
    """Show an event with its body."""
    event = await inbox.show(asked.services.ledger.database, numbered(asked, "event"))
    return asked.shows(
        "admin/event.html",
        event=event,
        body=_indented(event.body),
        open=event.status in OPEN,
        done=asked.request.query_params.get("done", ""),
    )


def _indented(body: str) -> str:
    """Show JSON over several lines; what is none stays as it came."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


async def _retry(asked: AdminAsked) -> Response:
    done = await inbox.retry(desk(asked), numbered(asked, "event"))
    return asked.onward(f"/inbox/{done.id}", done="retried")


async def _asks_dismissal(asked: AdminAsked) -> Asks:
    event = await inbox.show(asked.services.ledger.database, numbered(asked, "event"))
    return Asks(
        title=f"Close event {event.id}",
        lead=f"{event.type} about {event.object_id}: nothing is granted or taken for it.",
        button="Close the event",
        back=f"/inbox/{event.id}",
        danger=True,
        inputs=(Input("reason", "Reason", "Kept in the audit log.", kind="lines", required=True),),
    )


async def _dismiss(asked: AdminAsked, form: Reason) -> Response:
    done = await inbox.dismiss(
        desk(asked), numbered(asked, "event"), given(Dismissal, reason=form.reason)
    )
    return asked.onward(f"/inbox/{done.id}", done="dismissed")


async def _asks_owner(asked: AdminAsked) -> Asks:
    event = await inbox.show(asked.services.ledger.database, numbered(asked, "event"))
    return Asks(
        title=f"Whose is the purchase of event {event.id}?",
        lead="For a purchase that was made past this gateway, by a payment link say. It is settled "
        "at the package's own price.",
        button="Give it to the account",
        back=f"/inbox/{event.id}",
        inputs=(
            Input("account", "Account", "An id like acc_12, or your own.", required=True),
            Input("package", "Package", "Its id.", required=True),
        ),
    )


async def _attach(asked: AdminAsked, form: Owner) -> Response:
    done = await inbox.attach(
        asked.services.shop,
        numbered(asked, "event"),
        given(Attachment, account=form.account, package=form.package),
        actor=asked.who.name,
    )
    return asked.onward(f"/inbox/{done.id}", done="attached")


RETRY = act(f"{EVENT}/retry", NAME, _retry)
ACTIONS = (
    Action(path=f"{EVENT}/dismiss", name=NAME, model=Reason, asks=_asks_dismissal, do=_dismiss),
    Action(path=f"{EVENT}/attach", name=NAME, model=Owner, asks=_asks_owner, do=_attach),
)
