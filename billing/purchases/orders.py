"""
Orders: intentions to buy, written down before Stripe is called.

An order freezes what was offered; whatever happens to the package later, the order is settled by
its own terms. Every change of state is one guarded statement, so that no two can both make it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from billing.errors import NotForSale
from billing.packages.offers import Offer
from billing.stripe_door import Livemode
from ledger.database import Connection, Queries

Kind = Literal["checkout", "subscription", "auto_topup"]
Origin = Literal["api", "page", "stripe"]
State = Literal[
    "created",
    "open",
    "awaiting_funds",
    "review",
    "paid",
    "failed",
    "expired",
    "canceled",
    "quarantined",
]

UNFINISHED: tuple[State, ...] = ("created", "open", "awaiting_funds")
"""States out of which the buyer, or Stripe, may still bring the order by themselves."""

_SQL = Queries("orders", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    An order's row.

    Attributes:
        offer: The package as it was offered.
        credits_each: Smallest units of the credit type, for each one bought.
        unit_minor: Price of each one, in minor units of `currency`, before tax and discounts.
        quantity: What was asked for; what was bought may differ within least and most.
        session_url: Stripe's page, while the session is open.
        failure: Stripe's code, and decline code, of the last failed try.
        problem: Why it is quarantined or in review.

    """

    id: str
    account_id: int
    livemode: Livemode
    kind: Kind
    state: State
    package: str
    offer: Offer
    credit_type_id: int
    credits_each: int
    currency: str
    unit_minor: int
    quantity: int
    least_quantity: int
    most_quantity: int
    rules: int
    save_card: bool
    origin: Origin
    session_id: str | None
    session_url: str | None
    payment_intent_id: str | None
    subscription_id: str | None
    customer_id: str | None
    email: str
    failure: str | None
    problem: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


async def create(
    connection: Connection,
    *,
    order_id: str,
    account_id: int,
    livemode: Livemode,
    kind: Kind,
    offer: Offer,
    currency: str,
    quantity: int,
    save_card: bool = False,
    origin: Origin = "api",
) -> Order:
    """
    Write down what is about to be bought, in state `created`.

    Args:
        connection: To Postgres.
        order_id: New; see `billing.ids`.
        account_id: Who buys.
        livemode: Of the session that will follow.
        kind: Which lane gives the credits, and no other does.
        offer: Frozen on the order, with its price in `currency`.
        currency: One the offer has a price in.
        quantity: Within the offer's limits.
        save_card: The buyer agreed that the card be kept for later.
        origin: Who asked: the account's program, or a person on a page.

    Raises:
        NotForSale: No price in that currency, or its credit type is not known to the ledger yet.

    """
    unit_minor = offer.prices.get(currency)
    if unit_minor is None:
        raise NotForSale(f"package {offer.name} has no price in {currency}")
    credit_type_id = await connection.fetchval(_SQL.credit_type_id, offer.credit_type)
    if credit_type_id is None:
        raise NotForSale(f"credit type {offer.credit_type} is not in use yet")
    row = await connection.fetchrow(
        _SQL.create,
        order_id,
        account_id,
        livemode,
        kind,
        offer.name,
        offer.to_json(),
        credit_type_id,
        offer.credits,
        currency,
        unit_minor,
        quantity,
        offer.least_quantity,
        offer.most_quantity,
        save_card,
        origin,
    )
    return _order(row)


async def get(connection: Connection, order_id: str) -> Order | None:
    """Return an order."""
    return _maybe(await connection.fetchrow(_SQL.get, order_id))


async def lock(connection: Connection, order_id: str) -> Order | None:
    """Return an order that nobody else changes until the transaction ends."""
    return _maybe(await connection.fetchrow(_SQL.lock, order_id))


async def of_session(connection: Connection, livemode: Livemode, session_id: str) -> Order | None:
    """Return the order a Checkout session was made for."""
    return _maybe(await connection.fetchrow(_SQL.of_session, livemode, session_id))


async def of_payment_intent(
    connection: Connection, livemode: Livemode, intent: str
) -> Order | None:
    """Return the order a PaymentIntent pays; unknown until something linked them."""
    return _maybe(await connection.fetchrow(_SQL.of_payment_intent, livemode, intent))


async def of_subscription(
    connection: Connection, livemode: Livemode, subscription_id: str
) -> Order | None:
    """Return the order a subscription began with."""
    return _maybe(await connection.fetchrow(_SQL.of_subscription, livemode, subscription_id))


async def opened(
    connection: Connection,
    order_id: str,
    *,
    session_id: str,
    session_url: str | None,
    customer_id: str | None,
    expires_at: datetime | None,
) -> bool:
    """Note the session made for the order; False if the order already has another one."""
    return bool(
        await connection.fetchval(
            _SQL.opened, order_id, session_id, session_url, customer_id, expires_at
        )
    )


async def link(
    connection: Connection,
    order_id: str,
    *,
    payment_intent_id: str | None = None,
    subscription_id: str | None = None,
    customer_id: str | None = None,
    email: str | None = None,
) -> None:
    """Note what Stripe showed to belong to the order; None leaves that as it is."""
    await connection.execute(
        _SQL.link, order_id, payment_intent_id, subscription_id, customer_id, email
    )


async def move(
    connection: Connection,
    order_id: str,
    to: State,
    *,
    of: Sequence[State],
    problem: str | None = None,
    failure: str | None = None,
) -> bool:
    """
    Bring an order from one of the states `of` into another; whether anything changed.

    Args:
        connection: To Postgres.
        order_id: Which.
        to: The state it is in afterwards.
        of: From which; from any other nothing changes. May include `to`.
        problem: Why a person has to look; it is forgotten by a move without one.
        failure: Stripe's code; None leaves the last one.

    """
    return bool(await connection.fetchval(_SQL.move, order_id, to, list(of), problem, failure))


async def failed_try(connection: Connection, order_id: str, failure: str) -> None:
    """Note why a try to pay failed; the buyer may try again, so the state stays."""
    await connection.execute(_SQL.failed_try, order_id, failure)


def _order(row: Mapping[str, Any]) -> Order:
    return Order(**{**row, "offer": Offer.from_json(row["offer"])})


def _maybe(row: Mapping[str, Any] | None) -> Order | None:
    return None if row is None else _order(row)
