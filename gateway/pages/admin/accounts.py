"""Accounts: found, made, and changed."""

from starlette.responses import Response

from gateway.operations import accounts
from gateway.operations.accounts import AccountChange, AccountDraft, AccountQuery
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
from gateway.pages.admin.form_page import Action, Asks, Input
from gateway.problems import Problem

NAME = "accounts"


class Search(Paged):
    """Which accounts."""

    search: Word = None


class Details(forms.Fields):
    """Who an account is."""

    name: str = ""
    email: str = ""
    plan: str = ""


class NewAccount(Details):
    """An account that is made."""

    external_id: str | None = None


async def listed(asked: AdminAsked) -> Response:
    """Show accounts, all or those found."""
    search = query(asked, Search)
    page = await accounts.listed(
        desk(asked),
        given(AccountQuery, search=search.search, cursor=search.cursor, limit=ROWS),
    )
    return asked.shows(
        "admin/accounts.html", page=page, form=filters(asked), paging=paging(asked, page.next)
    )


async def _asks_new(_asked: AdminAsked) -> Asks:
    return Asks(
        title="New account",
        lead="It begins without credits and without keys; both are given on its own page.",
        button="Make the account",
        back="/accounts",
        inputs=(
            Input("external_id", "Your own id for it", "Unique; what your application calls it."),
            *_DETAILS,
        ),
    )


_DETAILS = (
    Input("name", "Name"),
    Input("email", "E-mail", kind="email"),
    Input("plan", "Plan"),
)


async def _make(asked: AdminAsked, new: NewAccount) -> Response:
    made = await accounts.create(desk(asked), given(AccountDraft, **new.model_dump()))
    return asked.onward(f"/accounts/{made.id}", done="made")


async def _asks_change(asked: AdminAsked) -> Asks:
    account = await accounts.show(desk(asked), asked.path["account"])
    return Asks(
        title=f"Change {account.name or account.external_id or account.id}",
        lead="Only who it is; balances, keys and what it was charged stay.",
        button="Save",
        back=f"/accounts/{account.id}",
        inputs=_DETAILS,
        values={"name": account.name, "email": account.email, "plan": account.plan},
    )


async def _change(asked: AdminAsked, details: Details) -> Response:
    account = await accounts.show(desk(asked), asked.path["account"])
    if account.external_id is None:
        raise Problem(
            "conflict",
            "It has no external id, by which accounts are changed; make a new one with an id.",
        )
    await accounts.put(
        desk(asked), account.external_id, given(AccountChange, **details.model_dump())
    )
    return asked.onward(f"/accounts/{account.id}", done="changed")


NEW = Action(path="/accounts/new", name=NAME, model=NewAccount, asks=_asks_new, do=_make)
CHANGE = Action(
    path="/accounts/{account}/change", name=NAME, model=Details, asks=_asks_change, do=_change
)
