"""
The hourly pass: everything that may have moved at Stripe without our knowing is settled.

First what we think is unfinished, then what happened at Stripe in the window. Only what carries
our mark, or stands behind a payment of ours, is asked about: the account may serve others too.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from billing.errors import BillingError, StripeRefused
from billing.marks import MARK, is_ours
from billing.purchases import checkout, orders
from billing.reconciling.pass_report import NO_USE_GOING_ON, Report, refused_list, settle
from billing.reversing import money_back
from billing.reversing.disputes import withdrawn_minor
from billing.shop import Shop
from billing.stripe_door import at, ident, listed
from billing.topup import topups
from ledger.database import Queries

UNFINISHED_AFTER = timedelta(minutes=10)
"""A buyer pays within minutes; before that the webhook and the success page see to it."""

RENEWAL_LATE_AFTER = timedelta(hours=2)
"""Stripe leaves an invoice open for about an hour before it charges."""

LOOKED_AT_EVERY = timedelta(days=1)

MOST_ORDERS = 10_000
"""Looked at in one pass, the oldest first; what is open longer than a day has expired."""

log = logging.getLogger(__name__)
_SQL = Queries("state_pass", package="billing")


async def run(shop: Shop, report: Report, start: datetime, now: datetime) -> None:
    """
    Settle what may have moved since `start`.

    What Stripe refuses to list is told, and keeps nothing else from being looked at.

    Raises:
        StripeUnavailable: No answer; what was settled stays.
        OUTAGE: A store is away.

    """
    window = {"created": {"gte": int(start.timestamp())}}
    for what, look in (
        ("orders", partial(_unfinished_orders, shop, report, now)),
        ("sessions", partial(_sessions, shop, report, window)),
        ("subscriptions", partial(_subscriptions, shop, report, window, now)),
        ("invoices", partial(_invoices, shop, report, window)),
        ("refunds", partial(_refunds, shop, report, window)),
        ("disputes", partial(_disputes, shop, report, window)),
    ):
        try:
            await look()
        except StripeRefused as refused:
            await refused_list(shop, report, what, refused)
    if not report.dry_run:
        await topups.look_again(shop)
        await money_back.look_again(shop)


async def _unfinished_orders(shop: Shop, report: Report, now: datetime) -> None:
    before = now - UNFINISHED_AFTER
    rows = await _fetch(shop, _SQL.unfinished_orders, shop.livemode, before, MOST_ORDERS)
    for row in rows:
        if row["session_id"] is not None:
            await settle(shop, report, "checkout.session", row["session_id"])
        else:
            await _without_session(shop, report, row["id"])


async def _without_session(shop: Shop, report: Report, order_id: str) -> None:
    """Find the session of an order whose first answer was lost; asking again is harmless."""
    report.looked_at += 1
    if report.dry_run:
        report.outcomes["would_settle"] += 1
        report.note(f"would look for the session of {order_id}")
        return
    async with shop.ledger.database.connection() as connection:
        order = await orders.get(connection, order_id)
    if order is None:
        return
    try:
        await checkout.find(shop, order)
    except NO_USE_GOING_ON:
        raise
    except BillingError as why:
        report.failed("failed", f"{order_id}: {why}")
    except Exception as fault:
        # As for any other object: a mistake of ours met by one must not hide the others.
        log.exception("the session of %s could not be looked for", order_id)
        report.failed("failed", f"{order_id}: {type(fault).__name__}")
    else:
        report.outcomes["updated"] += 1


async def _sessions(shop: Shop, report: Report, window: Mapping[str, Any]) -> None:
    """Settle completed sessions with our mark whose orders are not closed, or not there."""
    wanted = {**window, "status": "complete"}
    found = [
        session.id
        async for session in listed(shop.stripe.v1.checkout.sessions.list_async, wanted)
        if is_ours(shop, session)
    ]
    closed = await _fetch(shop, _SQL.closed_sessions, shop.livemode, found)
    for session_id in sorted(set(found) - {row["session_id"] for row in closed}):
        await settle(shop, report, "checkout.session", session_id)


async def _subscriptions(
    shop: Shop, report: Report, window: Mapping[str, Any], now: datetime
) -> None:
    due = [
        row["id"]
        for row in await _fetch(
            shop,
            _SQL.stale_subscriptions,
            shop.livemode,
            now - RENEWAL_LATE_AFTER,
            now - LOOKED_AT_EVERY,
        )
    ]
    wanted = {**window, "status": "all"}
    due += [
        subscription.id
        async for subscription in listed(shop.stripe.v1.subscriptions.list_async, wanted)
        if is_ours(shop, subscription) and not await _known(shop, subscription.id)
    ]
    for subscription_id in dict.fromkeys(due):
        if await settle(shop, report, "subscription", subscription_id):
            # An invoice may be paid weeks after it was made, when no window shows it any more.
            invoice = await _ask(shop, _SQL.latest_invoice, shop.livemode, subscription_id)
            if invoice and not await _booked(shop, [invoice]):
                await settle(shop, report, "invoice", invoice)


async def _invoices(shop: Shop, report: Report, window: Mapping[str, Any]) -> None:
    found = []
    async for invoice in listed(shop.stripe.v1.invoices.list_async, {**window, "status": "paid"}):
        parent = at(invoice, "parent.subscription_details")
        subscription = ident(at(parent, "subscription"))
        if subscription is None:
            continue
        marked = at(parent, f"metadata.{MARK}") == shop.installation
        if marked or await _known(shop, subscription):
            found.append(invoice.id)
    for invoice_id in sorted(set(found) - await _booked(shop, found)):
        await settle(shop, report, "invoice", invoice_id)


async def _refunds(shop: Shop, report: Report, window: Mapping[str, Any]) -> None:
    rows = await _fetch(shop, _SQL.moving_refunds, shop.livemode)
    due = [row["id"] for row in rows]
    async for refund in listed(shop.stripe.v1.refunds.list_async, window):
        status = await _ask(shop, _SQL.refund_as_known, shop.livemode, refund.id)
        if status != refund.status and await _concerns_us(shop, refund):
            due.append(refund.id)
    for refund_id in dict.fromkeys(due):
        await settle(shop, report, "refund", refund_id)


async def _disputes(shop: Shop, report: Report, window: Mapping[str, Any]) -> None:
    rows = await _fetch(shop, _SQL.moving_disputes, shop.livemode)
    due = [row["id"] for row in rows]
    async for dispute in listed(shop.stripe.v1.disputes.list_async, window):
        stored = await _fetch(shop, _SQL.dispute_as_known, shop.livemode, dispute.id)
        moved = at(dispute, "balance_transactions") or []
        withdrawn = withdrawn_minor(dispute.amount, dispute.currency, moved)
        as_known = [tuple(row) for row in stored] == [(dispute.status, withdrawn)]
        if not as_known and await _concerns_us(shop, dispute):
            due.append(dispute.id)
    for dispute_id in dict.fromkeys(due):
        await settle(shop, report, "dispute", dispute_id)


async def _concerns_us(shop: Shop, thing: Any) -> bool:
    """Whether a refund or dispute is about a payment of ours, or says that it is ours."""
    if is_ours(shop, thing):
        return True
    intent, charge = ident(at(thing, "payment_intent")), ident(at(thing, "charge"))
    return bool(await _ask(shop, _SQL.paid_by, shop.livemode, intent, charge))


async def _known(shop: Shop, subscription_id: str) -> bool:
    return bool(await _ask(shop, _SQL.subscription_known, shop.livemode, subscription_id))


async def _booked(shop: Shop, object_ids: Sequence[str]) -> set[str]:
    rows = await _fetch(shop, _SQL.booked, shop.livemode, list(object_ids))
    return {row["object_id"] for row in rows}


async def _fetch(shop: Shop, statement: str, *values: Any) -> Sequence[Any]:
    async with shop.ledger.database.connection() as connection:
        rows: Sequence[Any] = await connection.fetch(statement, *values)
    return rows


async def _ask(shop: Shop, statement: str, *values: Any) -> Any:
    async with shop.ledger.database.connection() as connection:
        return await connection.fetchval(statement, *values)
