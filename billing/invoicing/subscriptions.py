"""
Subscriptions, as Stripe shows them: who has which, until when, and what it entitles to.

Nothing here gives credits; the invoices do, see `billing.invoicing.invoices`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from billing.errors import NoSuchObject, Quarantined, StateConflict, StripeRefused
from billing.invoicing import entitlement
from billing.invoicing.recurring import offer_for
from billing.marks import is_ours
from billing.purchases import orders
from billing.purchases.orders import Order
from billing.shop import Outcome, Settled, Shop
from billing.stripe_door import at, ident, listed, moment, translated
from billing.telling import alerts, notices
from ledger.database import Connection, Queries

ENDED = frozenset({"canceled", "incomplete_expired"})
"""Stripe's states that a subscription never leaves."""

_SQL = Queries("subscriptions", package="billing")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    A subscription as Stripe showed it last.

    Attributes:
        status: Stripe's word: active, trialing, past_due, unpaid, paused, canceled...
        period_minor: What one period costs, in minor units, before discounts and tax.
        plan_tier: What it entitles to beside credits, as the package says; so `feature_flags`.
        cancel_at: When it will end; None: it goes on.

    """

    livemode: bool
    id: str
    order_id: str | None
    account_id: int
    customer_id: str
    status: str
    package: str
    quantity: int
    currency: str
    period_minor: int
    interval: str
    interval_count: int
    plan_tier: str
    feature_flags: tuple[str, ...]
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    latest_invoice_id: str | None
    created_at: datetime
    fetched_at: datetime

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row."""
        return cls(**{**row, "feature_flags": tuple(row["feature_flags"])})


async def settle(shop: Shop, subscription_id: str) -> Settled:
    """
    Bring our row of a subscription up to date. Gives no credits; a repeat changes nothing.

    It is fetched (GET /v1/subscriptions/{id}) while nobody else may fetch the same one, so that
    an older state never overwrites a newer.

    Raises:
        Quarantined: It carries our mark, and no order of ours fits.
        StripeUnavailable: No answer; ask again.

    """
    async with shop.ledger.database.transaction() as connection:
        await connection.execute(_SQL.one_at_a_time, subscription_id)
        subscription = await _fetched(shop, subscription_id)
        if subscription is None:
            return Settled("ignored", "there is no such subscription at Stripe")
        order = await _order_of(shop, connection, subscription)
        if order is None:
            return Settled("ignored", "a subscription of something else")
        now = await _row_of(shop, connection, subscription, order)
        row = await connection.fetchrow(_SQL.get, shop.livemode, subscription_id)
        before = None if row is None else Subscription.of_row(row)
        await connection.execute(_SQL.put, *_values(now))
        await orders.link(connection, order.id, subscription_id=now.id, customer_id=now.customer_id)
        if now.status in ENDED:
            await _ended(connection, order, now)
        ordered = await entitlement.follow(connection, now.account_id, livemode=shop.livemode)
    if ordered is not None:
        await shop.push(now.account_id)
    same = before is not None and _without_fetch(before) == _without_fetch(now)
    outcome: Outcome = "updated"
    if now.status in ENDED:
        outcome = "closed"
    return Settled(
        "unchanged" if same else outcome,
        f"subscription to {now.package}: {now.status}",
        now.account_id,
    )


async def get(
    connection: Connection, subscription_id: str, *, livemode: bool
) -> Subscription | None:
    """Return what is known of a subscription."""
    row = await connection.fetchrow(_SQL.get, livemode, subscription_id)
    return None if row is None else Subscription.of_row(row)


async def cancel(
    shop: Shop, account_id: int | None, subscription_id: str, *, at_period_end: bool = True
) -> Subscription:
    """
    End a subscription, and return what is known of it then. A repeat changes nothing.

    Credits that were paid for stay until they expire.

    Args:
        shop: Where.
        account_id: Whose it has to be; None: an admin may end anybody's.
        subscription_id: Which, as Stripe calls it.
        at_period_end: Let what is paid for run out; else it ends at once.

    Raises:
        NoSuchObject: It is not there, or not this account's.
        StateConflict: It has ended. Nothing changed.
        StripeUnavailable: Whether it ended is unknown; ask again.

    """
    async with shop.ledger.database.connection() as connection:
        known = await get(connection, subscription_id, livemode=shop.livemode)
    if known is None or account_id not in (None, known.account_id):
        raise NoSuchObject(f"no subscription {subscription_id}")
    if known.status in ENDED:
        raise StateConflict(f"subscription {subscription_id} has ended already")
    service = shop.stripe.v1.subscriptions
    try:
        with translated():
            if at_period_end:
                await service.update_async(subscription_id, {"cancel_at_period_end": True})
            else:
                await service.cancel_async(subscription_id)
    except StripeRefused as refused:
        # It ended a moment ago, by the portal or its last failed payment.
        if refused.code != "resource_missing":
            raise
    await settle(shop, subscription_id)
    async with shop.ledger.database.connection() as connection:
        ended = await get(connection, subscription_id, livemode=shop.livemode)
    assert ended is not None, "rows of subscriptions are never deleted"
    return ended


