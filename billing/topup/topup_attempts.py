"""
Tries of automatic top-up, and what each of them came to.

An account has one open try at most, which a unique index sees to. A try whose outcome is unknown
stays open: nothing else is charged until it is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from billing.purchases import orders
from billing.purchases.orders import Order
from billing.stripe_door import Livemode
from billing.telling import notices
from billing.telling.alerts import raise_alert
from billing.topup import topup_settings
from billing.topup.declines import Failure, Pause, Rest, what_next
from ledger.database import Connection, Queries

BURST = 3
BURST_TIME = timedelta(minutes=10)
"""So many declines in so short a time, over all accounts, may be no longer the buyers' doing."""

State = Literal["created", "confirming", "unknown", "succeeded", "failed", "absent"]
OPEN: tuple[State, ...] = ("created", "confirming", "unknown")

_SQL = Queries("topups", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    A try's row.

    Attributes:
        state: created: nothing asked yet; confirming: asked; unknown: asked, and no answer that
            says anything; absent: it never reached Stripe.
        card: The payment method.
        amount_minor: In minor units of `currency`.
        asked_at: When Stripe was last asked, or looked at.
        updated_at: When it last became another, or Stripe was asked to charge again.

    """

    id: str
    order_id: str
    account_id: int
    livemode: Livemode
    state: State
    card: str
    amount_minor: int
    currency: str
    payment_intent_id: str | None
    failure: str | None
    asked_at: datetime | None
    created_at: datetime
    updated_at: datetime


async def begin(
    connection: Connection, attempt_id: str, order: Order, card: str, amount_minor: int
) -> Attempt:
    """
    Write a try down, in the transaction that made its order.

    Raises:
        asyncpg.UniqueViolationError: The account has an open one.

    """
    row = await connection.fetchrow(
        _SQL.begin,
        attempt_id,
        order.id,
        order.account_id,
        order.livemode,
        card,
        amount_minor,
        order.currency,
    )
    return Attempt(**row)


async def of_order(connection: Connection, order_id: str) -> Attempt | None:
    """Return the try that an order was made for."""
    row = await connection.fetchrow(_SQL.of_order, order_id)
    return None if row is None else Attempt(**row)


async def of_account(
    connection: Connection, account_id: int, livemode: Livemode, limit: int = 50
) -> list[Attempt]:
    """List an account's tries, newest first."""
    return _all(await connection.fetch(_SQL.of_account, account_id, livemode, limit))


async def overdue(
    connection: Connection, livemode: Livemode, waited: timedelta, limit: int
) -> list[Attempt]:
    """List open tries of which nothing was heard for so long, or a tenth of their age."""
    return _all(await connection.fetch(_SQL.overdue, livemode, waited, limit))


async def looked(connection: Connection, attempt: Attempt) -> None:
    """Note that it was looked for at Stripe, so that it is not looked for again at once."""
    await connection.execute(_SQL.looked, attempt.id)


async def asked(connection: Connection, attempt: Attempt) -> bool:
    """Note that Stripe is being asked now; False: the try is over, do not ask."""
    return bool(await connection.fetchval(_SQL.asked, attempt.id))


async def unknown(connection: Connection, attempt: Attempt) -> None:
    """Note that no answer came that says anything."""
    await connection.execute(_SQL.unknown, attempt.id)


async def seen(connection: Connection, attempt: Attempt, intent: str) -> None:
    """Note which PaymentIntent the try made."""
    await connection.execute(_SQL.seen, attempt.id, intent)


async def succeeded(connection: Connection, attempt: Attempt, intent: str) -> None:
    """Note that the money came, whatever was believed of the try before."""
    await connection.execute(_SQL.succeeded, attempt.id, intent)
    await connection.execute(_SQL.charged, attempt.account_id, attempt.livemode)


async def absent(connection: Connection, attempt: Attempt) -> bool:
    """Note that Stripe never made anything of the try, unless it was asked again meanwhile."""
    if not await connection.fetchval(_SQL.absent, attempt.id, attempt.updated_at):
        return False
    await orders.move(connection, attempt.order_id, "canceled", of=orders.UNFINISHED)
    return True


async def declines_so_far(connection: Connection, attempt: Attempt) -> int:
    """Return how many declines in a row there were before this try's outcome."""
    top_up = await topup_settings.get(connection, attempt.account_id, attempt.livemode)
    return 0 if top_up is None else top_up.declines


async def failed(
    connection: Connection,
    attempt: Attempt,
    order: Order,
    failure: Failure,
    *,
    intent: str | None = None,
    retry_url: str | None = None,
    then: Pause | None = None,
) -> bool:
    """
    Note that the charge was refused, and do what follows: rest, or pause and tell the account.

    In the transaction of the caller, who holds the order's lock. A repeat changes nothing.

    Args:
        connection: In a transaction.
        attempt: Which try.
        order: Its order.
        failure: Why.
        intent: The PaymentIntent that was refused, if there is one.
        retry_url: Where the buyer can pay by hand.
        then: What follows, where that does not depend on the failure.

    """
    if not await connection.fetchval(_SQL.failed, attempt.id, intent, str(failure)):
        return False
    account_id, livemode = attempt.account_id, attempt.livemode
    await orders.move(connection, order.id, "failed", of=orders.UNFINISHED, failure=str(failure))
    declines = await connection.fetchval(_SQL.declined, account_id, livemode)
    match then or what_next(failure, declines):
        case Pause(reason):
            await topup_settings.pause(connection, account_id, livemode, reason, retry_url)
        case Rest(seconds):
            until = await now(connection) + timedelta(seconds=seconds)
            await topup_settings.rest(connection, account_id, livemode, until)
            await _tell(connection, attempt, order, until)
    recent = await connection.fetchval(_SQL.recent_failures, livemode, BURST_TIME)
    if recent >= BURST:
        minutes = BURST_TIME // timedelta(minutes=1)
        await raise_alert(
            connection,
            "top-up-declines",
            "",
            f"{recent} automatic top-ups failed within {minutes} minutes, the last one: {failure}",
        )
    return True


async def now(connection: Connection) -> datetime:
    """Return the time by Postgres's clock, which dates tries and rests: gateways' may differ."""
    found: datetime = await connection.fetchval(_SQL.now)
    return found


async def _tell(connection: Connection, attempt: Attempt, order: Order, until: datetime) -> None:
    await notices.tell(
        connection,
        "payment_failed",
        account_id=attempt.account_id,
        key=attempt.id,
        payload={
            "order_id": order.id,
            "package": order.offer.title,
            "amount_minor": attempt.amount_minor,
            "currency": attempt.currency,
            "reason": "Your card was declined. Automatic top-up tries again "
            f"after {until:%Y-%m-%d %H:%M} UTC.",
        },
    )


def _all(rows: list[Mapping[str, Any]]) -> list[Attempt]:
    return [Attempt(**row) for row in rows]
