"""Charges: found, explained, and given back."""

import secrets
from datetime import date
from typing import Annotated, get_args
from urllib.parse import quote

from pydantic import Field
from starlette.responses import Response

from gateway.operations import charges, refunds
from gateway.operations.accounts import show as show_account
from gateway.operations.charges import ChargeAnswer, ChargePage, ChargeQuery, ChargeRow, State
from gateway.operations.refunds import RefundDraft, typed_refund
from gateway.pages import forms
from gateway.pages.admin.asking import (
    ROWS,
    AdminAsked,
    Paged,
    Word,
    address,
    desk,
    filters,
    given,
    paging,
    query,
    types_of,
)
from gateway.pages.admin.form_page import Action, Asks, Input
from gateway.pages.csv_file import csv_file
from gateway.pages.dates import begin_of, end_of
from gateway.paging import MAX_LIMIT
from ledger.ids import parse_account

NAME = "charges"
STATES = get_args(State)
TITLES = (
    "id", "time", "account", "key", "route", "path", "state", "reason", "status", "credit_type",
    "held", "charged", "refunded", "balance_after", "price_version",
)  # fmt: skip


class Search(Paged):
    """Which charges; the days are counted in UTC."""

    id: Word = None
    account: Word = None
    state: Word = None
    route: Word = None
    key: Word = None
    type: Word = None
    first: date | None = None
    last: date | None = None


class Back(forms.Fields):
    """How much to give back; empty: all that is left. once: made with the form."""

    amount: Annotated[str, Field(max_length=40)] = ""
    reason: Annotated[str, Field(min_length=1, max_length=1_000)]
    once: str | None = None


async def listed(asked: AdminAsked) -> Response:
    """Show charges, newest first."""
    search = query(asked, Search)
    if search.id:
        return asked.onward(f"/charges/{quote(search.id, safe='')}")
    page = await _found(asked, search, ROWS, search.cursor)
    return asked.shows(
        "admin/charges.html",
        page=page,
        again=address("", [pair for pair in asked.request.query_params.items() if pair[1]]),
        form=filters(asked),
        states=STATES,
        types=await types_of(asked),
        paging=paging(asked, page.next),
    )


async def as_csv(asked: AdminAsked) -> Response:
    """Send all charges that fit as a file, page by page while they are read."""
    search = query(asked, Search)

    async def turn(cursor: str | None) -> tuple[list[tuple[object, ...]], str | None]:
        page = await _found(asked, search, MAX_LIMIT, cursor)
        return [_row(row) for row in page.items], page.next

    return await csv_file("charges", TITLES, turn, asked.site.rendering.headers)


async def _found(asked: AdminAsked, search: Search, limit: int, cursor: str | None) -> ChargePage:
    number = None
    if search.account:
        number = parse_account((await show_account(desk(asked), search.account)).id)
    wanted = given(
        ChargeQuery,
        type=search.type,
        state=search.state,
        route=search.route,
        key=search.key,
        cursor=cursor,
        limit=limit,
        **{"from": begin_of(search.first), "to": end_of(search.last)},
    )
    return await charges.listed(asked.services.ledger.database, wanted, account=number)


def _row(row: ChargeRow) -> tuple[object, ...]:
    shown = row.display
    return (
        row.id, row.opened_at.isoformat(), row.account, row.key, row.route, row.path, row.state,
        row.reason, row.status, row.credit_type, shown["held"], shown["captured"],
        shown["refunded"], shown.get("balance_after"), row.price_version,
    )  # fmt: skip


async def charge_of(asked: AdminAsked) -> ChargeAnswer:
    """Return the charge that the address names."""
    services = asked.services
    return await charges.show(
        services.ledger.database, services.book, asked.path["charge"], account=None
    )


async def one(asked: AdminAsked) -> Response:
    """Show a charge and why it is what it is."""
    return asked.shows(
        "admin/charge.html",
        charge=await charge_of(asked),
        done=asked.request.query_params.get("done", ""),
    )


async def _asks_refund(asked: AdminAsked) -> Asks:
    charge = await charge_of(asked)
    return Asks(
        title="Give back a charge",
        lead=f"{charge.display['captured']} {charge.credit_type} were charged, "
        f"{charge.display['refunded']} of that are given back already. What is given back lives "
        "as long as the credits would have.",
        button="Give back",
        back=f"/charges/{charge.id}",
        values={"once": f"page-{secrets.token_hex(8)}"},
        inputs=(
            Input("amount", "Amount", "Empty: all that is left."),
            Input("reason", "Reason", "Its owner and the audit log see it.", kind="lines",
                  required=True),
            Input("once", "", kind="hidden"),
        ),
    )  # fmt: skip


async def _refund(asked: AdminAsked, form: Back) -> Response:
    at, charge = desk(asked), asked.path["charge"]
    amount = await typed_refund(at, charge, form.amount) if form.amount else None
    draft = given(RefundDraft, amount=amount, reason=form.reason, reference=form.once)
    await refunds.refund(at, charge, draft)
    return asked.onward(f"/charges/{charge}", done="refunded")


REFUND = Action(
    path="/charges/{charge}/refund", name=NAME, model=Back, asks=_asks_refund, do=_refund
)
