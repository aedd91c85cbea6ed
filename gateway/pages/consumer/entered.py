"""History: all that moved the balances, and the same as CSV."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field
from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.operations import history
from gateway.operations.history import EntryAnswer, EntryPage, EntryQuery
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.consumer.words import KINDS
from gateway.pages.csv_file import csv_file
from gateway.pages.dates import begin_of, end_of
from gateway.pages.forms import Fields
from gateway.pages.site import Asked
from gateway.paging import MAX_LIMIT
from ledger.entries import Kind
from ledger.errors import LedgerError

SHOWN = 50
TITLES = (
    "time", "kind", "amount", "credit_type", "balance_after", "description", "charge", "grant",
    "reference",
)  # fmt: skip


class EntryFilter(Fields):
    """Which entries."""

    type: Annotated[str | None, Field(max_length=200)] = None
    kind: Kind | None = None
    since: Annotated[date | None, Field(alias="from")] = None
    until: Annotated[date | None, Field(alias="to")] = None
    cursor: Annotated[str | None, Field(max_length=512)] = None


async def listed(asked: Asked[Services, Visitor]) -> Response:
    """List entries that fit, newest first."""
    form = forms.ask(EntryFilter, asked.request)
    wanted, found = form.read, EntryPage(items=[], next=None)
    if wanted is not None:
        try:
            found = await _found(asked, _query(wanted, SHOWN, wanted.cursor))
        except LedgerError as refused:
            form = form.refused(refused)
    given = {} if wanted is None else _given(wanted)
    return asked.shows(
        "consumer/entries.html",
        status=422 if form.errors else 200,
        form=form,
        found=found,
        kinds={"": "Any", **KINDS},
        types=sorted(asked.services.prices.current.credit_types),
        filtered=wanted is None or bool(given),
        again=urlencode(given),
        first=f"?{urlencode(given)}" if wanted and wanted.cursor else "",
        next=f"?{urlencode({**given, 'cursor': found.next})}" if found.next else "",
    )


async def as_csv(asked: Asked[Services, Visitor]) -> Response:
    """Send all entries that fit as a file."""
    form = forms.ask(EntryFilter, asked.request)
    if form.read is None:
        return asked.onward("/entries")
    wanted = form.read

    async def turn(cursor: str | None) -> tuple[list[tuple[object, ...]], str | None]:
        page = await _found(asked, _query(wanted, MAX_LIMIT, cursor))
        return [_row(entry) for entry in page.items], page.next

    return await csv_file("history", TITLES, turn, asked.site.rendering.headers)


async def _found(asked: Asked[Services, Visitor], query: EntryQuery) -> EntryPage:
    return await history.page(asked.services.ledger.database, asked.who.account, query)


def _query(wanted: EntryFilter, limit: int, cursor: str | None) -> EntryQuery:
    return EntryQuery.model_validate(
        {
            "type": wanted.type,
            "kind": wanted.kind,
            "from": begin_of(wanted.since),
            "to": end_of(wanted.until),
            "cursor": cursor,
            "limit": limit,
        }
    )


def _given(wanted: EntryFilter) -> dict[str, Any]:
    return wanted.model_dump(by_alias=True, exclude_defaults=True, exclude={"cursor"})


def _row(entry: EntryAnswer) -> tuple[object, ...]:
    return (
        entry.at.isoformat(), KINDS[entry.kind], entry.display["amount"], entry.credit_type,
        entry.display["balance_after"], entry.description, entry.charge, entry.grant,
        entry.reference,
    )  # fmt: skip
