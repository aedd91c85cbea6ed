"""Prices: what is in force, what was before, and back to it."""

from itertools import groupby

from starlette.responses import Response

from config import PriceFileError
from gateway.operations import price_changes, prices
from gateway.operations.price_changes import PriceChange, PriceChanges
from gateway.operations.prices import VersionText
from gateway.pages import forms
from gateway.pages.admin.asking import AdminAsked, Paged, desk, given, numbered, paging, query
from gateway.pages.admin.form_page import Action, Asks, Input
from gateway.pages.admin.highlight import highlighted
from gateway.paging import PageQuery
from ledger.errors import NotFound

NAME = "prices"
SHOWN_VERSIONS = 20


class Expected(forms.Fields):
    """The version that was in force when the page was made."""

    expected: int | None = None


async def current(asked: AdminAsked) -> Response:
    """Show the prices in force, the last refusal, and earlier versions."""
    wanted = query(asked, Paged)
    at = desk(asked)
    live = await prices.show(at, None)
    page = await prices.listed(at, given(PageQuery, cursor=wanted.cursor, limit=SHOWN_VERSIONS))
    return asked.shows(
        "admin/prices.html",
        live=live,
        text=highlighted(live.text),
        refusal=await prices.last_refusal(at),
        page=page,
        paging=paging(asked, page.next),
        file=None if asked.services.price_file is None else asked.services.price_file.path,
        done=wanted.done or "",
    )


async def version(asked: AdminAsked) -> Response:
    """Show a version: its text, and what changed with it."""
    at = desk(asked)
    shown = await prices.show(at, numbered(asked, "version"))
    live = await prices.show(at, None)
    return asked.shows(
        "admin/price_version.html",
        shown=shown,
        live=live,
        text=highlighted(shown.text),
        groups=await _changed_with(asked, shown),
    )


async def _changed_with(
    asked: AdminAsked, shown: VersionText
) -> list[tuple[str, list[PriceChange]]] | None:
    """Compare with the version before; None where there is none, or it cannot be read any more."""
    if shown.version <= 1:
        return None
    try:
        before = await prices.show(desk(asked), shown.version - 1)
        return grouped(price_changes.compared(before.text, shown.text))
    except (NotFound, PriceFileError):
        return None


def grouped(changes: PriceChanges) -> list[tuple[str, list[PriceChange]]]:
    """Return changes by group, in their order."""
    return [
        (group, list(rows)) for group, rows in groupby(changes.changes, key=lambda row: row.group)
    ]


async def _asks_back(asked: AdminAsked) -> Asks:
    at = desk(asked)
    wanted = await prices.show(at, numbered(asked, "version"))
    live = await prices.show(at, None)
    changes = price_changes.compared(live.text, wanted.text).changes
    return Asks(
        title=f"Go back to version {wanted.version}",
        lead=f"Its text becomes the newest version, in place of version {live.version}. "
        "Gateways take it within seconds; calls under way keep their price.",
        button=f"Go back to version {wanted.version}",
        back="/prices",
        danger=True,
        values={"expected": live.version},
        inputs=(Input("expected", "", kind="hidden"),),
        points=[change.sentence for change in changes],
    )


async def _back(asked: AdminAsked, form: Expected) -> Response:
    done = await prices.rollback(desk(asked), numbered(asked, "version"), expected=form.expected)
    return asked.onward("/prices", done=f"version-{done.version}")


ROLL_BACK = Action(
    path="/prices/{version}/rollback", name=NAME, model=Expected, asks=_asks_back, do=_back
)