async def _fetched(shop: Shop, subscription_id: str) -> Any | None:
    try:
        with translated():
            return await shop.stripe.v1.subscriptions.retrieve_async(subscription_id)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return None


async def _order_of(shop: Shop, connection: Connection, subscription: Any) -> Order | None:
    """Return the order a subscription began with; None if it is nothing to do with us."""
    subscription_id = at(subscription, "id")
    known = await orders.of_subscription(connection, shop.livemode, subscription_id)
    if known is not None:
        return known
    if not is_ours(shop, subscription):
        return None
    named = at(subscription, "metadata.order_id") or ""
    order = await orders.get(connection, named)
    if order is None or order.kind != "subscription" or order.livemode != shop.livemode:
        raise Quarantined(f"subscription {subscription_id} names an order that is not there")
    if order.subscription_id not in (None, subscription_id):
        raise Quarantined(f"order {order.id} belongs to subscription {order.subscription_id}")
    # Metadata can be copied in the dashboard. What began the subscription cannot.
    async for session in listed(
        shop.stripe.v1.checkout.sessions.list_async, {"subscription": subscription_id}
    ):
        if at(session, "id") == order.session_id or (
            order.session_id is None and at(session, "client_reference_id") == order.id
        ):
            return order
    raise Quarantined(f"subscription {subscription_id} did not begin with order {order.id}")


async def _row_of(
    shop: Shop, connection: Connection, subscription: Any, order: Order
) -> Subscription:
    items = at(subscription, "items.data") or []
    item = items[0] if items else None
    offer = await offer_for(shop, connection, order, at(item, "price"))
    if offer is None:
        offer = order.offer
        await alerts.raise_alert(
            connection,
            "unknown-price",
            at(subscription, "id"),
            f"price {at(item, 'price.id')} of the subscription belongs to no package",
        )
    return Subscription(
        livemode=shop.livemode,
        id=at(subscription, "id"),
        order_id=order.id,
        account_id=order.account_id,
        customer_id=ident(at(subscription, "customer")) or "",
        status=at(subscription, "status"),
        package=offer.name,
        quantity=at(item, "quantity") or 1,
        currency=at(subscription, "currency"),
        period_minor=sum(
            (at(one, "price.unit_amount") or 0) * (at(one, "quantity") or 1) for one in items
        ),
        interval=at(item, "price.recurring.interval") or offer.interval or "",
        interval_count=at(item, "price.recurring.interval_count") or 1,
        plan_tier=offer.plan_tier,
        feature_flags=offer.feature_flags,
        current_period_start=moment(at(item, "current_period_start")),
        current_period_end=moment(at(item, "current_period_end")),
        trial_end=moment(at(subscription, "trial_end")),
        cancel_at=moment(at(subscription, "cancel_at")),
        cancel_at_period_end=bool(at(subscription, "cancel_at_period_end")),
        canceled_at=moment(at(subscription, "canceled_at")),
        ended_at=moment(at(subscription, "ended_at")),
        latest_invoice_id=ident(at(subscription, "latest_invoice")),
        created_at=_BEGINNING + timedelta(seconds=at(subscription, "created")),
        fetched_at=_BEGINNING + timedelta(milliseconds=shop.clock.now_ms()),
    )


async def _ended(connection: Connection, order: Order, ended: Subscription) -> None:
    """Close the order of one that never began, and tell the account."""
    if ended.status == "incomplete_expired":
        await orders.move(connection, order.id, "expired", of=orders.UNFINISHED)
        return
    at_time = ended.ended_at or ended.fetched_at
    await notices.tell(
        connection,
        "subscription_ended",
        account_id=ended.account_id,
        key=ended.id,
        payload={
            "subscription_id": ended.id,
            "package": order.offer.title,
            "ended_at": at_time.isoformat(),
        },
    )


def _values(row: Subscription) -> list[Any]:
    """Return the columns in the order of the statement `put`, which is that of the fields."""
    values = {name: getattr(row, name) for name in Subscription.__slots__}
    return list((values | {"feature_flags": list(row.feature_flags)}).values())


def _without_fetch(row: Subscription) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in Subscription.__slots__ if name != "fetched_at")
