"""
What people look through, newest first.

Orders, payments, refunds, disputes, subscriptions and notices, each as a flat line with the names
people know; whoever decides anything reads the tables through the modules that own them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.errors import NoSuchObject, StateConflict
from ledger import audit
from ledger.database import Connection, Queries
from ledger.inputs import check_limit

_SQL = Queries("lists", package="billing")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order. Credits in smallest units, money in minor units, as it was offered."""

    id: str
    account_id: int
    kind: str
    state: str
    package: str
    credit_type: str
    scale: int
    credits_each: int
    currency: str
    unit_minor: int
    quantity: int
    session_id: str | None
    payment_intent_id: str | None
    subscription_id: str | None
    customer_id: str | None
    email: str
    failure: str | None
    problem: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentLine:
    """
    A payment that gave credits.

    Attributes:
        object_id: The checkout session, invoice or payment intent that it was booked by.
        credits: What it gave, smallest units.
        clawed: What was taken back of that, and not given back again.
        reversed_minor: Of what was paid, refunded or withdrawn by disputes.

    """

    id: int
    order_id: str
    account_id: int
    source: str
    object_id: str
    package: str
    kind: str
    payment_intent_id: str | None
    charge_id: str | None
    invoice_id: str | None
    customer_id: str | None
    currency: str
    quantity: int
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    paid_minor: int
    fee_minor: int | None
    fee_currency: str | None
    refunded_minor: int
    disputed_minor: int
    reversed_minor: int
    receipt_url: str | None
    invoice_url: str | None
    invoice_pdf: str | None
    paid_at: datetime
    credit_type: str
    scale: int
    credits: int
    clawed: int


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Money that we were asked to give back."""

    id: str
    order_id: str
    payment_id: int
    amount_minor: int
    currency: str
    state: str
    stripe_id: str | None
    reason: str
    failure: str | None
    actor: str
    reference: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DisputeLine:
    """A dispute; `withdrawn_minor` is what it takes at the moment, 0 for an inquiry."""

    id: str
    payment_id: int
    order_id: str
    account_id: int
    amount_minor: int
    currency: str
    withdrawn_minor: int
    status: str
    reason: str
    open: bool
    due_by: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionLine:
    """A subscription as Stripe last showed it; `status` is Stripe's word."""

    id: str
    order_id: str | None
    account_id: int
    status: str
    package: str
    quantity: int
    currency: str
    period_minor: int
    interval: str
    interval_count: int
    plan_tier: str
    feature_flags: list[str]
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """One end of a notice, and how it fares there."""

    id: int
    kind: str
    account_id: int | None
    key: str
    payload: Mapping[str, Any]
    created_at: datetime
    channel: str
    state: str
    attempts: int
    error: str
    sent_at: datetime | None


async def orders(
    connection: Connection,
    *,
    livemode: bool,
    account_id: int | None = None,
    state: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[OrderLine]:
    """List orders; `before` is the id of the last one of the page before."""
    found = await connection.fetch(
        _SQL.orders, livemode, account_id, state, before, check_limit(limit), None
    )
    return [OrderLine(**row) for row in found]


async def order(connection: Connection, order_id: str, *, livemode: bool) -> OrderLine:
    """
    Return one order.

    Raises:
        NoSuchObject: There is none of that id in this mode.

    """
    found = await connection.fetchrow(_SQL.orders, livemode, None, None, None, 1, order_id)
    if found is None:
        raise NoSuchObject(f"there is no order {order_id}")
    return OrderLine(**found)


async def payments(
    connection: Connection,
    *,
    livemode: bool,
    account_id: int | None = None,
    order_id: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[PaymentLine]:
    """List payments; `before` is the id of the last one of the page before."""
    found = await connection.fetch(
        _SQL.payments, livemode, account_id, order_id, before, check_limit(limit)
    )
    return [PaymentLine(**row) for row in found]


async def refunds_of_order(
    connection: Connection, order_id: str, *, livemode: bool
) -> list[RefundLine]:
    """List what we were asked to give back on an order, oldest first."""
    found = await connection.fetch(_SQL.refunds, livemode, order_id, None)
    return [RefundLine(**row) for row in found]


async def refund(connection: Connection, refund_id: str, *, livemode: bool) -> RefundLine:
    """
    Return what we were asked to give back once.

    Raises:
        NoSuchObject: There is none of that id in this mode.

    """
    found = await connection.fetchrow(_SQL.refunds, livemode, None, refund_id)
    if found is None:
        raise NoSuchObject(f"there is no refund {refund_id}")
    return RefundLine(**found)


async def disputes(
    connection: Connection,
    *,
    livemode: bool,
    account_id: int | None = None,
    is_open: bool | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[DisputeLine]:
    """List disputes; `before` is the id of the last one of the page before."""
    found = await connection.fetch(
        _SQL.disputes, livemode, account_id, is_open, before, check_limit(limit)
    )
    return [DisputeLine(**row) for row in found]


async def subscriptions(
    connection: Connection,
    *,
    livemode: bool,
    account_id: int | None = None,
    status: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[SubscriptionLine]:
    """List subscriptions; `before` is the id of the last one of the page before."""
    found = await connection.fetch(
        _SQL.subscriptions, livemode, account_id, status, before, check_limit(limit), None
    )
    return [SubscriptionLine(**row) for row in found]


async def subscription(
    connection: Connection, subscription_id: str, *, livemode: bool
) -> SubscriptionLine:
    """
    Return one subscription.

    Raises:
        NoSuchObject: There is none of that id in this mode.

    """
    found = await connection.fetchrow(
        _SQL.subscriptions, livemode, None, None, None, 1, subscription_id
    )
    if found is None:
        raise NoSuchObject(f"there is no subscription {subscription_id}")
    return SubscriptionLine(**found)


async def subscription_counts(connection: Connection, *, livemode: bool) -> dict[str, int]:
    """Return how many subscriptions have each of Stripe's statuses."""
    found = await connection.fetch(_SQL.subscription_counts, livemode)
    return {row["status"]: row["times"] for row in found}


async def notices(
    connection: Connection,
    *,
    state: str | None = None,
    account_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[NoticeLine]:
    """List the ends of the newest `limit` notices; with a state, of those that have such an end."""
    found = await connection.fetch(_SQL.notices, state, account_id, before, check_limit(limit))
    return [NoticeLine(**row) for row in found]


async def retry_notice(connection: Connection, notice_id: int, *, actor: str) -> list[str]:
    """
    Have the dead ends of a notice tried again from the beginning; returns which they are.

    Raises:
        StateConflict: None of its ends is dead, or there is no such notice. Nothing changed.

    """
    async with connection.transaction():
        channels = [row["channel"] for row in await connection.fetch(_SQL.retry_notice, notice_id)]
        if not channels:
            raise StateConflict(f"notice {notice_id} has no end that was given up")
        await audit.write(
            connection, actor, "notice.retry", f"notice {notice_id}", {"channels": channels}
        )
    return channels
