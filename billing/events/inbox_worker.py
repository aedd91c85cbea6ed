"""
Working through the inbox: each event's object is settled, and the event says what came of it.

No row stays locked while Stripe is asked: a row is claimed by moving its next try a little ahead,
so one whose worker died comes back by itself. Two workers on one object are harmless, since
settling is; they only ask Stripe twice.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from billing import settling
from billing.errors import Quarantined, StripeRefused, StripeUnavailable
from billing.events import inbox
from billing.marks import is_ours
from billing.shop import Settled, Shop
from billing.stripe_door import at
from billing.telling import alerts
from ledger.database import Queries
from ledger.outage import OUTAGE, told

AT_ONCE = 4
"""Objects settled side by side; each takes a connection and a few calls to Stripe."""

BATCH = 16
LEASE = timedelta(seconds=15)
"""How long a claimed row is out of reach. Longer than settling takes but for a silent Stripe."""

FIRST_RETRY_S = 5
LONGEST_RETRY_S = 3_600
MOST_TRIES = 30
"""Some twenty hours, longer than Stripe was ever away; then a person is asked."""

DECLINES = ("payment_intent.payment_failed", "v1.payment_intent.payment_failed")
MANY_DECLINES = 3
DECLINES_WITHIN = timedelta(minutes=10)
"""So many of one account in that time: a card being tried out, or a buyer who needs help."""

_log = logging.getLogger(__name__)
_SQL = Queries("inbox", package="billing")


Settle: TypeAlias = Callable[[Shop, str, str], Awaitable[Settled]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to write to an event. `account_id`: whose it was, 0 for nobody's."""

    status: inbox.Status
    outcome: str
    error_code: str = ""
    account_id: int = 0


async def work(shop: Shop, *, settle: Settle = settling.settle) -> int:
    """
    Settle what is due, until nothing is; return how many events were worked on.

    Args:
        shop: Whose inbox.
        settle: Given the type and id of an object.

    Raises:
        OUTAGE: Postgres went away; what was claimed comes back by itself.

    """
    worked = 0
    while claimed := await _claim(shop):
        worked += len(claimed)
        await _all_of(shop, claimed, settle)
        if len(claimed) < BATCH:
            break
    return worked


async def _claim(shop: Shop) -> Sequence[Any]:
    async with shop.ledger.database.connection() as connection:
        rows: Sequence[Any] = await connection.fetch(
            _SQL.claim, shop.livemode, _now(shop), LEASE, BATCH
        )
    return rows


async def _all_of(shop: Shop, claimed: Sequence[Any], settle: Settle) -> None:
    """Settle each object once for all claimed events that are about it, a few side by side."""
    by_object: dict[tuple[str, str], list[Any]] = {}
    for row in claimed:
        by_object.setdefault((row["object_type"], row["object_id"]), []).append(row)
    free = asyncio.Semaphore(AT_ONCE)

    async def one(rows: Sequence[Any]) -> None:
        async with free:
            verdict = await _judge(shop, rows[0], settle)
            for row in rows:
                await _finish(shop, row, verdict)

    ended = await asyncio.gather(*map(one, by_object.values()), return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each


async def _judge(shop: Shop, row: Any, settle: Settle) -> Verdict:
    """Settle the object of an event; whatever goes wrong is a verdict as well."""
    try:
        settled = await settle(shop, row["object_type"], row["object_id"])
    except Quarantined as why:
        return Verdict("quarantined", str(why))
    except StripeUnavailable as away:
        return Verdict("failed", str(away), "unavailable")
    except StripeRefused as refused:
        if refused.code == "resource_missing":
            return _missing(shop, row)
        return Verdict("failed", str(refused), refused.code or str(refused.status))
    except OUTAGE as away:
        return Verdict("failed", told(away), type(away).__name__)
    except Exception as fault:  # noqa: BLE001 - see below
        # A mistake of ours met by one event must not hold up the others; it is logged and retried.
        _log.exception("event %s could not be settled", row["event_id"])
        return Verdict("failed", f"{type(fault).__name__}: {fault}", type(fault).__name__)
    return _settled(settled)


def _settled(settled: Settled) -> Verdict:
    status: inbox.Status = "ignored" if settled.outcome == "ignored" else "done"
    said = f"{settled.outcome}: {settled.detail}" if settled.detail else settled.outcome
    return Verdict(status, said, account_id=settled.account_id)


def _missing(shop: Shop, row: Any) -> Verdict:
    """
    Judge an event about an object that Stripe does not have.

    Deleted objects and events of another Stripe account look like this. The event's own payload
    decides nothing here but whether a person should look: our mark on it makes it ours.
    """
    if is_ours(shop, at(json.loads(row["raw"]), "data.object")):
        return Verdict("quarantined", f"Stripe has no {row['object_id']}, which carries our mark")
    return Verdict("ignored", "Stripe has no such object")


async def _finish(shop: Shop, row: Any, verdict: Verdict) -> None:
    now = _now(shop)
    if verdict.status == "failed" and row["attempts"] >= MOST_TRIES:
        verdict = Verdict("dead", verdict.outcome, verdict.error_code)
    again_at = now + timedelta(seconds=_rest_s(row["attempts"]))
    async with shop.ledger.database.transaction() as connection:
        written = await connection.fetchval(
            _SQL.finish,
            row["id"],
            row["attempts"],
            verdict.status,
            _kept(verdict.outcome),
            _kept(verdict.error_code),
            again_at,
            verdict.account_id or None,
            now,
        )
        if written is None:
            return
        if verdict.status == "quarantined":
            await alerts.raise_alert(connection, "quarantined", row["object_id"], verdict.outcome)
        if verdict.status == "dead":
            detail = f"{row['type']} about {row['object_id']} was given up: {verdict.outcome}"
            await alerts.raise_alert(connection, "inbox-dead", row["event_id"], detail)
        if verdict.status == "done":
            await inbox.settled_since(connection, row["object_id"], actor="inbox")
        if row["type"] in DECLINES and verdict.account_id:
            await _watch_declines(connection, verdict.account_id, row["event_created"])


async def _watch_declines(connection: Any, account_id: int, until: datetime) -> None:
    """Tell the operator if one account's payments are declined again and again."""
    times = await connection.fetchval(
        _SQL.declines, account_id, list(DECLINES), until, DECLINES_WITHIN
    )
    if times >= MANY_DECLINES:
        minutes = int(DECLINES_WITHIN.total_seconds() // 60)
        detail = f"{times} payments were declined within {minutes} minutes."
        await alerts.raise_alert(connection, "declines", f"acc_{account_id}", detail)


def _rest_s(attempts: int) -> int:
    """Return how long to wait after so many tries, 1 or more: twice as long after each."""
    return int(min(FIRST_RETRY_S * 2 ** min(attempts - 1, 20), LONGEST_RETRY_S))


def _kept(text: str) -> str:
    """Return what Postgres can keep, and a person would read, of a text from outside."""
    return text.replace("\x00", "")[:2_000]


def _now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)
