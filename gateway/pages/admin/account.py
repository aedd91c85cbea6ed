"""One account, with all that belongs to it."""

from datetime import date

from starlette.responses import Response

from config import format_amount
from gateway.operations import accounts, charges, grants, history, keys, payments
from gateway.operations.history import EntryQuery, UsageQuery
from gateway.operations.now import utc_now
from gateway.operations.payments import PaymentQuery
from gateway.pages import charts
from gateway.pages.admin.asking import (
    FEW,
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
from gateway.pages.charts import Point
from gateway.paging import PageQuery
from ledger.entries import KINDS
from ledger.ids import parse_account


class EntryFilter(Paged):
    """Which entries."""

    kind: Word = None
    type: Word = None


async def one(asked: AdminAsked) -> Response:
    """Show an account with its balances, keys, grants and latest charges."""
    services, at = asked.services, desk(asked)
    account = await accounts.show(at, asked.path["account"])
    number = parse_account(account.id) or 0
    database = services.ledger.database
    usage = await history.used(database, number, given(UsageQuery), now=utc_now(services.clock))
    shop = services.billing.shop
    paid = None
    if shop is not None:
        paid = await payments.listed(shop, given(PaymentQuery, account=account.id, limit=FEW))
    return asked.shows(
        "admin/account.html",
        account=account,
        keys=(await keys.listed(at, account.id)).items,
        grants=await grants.listed(at, account.id, given(PageQuery, limit=FEW)),
        charges=await charges.listed(
            database, given(charges.ChargeQuery, limit=FEW), account=number
        ),
        usage=[
            (part, _by_day(part, usage.since.date(), usage.until.date()))
            for part in usage.types
            if part.days
        ],
        payments=paid,
        done=asked.request.query_params.get("done", ""),
    )


def _by_day(part: history.TypeUsage, since: date, until: date) -> charts.Chart:
    """Draw what was used by day; days without any are empty."""
    known = {day.day: day for day in part.days}
    points = []
    for ordinal in range(since.toordinal(), until.toordinal() + 1):
        day = date.fromordinal(ordinal)
        one = known.get(day)
        used = 0 if one is None else one.used
        points.append(Point(day.strftime("%d %b"), used, format_amount(used, part.scale)))
    return charts.bars(points)


async def entries(asked: AdminAsked) -> Response:
    """Show all that moved an account's balances."""
    wanted = query(asked, EntryFilter)
    account = await accounts.show(desk(asked), asked.path["account"])
    page = await history.page(
        asked.services.ledger.database,
        parse_account(account.id) or 0,
        given(EntryQuery, kind=wanted.kind, type=wanted.type, cursor=wanted.cursor, limit=ROWS),
    )
    return asked.shows(
        "admin/entries.html",
        account=account,
        page=page,
        form=filters(asked),
        kinds=KINDS,
        paging=paging(asked, page.next),
    )


async def grants_of(asked: AdminAsked) -> Response:
    """Show an account's grants."""
    wanted = query(asked, Paged)
    account = await accounts.show(desk(asked), asked.path["account"])
    page = await grants.listed(
        desk(asked), account.id, given(PageQuery, cursor=wanted.cursor, limit=ROWS)
    )
    return asked.shows(
        "admin/grants.html", account=account, page=page, paging=paging(asked, page.next)
    )
