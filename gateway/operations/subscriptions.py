"""Subscriptions: an account's own, and all of them for the operator."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from billing import lists
from billing.invoicing import subscriptions as subscribed
from billing.lists import SubscriptionLine
from billing.money import money_text
from billing.shop import Shop
from gateway.models import Answer, Given, Time
from gateway.operations.shown import Display
from gateway.paging import PageQuery, pack_cursor, unpack_cursor
from ledger import accounts, audit
from ledger.ids import account_text


class Subscription(Answer):
    """A subscription; `status` is Stripe's word. Its credits come with each paid invoice."""

    id: str
    status: str
    package: str
    quantity: int
    currency: str
    period_minor: Annotated[int, Field(description="One period, before discounts and tax.")]
    interval: str
    interval_count: int
    plan_tier: str
    feature_flags: list[str]
    current_period_start: Time | None
    current_period_end: Time | None
    trial_end: Time | None
    cancel_at: Time | None
    cancel_at_period_end: bool
    canceled_at: Time | None
    ended_at: Time | None
    created_at: Time
    display: Display


class SubscriptionPage(Answer):
    """A page of subscriptions, newest first."""

    items: list[Subscription]
    next: str | None


class SubscriptionRow(Subscription):
    """A subscription as the operator sees it."""

    account: str
    order_id: str | None


class SubscriptionRows(Answer):
    """A page of subscriptions, newest first, and how many there are by status."""

    items: list[SubscriptionRow]
    counts: dict[str, int]
    next: str | None


class SubscriptionQuery(PageQuery):
    """Which subscriptions."""

    account: str | None = None
    status: Annotated[str | None, Field(max_length=40)] = None


class CancelQuery(Given):
    """When it ends."""

    when: Annotated[
        Literal["period-end", "now"],
        Field(description="`now` gives no money back and takes no credits."),
    ] = "period-end"


async def of_account(shop: Shop, account: int, query: PageQuery) -> SubscriptionPage:
    """Return a page of an account's subscriptions, newest first."""
    found = await _lines(shop, query, account=account)
    return SubscriptionPage(
        items=[Subscription(**_fields(line)) for line in found], next=_next(found, query.limit)
    )


async def listed(shop: Shop, query: SubscriptionQuery) -> SubscriptionRows:
    """Return a page of subscriptions of all accounts or one, and counts of all."""
    async with shop.ledger.database.connection() as connection:
        account = await accounts.find(connection, query.account) if query.account else None
        counts = await lists.subscription_counts(connection, livemode=shop.livemode)
    found = await _lines(shop, query, account=account.id if account else None, status=query.status)
    return SubscriptionRows(
        items=[_row(line) for line in found], counts=counts, next=_next(found, query.limit)
    )


async def cancel(shop: Shop, subscription: str, query: CancelQuery, *, owner: int) -> Subscription:
    """
    End an account's own subscription; credits already given stay until they expire.

    Raises:
        NoSuchObject: There is none, or it is somebody else's.

    """
    await subscribed.cancel(shop, owner, subscription, at_period_end=query.when == "period-end")
    return Subscription(**_fields(await _line(shop, subscription)))


async def cancel_any(
    shop: Shop, subscription: str, query: CancelQuery, *, actor: str
) -> SubscriptionRow:
    """End anybody's subscription, in an admin's name."""
    await subscribed.cancel(shop, None, subscription, at_period_end=query.when == "period-end")
    async with shop.ledger.database.connection() as connection:
        await audit.write(
            connection, actor, "subscription.cancel", subscription, {"when": query.when}
        )
    return _row(await _line(shop, subscription))


async def _lines(
    shop: Shop, query: PageQuery, *, account: int | None, status: str | None = None
) -> list[SubscriptionLine]:
    before = unpack_cursor("subscriptions", query.cursor)
    async with shop.ledger.database.connection() as connection:
        return await lists.subscriptions(
            connection,
            livemode=shop.livemode,
            account_id=account,
            status=status,
            before=before,
            limit=query.limit,
        )


async def _line(shop: Shop, subscription: str) -> SubscriptionLine:
    async with shop.ledger.database.connection() as connection:
        return await lists.subscription(connection, subscription, livemode=shop.livemode)


def _row(line: SubscriptionLine) -> SubscriptionRow:
    return SubscriptionRow(
        **_fields(line), account=account_text(line.account_id), order_id=line.order_id
    )


def _fields(line: SubscriptionLine) -> dict[str, Any]:
    times: dict[str, datetime | None] = {
        "current_period_start": line.current_period_start,
        "current_period_end": line.current_period_end,
        "trial_end": line.trial_end,
        "cancel_at": line.cancel_at,
        "canceled_at": line.canceled_at,
        "ended_at": line.ended_at,
        "created_at": line.created_at,
    }
    return {
        "id": line.id,
        "status": line.status,
        "package": line.package,
        "quantity": line.quantity,
        "currency": line.currency,
        "period_minor": line.period_minor,
        "interval": line.interval,
        "interval_count": line.interval_count,
        "plan_tier": line.plan_tier,
        "feature_flags": line.feature_flags,
        "cancel_at_period_end": line.cancel_at_period_end,
        "display": {"period": money_text(line.period_minor, line.currency)},
        **times,
    }


def _next(found: list[SubscriptionLine], limit: int) -> str | None:
    return pack_cursor("subscriptions", found[-1].id) if len(found) == limit else None
