"""
The door for what Stripe delivers: believed, stored and committed before it is answered.

What is stored waits in the inbox; nothing is done with it here. A repeat is answered as the first
was. Of a body that cannot be believed nothing is kept but a count.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from billing.errors import StripeRefused, StripeUnavailable
from billing.events import inbox
from billing.events.event import BadPayload, Event, read_event
from billing.events.event_types import listed
from billing.events.signature import BadSignature, verify
from billing.shop import Shop
from billing.stripe_door import API_VERSION
from billing.telling import alerts
from ledger.errors import LedgerUnavailable
from ledger.outage import OUTAGE, told

__all__ = ["MAX_BODY_BYTES", "Accepted", "BadPayload", "BadSignature", "accept"]

MAX_BODY_BYTES = 2**20
"""Events of over 52 KB have been seen; whoever reads the body off the wire stops here."""

STORE_LIMIT_S = 5.0
"""Stripe gives up after some ten seconds; it should hear 503 from us before."""

_NOT_STORED: tuple[type[Exception], ...] = (*OUTAGE, StripeUnavailable, StripeRefused)


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is in the inbox, and committed. `new` is false if it was there before."""

    new: bool


async def accept(shop: Shop, raw: bytes, signature_header: str | None) -> Accepted:
    """
    Take one delivery.

    Args:
        shop: With the secrets that may have signed it.
        raw: The body as it came, `MAX_BODY_BYTES` at most.
        signature_header: `Stripe-Signature`; None if there was none.

    Raises:
        BadSignature: None of our secrets signed it, or not now. Nothing is stored.
        BadPayload: It is signed but no event. Nothing is stored.
        LedgerUnavailable: It could not be committed; Stripe has to deliver it again.

    """
    counts = shop.webhook_counts
    try:
        verify(raw, signature_header, shop.webhook_secrets, shop.clock.now_ms() / 1_000)
    except BadSignature as bad:
        if counts.signature_failed(shop.clock.monotonic()):
            await _alert(shop, bad)
        raise
    counts.signature_held()
    try:
        event = read_event(_parsed(raw))
    except BadPayload:
        counts.bad_payload += 1
        raise
    try:
        async with asyncio.timeout(STORE_LIMIT_S):
            new = await _store(shop, event, raw)
    except _NOT_STORED as away:
        counts.unavailable += 1
        raise LedgerUnavailable(f"the event was not stored: {told(away)}") from away
    if new:
        counts.accepted += 1
    else:
        counts.duplicate += 1
    return Accepted(new)


def _parsed(raw: bytes) -> object:
    try:
        document: object = json.loads(raw)
    except (ValueError, RecursionError) as bad:
        raise BadPayload("the body is not JSON") from bad
    return document


async def _store(shop: Shop, event: Event, raw: bytes) -> bool:
    status, outcome = await _judged(shop, event)
    now = datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)
    drifted = _drifted(shop, event)
    async with shop.ledger.database.transaction() as connection:
        new = await inbox.put(
            connection, event, raw, now=now, origin="webhook", status=status, outcome=outcome
        )
        if new and status == "quarantined":
            await alerts.raise_alert(connection, "quarantined", event.id, outcome)
        if new and drifted:
            detail = f"Events come as of {drifted}, this release reads {API_VERSION}."
            await alerts.raise_alert(connection, "api-version", drifted, detail)
    if drifted:
        shop.webhook_counts.drifted.add(drifted)
    return new


async def _judged(shop: Shop, event: Event) -> tuple[inbox.Status, str]:
    """Return the status that the event begins with, and why it is none of our business if so."""
    if event.livemode != shop.livemode:
        return "ignored", "of live mode" if event.livemode else "of test mode"
    # Only events of connected accounts name one, so Stripe is asked who we are once and rarely.
    if event.stripe_account and event.stripe_account != await shop.stripe.account_id():
        return "ignored", "of another Stripe account"
    if not listed(event.type, thin=event.thin):
        return "ignored", "of a type that is of no use here"
    if not event.object_id:
        return "quarantined", f"{event.type} names no object"
    return "received", ""


def _drifted(shop: Shop, event: Event) -> str:
    """Return the event's version if it is not ours and this process has not said so yet."""
    known = {"", API_VERSION, *shop.webhook_counts.drifted}
    return "" if event.api_version in known else event.api_version


async def _alert(shop: Shop, bad: BadSignature) -> None:
    """Tell the operator that the secret may be wrong; with Postgres away the count has to do."""
    detail = f"Several deliveries in a row could not be believed, the last one: {bad.reason}."
    try:
        async with asyncio.timeout(STORE_LIMIT_S), shop.ledger.database.transaction() as connection:
            await alerts.raise_alert(connection, "webhook-signature", "", detail)
    except OUTAGE:
        return
