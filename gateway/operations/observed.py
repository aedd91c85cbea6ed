"""What routes that observe would have charged and refused, per route and account."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from config import Price, on_plan, units_of
from gateway.limits import limits_on, limits_over_all
from gateway.metering import CONTINUES
from gateway.models import Answer, Given, Time
from gateway.operations.history import Since, Until
from gateway.operations.price_book import PriceBook
from gateway.operations.rehearsal import Figures, Purse, Refusal, Rehearsal, Request, Terms
from gateway.operations.rehearsed_limits import CapChange
from gateway.operations.shown import Display, display
from gateway.watched import Met, read_note
from ledger import credit_types, observed
from ledger.database import Connection, Database
from ledger.errors import InvalidInput
from ledger.fold_uses import FREE_NOTE
from ledger.ids import account_text, minted_us
from ledger.limits import PERIODS

USUAL = timedelta(days=1)
MAX_DAYS = 31
"""A report is computed from single requests; a month at once is enough."""

MAX_ACCOUNTS = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATER = 2**62
"""When what is still under way will end."""

Progress = Callable[[int], None]


class ObservedQuery(Given):
    """Which time, 31 days at most; the last 24 hours if none is named."""

    since: Since = None
    until: Until = None
    limit: Annotated[
        int, Field(ge=1, le=MAX_ACCOUNTS, description="Accounts listed, dearest first.")
    ] = 100


class Reason(Answer):
    """How many requests met the same: a problem's name, or why there was no price."""

    reason: str
    limit: Annotated[str | None, Field(description="Which limit, where the problem names one.")] = (
        None
    )
    requests: int


class Would(Answer):
    """What observed requests for one credit type would have come to."""

    credit_type: str
    scale: int
    requests: int
    charged: Annotated[int, Field(description="Requests that would have cost something.")]
    charge: Annotated[int, Field(description="What those would have taken together.")]
    cost: Annotated[int, Field(description="Of all that were priced, refused ones among them.")]
    free: Annotated[int, Field(description="Requests that an allowance would have paid for.")]
    refused: Annotated[list[Reason], Field(description="Would-be answers, by problem.")]
    unpriced: Annotated[list[Reason], Field(description="What could not be priced, and why.")]
    display: Display


class WouldRoute(Would):
    """One route."""

    route: str


class WouldAccount(Would):
    """
    One account; none: requests that nobody could be found for.

    `start` is what it had when the time began, `left` what it would have had at its end.
    """

    account: str | None
    external_id: str | None
    start: int
    left: int
    available: Annotated[int, Field(description="What it has now, nothing of this being charged.")]
    dry_at: Annotated[Time | None, Field(description="When a request could first not be paid.")]
    short: Annotated[int, Field(description="What all requests that could not be paid cost.")]


class ObservedAnswer(Answer):
    """The report from `since` to before `until`, as if charging had been on from its beginning."""

    since: Time
    until: Time
    requests: int
    types: list[Would]
    routes: list[WouldRoute]
    accounts: list[WouldAccount]
    accounts_total: int
    dry: Annotated[list[WouldAccount], Field(description="Who would have run dry, first first.")]
    dry_total: int
    unread_versions: Annotated[
        list[int], Field(description="Price versions whose limits and holds could not be read.")
    ]


async def report(
    database: Database, query: ObservedQuery, *, now: datetime, progress: Progress | None = None
) -> ObservedAnswer:
    """
    Rehearse what was observed over a time.

    `progress` is told the number of rows done, each time some thousand are. Memory grows with the
    accounts and routes, not with the requests.

    Raises:
        InvalidInput: The time is empty or longer than 31 days.

    """
    until = query.until or now
    since = query.since or until - USUAL
    if since >= until:
        raise InvalidInput("from", "must be before to")
    if until - since > timedelta(days=MAX_DAYS):
        raise InvalidInput("from", f"at most {MAX_DAYS} days at once")
    # One moment for all of it, or what is posted meanwhile would count as there from the start.
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        types = {row.id: row for row in await credit_types.every(connection)}
        pools = await observed.pools(connection, since, until)
        accounts = sorted({pool.account_id for pool in pools})
        rehearsal = Rehearsal(
            {(pool.account_id, pool.credit_type_id): pool.start for pool in pools},
            keys=await observed.keys(connection, accounts),
            freezes=await _freezes(connection, accounts),
            caps=await _caps(connection, accounts),
        )
        terms = _TermsOf(connection)
        done = 0
        async for rows in observed.events(connection, since, until, accounts):
            for row in rows:
                if row.what == "watched":
                    rehearsal.asked(await terms.request(row))
                    continue
                if row.what == "charged":
                    rehearsal.charged(await terms.request(row))
                if row.account_id is not None and row.captured is not None:
                    rehearsal.moved(row.account_id, row.credit_type_id, row.captured)
            done += len(rows)
            if progress is not None:
                progress(done)
    span = since.astimezone(UTC), until.astimezone(UTC)
    return _answer(span, rehearsal, pools, types, limit=query.limit, unread=sorted(terms.unread))


async def _freezes(
    connection: Connection, accounts: list[int]
) -> dict[int, list[tuple[int, bool]]]:
    found: dict[int, list[tuple[int, bool]]] = {}
    for freeze in await observed.freezes(connection, accounts):
        at_us = (freeze.at - _EPOCH) // _MICROSECOND
        found.setdefault(freeze.account_id, []).append((at_us, freeze.frozen))
    return found


def _ends_us(row: observed.Event, at_us: int) -> int:
    """Return when a request ended; a watched one is recorded somewhat later than it ended."""
    if row.duration_ms is not None:
        return at_us + 1000 * row.duration_ms
    return _LATER if row.ended is None else (row.ended - _EPOCH) // _MICROSECOND


