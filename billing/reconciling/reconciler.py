"""
Finding what no webhook told: three passes over what Stripe has, each on its own beat.

* events  every 5 minutes: events since the last time go into the inbox; what is there stays there
* state   every hour: what we think is unfinished, and what happened at Stripe, is settled
* audit   every day: sums on both sides are compared; differences are told, never corrected

A pass only ever does what a webhook would have caused, so running it again changes nothing. After
a restore from a backup the same passes catch up: their cursors are as old as the backup.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.errors import StripeRefused, StripeUnavailable
from billing.events import inbox
from billing.events.event import BadPayload, Event, read_event
from billing.events.event_types import EVENT_TYPES
from billing.reconciling import audit_pass, state_pass
from billing.reconciling.pass_report import PassName, Report, refused_list
from billing.shop import Shop
from billing.stripe_door import listed
from ledger.database import Connection, Queries

PASSES: Sequence[PassName] = ("events", "state", "audit")
EVERY: Mapping[PassName, timedelta] = {
    "events": timedelta(minutes=5),
    "state": timedelta(hours=1),
    "audit": timedelta(days=1),
}
OVERLAP: Mapping[PassName, timedelta] = {
    # Events become visible a little late, and clocks differ.
    "events": timedelta(hours=1),
    # A session lives for a day at most, and is listed by when it was made.
    "state": timedelta(hours=26),
    "audit": timedelta(0),
}
"""How much of what was seen is looked at again."""

HORIZON = timedelta(days=30)
"""Stripe lists no older events."""

TYPES_AT_ONCE = 20
"""Stripe takes no more types in one list."""

CHUNK = 100
"""Events committed together."""

_SQL = Queries("reconciler", package="billing")


async def tick(shop: Shop, name: PassName) -> Report | None:
    """Run a pass if its time has come; None if it has not. One that stopped early is due again."""
    async with shop.ledger.database.connection() as connection:
        row = await connection.fetchrow(_SQL.cursor, name, shop.livemode)
    # A time that lies ahead was written by a clock that was wrong.
    if row is not None and timedelta(0) <= _now(shop) - row["ran_at"] < EVERY[name]:
        return None
    return await _run(shop, name, dry_run=False, since=None)


async def run(
    shop: Shop,
    passes: Sequence[PassName] = PASSES,
    *,
    dry_run: bool = False,
    since: datetime | None = None,
) -> list[Report]:
    """
    Run passes now, in the order given.

    Args:
        shop: Whose.
        passes: Which.
        dry_run: Only say what would be done; nothing changes here or at Stripe.
        since: Look at least this far back, though not beyond Stripe's 30 days.

    Raises:
        OUTAGE: Postgres is away; what was committed stays, and the cursors did not move.

    """
    return [await _run(shop, name, dry_run=dry_run, since=since) for name in passes]


async def _run(shop: Shop, name: PassName, *, dry_run: bool, since: datetime | None) -> Report:
    report = Report(name, dry_run)
    begun = _now(shop)
    start = await _start(shop, name, begun, since)
    try:
        if name == "events":
            await _events(shop, report, start)
        elif name == "state":
            await state_pass.run(shop, report, start, begun)
        else:
            await audit_pass.run(shop, report, start, begun)
    except StripeUnavailable as away:
        report.complete = False
        report.note(f"stopped early: {away}")
    except StripeRefused as refused:
        report.complete = False
        await refused_list(shop, report, f"the {name} pass", refused)
    if report.complete and not dry_run:
        summary = report.to_json()
        async with shop.ledger.database.connection() as connection:
            await connection.execute(
                _SQL.move_cursor, name, shop.livemode, begun, _now(shop), summary
            )
    return report


async def _start(shop: Shop, name: PassName, now: datetime, since: datetime | None) -> datetime:
    """Return from when on to look: before the cursor, or far back if there never was one."""
    async with shop.ledger.database.connection() as connection:
        row = await connection.fetchrow(_SQL.cursor, name, shop.livemode)
        if row is not None:
            start: datetime = row["seen_to"] - OVERLAP[name]
            if start > now:  # written by a clock that was ahead: what was seen is not known
                start = now - HORIZON
        elif await connection.fetchval(_SQL.any_order, shop.livemode):
            start = now - HORIZON
        else:
            # Nothing was sold yet: what else happens in this Stripe account is not ours.
            start = now - max(OVERLAP[name], EVERY[name])
    return max(min(start, since or start), now - HORIZON)


async def _events(shop: Shop, report: Report, start: datetime) -> None:
    """Put into the inbox what happened since `start` and is not there."""
    chunk: list[tuple[Event, bytes]] = []
    async for found in _happened(shop, start):
        report.looked_at += 1
        document = found.to_dict()
        try:
            event = read_event(document)
        except BadPayload as bad:
            report.outcomes["unreadable"] += 1
            report.note(f"{document.get('id')}: {bad}")
            continue
        chunk.append((event, json.dumps(document, default=str).encode()))
        if len(chunk) >= CHUNK:
            await _put(shop, report, chunk)
            chunk = []
    await _put(shop, report, chunk)


async def _happened(shop: Shop, start: datetime) -> AsyncIterator[Any]:
    created = {"gte": int(start.timestamp())}
    for first in range(0, len(EVENT_TYPES), TYPES_AT_ONCE):
        types = list(EVENT_TYPES[first : first + TYPES_AT_ONCE])
        method = shop.stripe.v1.events.list_async
        async for event in listed(method, {"types": types, "created": created}):
            yield event


async def _put(shop: Shop, report: Report, chunk: Sequence[tuple[Event, bytes]]) -> None:
    async with shop.ledger.database.transaction() as connection:
        before = await inbox.known(connection, shop.livemode, [event.id for event, _ in chunk])
        for event, raw in chunk:
            if event.id in before:
                report.outcomes["known"] += 1
            elif report.dry_run:
                report.outcomes["would_settle"] += 1
                report.note(f"would take in {event.id}: {event.type} {event.object_id}")
            else:
                await _take(connection, shop, report, event, raw)


async def _take(
    connection: Connection, shop: Shop, report: Report, event: Event, raw: bytes
) -> None:
    status: inbox.Status = "received" if event.object_id else "ignored"
    outcome = "" if event.object_id else "it names no object"
    given: dict[str, Any] = {"origin": "reconciler", "status": status, "outcome": outcome}
    if await inbox.put(connection, event, raw, now=_now(shop), **given):
        report.outcomes["taken_in"] += 1
        report.note(f"no webhook brought {event.id}: {event.type} {event.object_id}")


def _now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)
