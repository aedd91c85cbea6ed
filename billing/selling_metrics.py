"""What Prometheus is told of selling: read from Postgres when it asks, so one process tells all."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from billing.stripe_door import Livemode
from ledger.database import Connection, Database, Queries

_SQL = Queries("selling_metrics", package="billing")

HELP = {
    "farebox_webhook_events": "Events in the inbox, by type and what became of them.",
    "farebox_inbox_waiting": "Events that are still to be settled.",
    "farebox_inbox_oldest_seconds": "For how long the oldest of them has waited.",
    "farebox_webhook_processing_seconds": "From an event's arrival to its object being settled.",
    "farebox_orders": "Purchases started, by kind and state; completed ones are `paid`.",
    "farebox_alerts_open": "Alerts that nobody has resolved, by kind.",
    "farebox_stripe_errors_total": "Answers of Stripe that were errors, by type and code.",
    "farebox_notices": "Notices that wait or were given up, by channel.",
    "farebox_reconciler_age_seconds": "Since a pass of the reconciler last came to its end.",
}

_Labels = Mapping[str, str]
_Sample = tuple[str, _Labels, float]


async def exposition(database: Database, *, livemode: Livemode, now: datetime) -> str:
    """
    Return the metrics in Prometheus' text format.

    Args:
        database: Read in one snapshot.
        livemode: Which mode's events and orders; alerts and notices know no mode.
        now: What ages are counted to.

    Raises:
        OUTAGE: Postgres is away.

    """
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        lines = [
            *await _inbox(connection, livemode, now),
            *await _others(connection, livemode, now),
        ]
    return "\n".join(lines) + "\n"


async def _inbox(connection: Connection, livemode: Livemode, now: datetime) -> list[str]:
    events = await connection.fetch(_SQL.events, livemode)
    waiting = await connection.fetchrow(_SQL.waiting, livemode, now)
    done = await connection.fetchrow(_SQL.processing, livemode)
    return [
        *_family("farebox_webhook_events", "gauge", _by(events, "type", "status")),
        *_family("farebox_inbox_waiting", "gauge", [("", {}, waiting["waiting"])]),
        *_family("farebox_inbox_oldest_seconds", "gauge", [("", {}, waiting["oldest_s"])]),
        *_family(
            "farebox_webhook_processing_seconds",
            "summary",
            [("_sum", {}, done["seconds"]), ("_count", {}, done["times"])],
        ),
    ]


async def _others(connection: Connection, livemode: Livemode, now: datetime) -> list[str]:
    orders = await connection.fetch(_SQL.orders, livemode)
    alerts = await connection.fetch(_SQL.alerts)
    errors = await connection.fetch(_SQL.errors)
    notices = await connection.fetch(_SQL.notices)
    passes = await connection.fetch(_SQL.passes, livemode, now)
    ages = [("", {"pass": row["name"]}, row["age_s"]) for row in passes]
    return [
        *_family("farebox_orders", "gauge", _by(orders, "kind", "state")),
        *_family("farebox_alerts_open", "gauge", _by(alerts, "kind")),
        *_family("farebox_stripe_errors_total", "counter", _by(errors, "type", "code")),
        *_family("farebox_notices", "gauge", _by(notices, "channel", "state")),
        *_family("farebox_reconciler_age_seconds", "gauge", ages),
    ]


def _by(rows: Iterable[Any], *labels: str) -> Iterable[_Sample]:
    for row in rows:
        yield "", {label: row[label] for label in labels}, row["times"]


def _family(name: str, kind: str, samples: Iterable[_Sample]) -> Iterable[str]:
    yield f"# HELP {name} {HELP[name]}"
    yield f"# TYPE {name} {kind}"
    for suffix, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{suffix}{{{inside}}} {value}" if inside else f"{name}{suffix} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
