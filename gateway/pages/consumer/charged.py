"""Charges: found, shown one by one with the reason, and taken away as CSV."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field
from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.operations import charges
from gateway.operations.charges import ChargePage, ChargeQuery, ChargeRow
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.consumer.words import OUTCOMES, outcome
from gateway.pages.csv_file import csv_file
from gateway.pages.dates import begin_of, end_of
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked
from gateway.paging import MAX_LIMIT
from ledger.errors import LedgerError, NotFound
from ledger.ids import parse_hold

SHOWN = 50
STATES = {
    "": "Any",
    "captured": "Charged",
    "void": "Not charged",
    "open": "Under way",
    "expired": "Run out, not charged",
    "late": "Charged late",
    "observed": "Only recorded",
}
TITLES = (
    "id", "time", "route", "path", "outcome", "reason", "status", "credit_type", "held", "charged",
    "refunded", "balance_after", "key", "price_version", "record",
)  # fmt: skip


class ChargeFilter(Fields):
    """Which charges; an id alone leads to that charge."""

    id: Annotated[str, Field(max_length=100)] = ""
    type: Annotated[str | None, Field(max_length=200)] = None
    state: charges.State | None = None
    route: Annotated[str | None, Field(max_length=200)] = None
    key: Annotated[str | None, Field(max_length=40)] = None
    since: Annotated[date | None, Field(alias="from")] = None
    until: Annotated[date | None, Field(alias="to")] = None
    cursor: Annotated[str | None, Field(max_length=512)] = None


async def listed(asked: Asked[Services, Visitor]) -> Response:
    """List charges that fit, newest first."""
    form = forms.ask(ChargeFilter, asked.request)
    wanted = form.read
    if wanted is not None and wanted.id:
        if parse_hold(wanted.id.lower()) is not None:
            return asked.onward(f"/charges/{wanted.id.lower()}")
        form = Form(form.values, {"id": "An id has 24 characters of 0-9 and a-f."})
        wanted = None
    found = ChargePage(items=[], next=None)
    if wanted is not None:
        try:
            found = await _found(asked, _query(wanted, SHOWN, wanted.cursor))
        except LedgerError as refused:
            form = form.refused(refused)
    services = asked.services
    return asked.shows(
        "consumer/charges.html",
        status=422 if form.errors else 200,
        form=form,
        found=found,
        states=STATES,
        types=sorted(services.prices.current.credit_types),
        filtered=wanted is None or bool(_given(wanted)),
        again=_again(wanted),
        first=f"?{_again(wanted)}" if wanted and wanted.cursor else "",
        next=f"?{_again(wanted, cursor=found.next)}" if found.next else "",
    )


async def as_csv(asked: Asked[Services, Visitor]) -> Response:
    """Send all charges that fit as a file."""
    form = forms.ask(ChargeFilter, asked.request)
    if form.read is None:
        return asked.onward("/charges")
    wanted = form.read

    async def turn(cursor: str | None) -> tuple[list[tuple[object, ...]], str | None]:
        page = await _found(asked, _query(wanted, MAX_LIMIT, cursor))
        return [_row(row) for row in page.items], page.next

    return await csv_file("charges", TITLES, turn, asked.site.rendering.headers)


async def one(asked: Asked[Services, Visitor]) -> Response:
    """Explain one charge."""
    services = asked.services
    try:
        charge = await charges.show(
            services.ledger.database,
            services.book,
            asked.path["charge"],
            account=asked.who.account,
        )
    except NotFound:
        return asked.shows("consumer/charge_missing.html", status=404, id=asked.path["charge"])
    kind, word = OUTCOMES[charge.state]
    return asked.shows(
        "consumer/charge.html", charge=charge, kind=kind, word=word, why=outcome(charge)
    )


async def _found(asked: Asked[Services, Visitor], query: ChargeQuery) -> ChargePage:
    return await charges.listed(asked.services.ledger.database, query, account=asked.who.account)


def _query(wanted: ChargeFilter, limit: int, cursor: str | None) -> ChargeQuery:
    return ChargeQuery.model_validate(
        {
            "type": wanted.type,
            "state": wanted.state,
            "route": wanted.route,
            "key": wanted.key,
            "from": begin_of(wanted.since),
            "to": end_of(wanted.until),
            "cursor": cursor,
            "limit": limit,
        }
    )


def _given(wanted: ChargeFilter | None) -> Mapping[str, Any]:
    """Return what a list is narrowed by; the place in it is no part of that."""
    if wanted is None:
        return {}
    return wanted.model_dump(by_alias=True, exclude_defaults=True, exclude={"cursor", "id"})


def _again(wanted: ChargeFilter | None, **more: str | None) -> str:
    return urlencode({**_given(wanted), **more})


def _row(row: ChargeRow) -> tuple[object, ...]:
    shown = row.display
    return (
        row.id, row.opened_at.isoformat(), row.route, row.path, OUTCOMES[row.state][1],
        outcome(row), row.status, row.credit_type, shown["held"], shown["captured"],
        shown["refunded"], shown.get("balance_after"), row.key, row.price_version,
        "; ".join(f"{name}={value}" for name, value in row.record.items()),
    )  # fmt: skip