async def _caps(connection: Connection, accounts: list[int]) -> dict[int, list[CapChange]]:
    found: dict[int, list[CapChange]] = {}
    for cap in await observed.caps(connection, accounts):
        at_us = (cap.at - _EPOCH) // _MICROSECOND
        change = CapChange(at_us, cap.credit_type_id, PERIODS[cap.per], cap.units)
        found.setdefault(cap.key_id, []).append(change)
    return found


class _TermsOf:
    """Finds what the price file of a request's time said of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._book = PriceBook(None)
        self._known: dict[tuple[int, int, str], tuple[Price | None, Terms]] = {}
        self.unread: set[int] = set()

    async def request(self, row: observed.Event) -> Request:
        """Return a request as the rehearsal takes it."""
        met, at_us = read_note(row.note), minted_us(row.id)
        if row.what == "charged":
            met = Met(failed=row.failed)
        return Request(
            at_us=at_us,
            ends_us=_ends_us(row, at_us),
            route=row.route or "?",
            account=row.account_id,
            key=row.key_id,
            credit_type=row.credit_type_id,
            cost=row.amount,
            met=met,
            terms=await self._terms(row, priced=not met.unpriced),
            free=row.what == "charged" and row.note == FREE_NOTE,
        )

    async def _terms(self, row: observed.Event, *, priced: bool) -> Terms:
        assert row.price_version is not None
        assert row.rule is not None
        rule = row.price_version, row.rule, row.plan or ""
        known = self._known.get(rule)
        if known is None:
            known = self._known[rule] = await self._read(*rule)
        price, terms = known
        if (row.note or "").startswith(CONTINUES):
            return replace(terms, limits=())  # a later slice of a WebSocket is no request
        if price is None or not priced or row.what == "charged":
            return terms
        # What it would have held at the least: more only where its body had no length.
        ceiling = max(price.cost(units_of(price, row.units or ())), price.hold or 0)
        # What costs nothing is only checked, but where it uses up a quota.
        checked = ceiling == 0 and not any(one.quota is not None for one in terms.limits)
        return replace(terms, ceiling=ceiling, checked=checked)

    async def _read(self, version: int, rule: int, on: str) -> tuple[Price | None, Terms]:
        prices = await self._book.version(self._connection, version)
        if prices is None or rule >= len(prices.routes):
            self.unread.add(version)
            return None, Terms()
        plan = prices.plan_of(on)
        route = on_plan(plan, prices.routes[rule])
        price = None if route.price.unpriced else route.price
        limits = limits_on(prices, route, limits_over_all(prices, plan))
        return price, Terms(public=route.public, limits=limits, weight=route.weight)


def _answer(
    span: tuple[datetime, datetime],
    rehearsal: Rehearsal,
    pools: list[observed.WatchedPool],
    types: dict[int, credit_types.CreditTypeRow],
    *,
    limit: int,
    unread: list[int],
) -> ObservedAnswer:
    known = {(pool.account_id, pool.credit_type_id): pool for pool in pools}
    accounts = [
        _account(account, types[kind], figures, known.get((account or 0, kind)), rehearsal)
        for (account, kind), figures in rehearsal.accounts.items()
    ]
    accounts.sort(key=lambda row: (-row.charge, -row.cost, row.account or ""))
    routes = [
        WouldRoute(route=route, **_would(types[kind], figures))
        for (route, kind), figures in rehearsal.routes.items()
    ]
    dry = sorted((row for row in accounts if row.dry_at), key=lambda row: (row.dry_at, row.account))
    return ObservedAnswer(
        since=span[0],
        until=span[1],
        requests=sum(figures.requests for figures in rehearsal.totals.values()),
        types=[
            Would(**_would(types[kind], figures))
            for kind, figures in sorted(rehearsal.totals.items())
        ],
        routes=sorted(routes, key=lambda row: (-row.charge, -row.cost, row.route)),
        accounts=accounts[:limit],
        accounts_total=len(accounts),
        dry=dry[:limit],
        dry_total=len(dry),
        unread_versions=unread,
    )


def _would(
    credit_type: credit_types.CreditTypeRow, figures: Figures, **more: int
) -> dict[str, Any]:
    amounts = {"charge": figures.charge, "cost": figures.cost, **more}
    return {
        "credit_type": credit_type.name,
        "scale": credit_type.scale,
        "requests": figures.requests,
        "charged": figures.charged,
        "free": figures.free,
        "refused": _reasons(figures.refused),
        "unpriced": _reasons(Counter({Refusal(why): n for why, n in figures.unpriced.items()})),
        "display": display(credit_type.scale, amounts),
        **amounts,
    }


def _account(
    account: int | None,
    credit_type: credit_types.CreditTypeRow,
    figures: Figures,
    pool: observed.WatchedPool | None,
    rehearsal: Rehearsal,
) -> WouldAccount:
    purse = rehearsal.purses.get((account or 0, credit_type.id), Purse(0, 0))
    dry_us = purse.dry_us
    return WouldAccount(
        account=None if account is None else account_text(account),
        external_id=None if pool is None else pool.external_id,
        dry_at=None if dry_us is None else _EPOCH + timedelta(microseconds=dry_us),
        **_would(
            credit_type,
            figures,
            start=purse.start,
            left=purse.left,
            available=0 if pool is None else pool.available,
            short=purse.short,
        ),
    )


def _reasons(counted: Counter[Refusal]) -> list[Reason]:
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        Reason(reason=reason.problem, limit=reason.limit or None, requests=count)
        for reason, count in ordered
    ]
