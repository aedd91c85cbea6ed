"""
Checkout: from a package to Stripe's page where it is paid.

The order is committed first, then Stripe is asked under a key made of the order's id. If the
answer is lost, the order is still there, and asking again finds the same session.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.customer import customers
from billing.errors import (
    StripeRefused,
    StripeUnavailable,
)
from billing.ids import new_id
from billing.money import check_currency
from billing.packages import catalogue
from billing.purchases import orders
from billing.purchases.orders import Order, Origin
from billing.purchases.purchase import Purchase, check
from billing.purchases.purchase_view import Shown, show, show_order
from billing.purchases.session_request import session_params, setup_params
from billing.shop import Shop
from billing.stripe_door import IDEMPOTENCY_ERROR, at, listed, moment, translated

__all__ = [
    "Purchase",
    "SetupStarted",
    "Shown",
    "Started",
    "check",
    "find",
    "show",
    "show_order",
    "start",
    "start_setup",
]

REPLAYED_FOR = timedelta(hours=20)
"""Stripe keeps answers by idempotency key for 24 hours at least; after that a repeat would make a
second session, so the list is asked instead."""

SESSIONS_LIVE = timedelta(hours=25)
"""Stripe's 24 hours and some for clocks that differ: no session comes of an order after that."""

USUAL_CURRENCY = "usd"
"""For saving a card where nothing is for sale: Stripe wants to know one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An order whose session is open at `checkout_url` until `expires_at`."""

    order_id: str
    session_id: str
    checkout_url: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupStarted:
    """A session that saves a card at `checkout_url` until `expires_at`."""

    session_id: str
    checkout_url: str
    expires_at: datetime | None


async def start(
    shop: Shop, account_id: int, purchase: Purchase, *, origin: Origin = "api"
) -> Started:
    """
    Write down an order and open a Checkout session for it.

    Raises:
        NotForSale: No such package, or not in that currency. Nothing changed.
        WrongPurchase: A field cannot be used. Nothing changed.
        StripeRefused: Stripe opened none; the order is closed.
        StripeUnavailable: Whether one is open is not known; the order stays and is looked after.

    """
    order = await _order(shop, account_id, purchase, origin)
    try:
        return await _open(shop, order)
    except StripeRefused as refused:
        if not customers.is_gone(refused):
            raise
    # A missing price has the same code but another parameter. The refused order stays closed: its
    # key may answer for ever with that refusal, so a new order asks with the new customer.
    order = await _order(shop, account_id, purchase, origin)
    return await _open(shop, order)


async def find(shop: Shop, order: Order) -> Started | None:
    """
    Find the session of an order whose answer was lost, and note it.

    While Stripe remembers the key the same call is simply made again; later it is looked up.

    Returns:
        None if Stripe has none; where none can come any more, the order is closed.

    Raises:
        StripeRefused, StripeUnavailable: It is still not known.

    """
    age = _now(shop) - order.created_at
    if age < REPLAYED_FOR:
        try:
            return await _open(shop, order)
        except StripeRefused as refused:
            if refused.code != IDEMPOTENCY_ERROR:
                return None
    session = await _listed(shop, order)
    if session is not None:
        return await _note(shop, order, session)
    if age > SESSIONS_LIVE:
        await _close(shop, order, "no session was made")
    return None


async def start_setup(shop: Shop, account_id: int, *, currency: str | None = None) -> SetupStarted:
    """
    Open a session by which an account saves a card for automatic top-up; no money moves.

    Raises:
        WrongPurchase: The currency cannot be used.
        StripeRefused, StripeUnavailable: None was opened, or nobody will know of it: ask again.

    """
    chosen = await _usual_currency(shop) if currency is None else check_currency(currency)
    customer_id = await customers.customer_of(shop, account_id)
    try:
        session = await _create(shop, setup_params(shop, account_id, customer_id, chosen))
    except StripeRefused as refused:
        if not customers.is_gone(refused):
            raise
        await customers.forget(shop, customer_id)
        customer_id = await customers.customer_of(shop, account_id)
        session = await _create(shop, setup_params(shop, account_id, customer_id, chosen))
    return SetupStarted(
        session_id=session.id, checkout_url=session.url, expires_at=moment(session.expires_at)
    )


async def _order(shop: Shop, account_id: int, purchase: Purchase, origin: Origin) -> Order:
    async with shop.ledger.database.connection() as connection:
        offer = await catalogue.offer(shop, connection, purchase.package)
        currency = check(offer, purchase)
        return await orders.create(
            connection,
            order_id=new_id("ord", shop.random_bytes),
            account_id=account_id,
            livemode=shop.livemode,
            kind="subscription" if offer.interval else "checkout",
            offer=offer,
            currency=currency,
            quantity=purchase.quantity,
            save_card=purchase.save_card and offer.interval is None,
            origin=origin,
        )


async def _open(shop: Shop, order: Order) -> Started:
    """Open the order's session, or get the one that was opened before under the same key."""
    # What was asked for has to stay the same in a repeat, so the customer is kept on the order.
    customer_id = order.customer_id
    if customer_id is None:
        customer_id = await customers.customer_of(shop, order.account_id)
        async with shop.ledger.database.connection() as connection:
            await orders.link(connection, order.id, customer_id=customer_id)
    params = session_params(shop, order, customer_id)
    try:
        session = await _create(shop, params, key=f"order:{order.id}:session")
    except StripeRefused as refused:
        if refused.code != IDEMPOTENCY_ERROR:
            if customers.is_gone(refused):
                await customers.forget(shop, customer_id)
            await _close(shop, order, refused.code or "refused")
        raise
    return await _note(shop, order, session)


async def _create(shop: Shop, params: dict[str, Any], *, key: str | None = None) -> Any:
    options = {"idempotency_key": key} if key else {}
    with translated():
        return await shop.stripe.v1.checkout.sessions.create_async(params, options)


async def _note(shop: Shop, order: Order, session: Any) -> Started:
    expires_at = moment(session.expires_at)
    async with shop.ledger.database.connection() as connection:
        noted = await orders.opened(
            connection,
            order.id,
            session_id=session.id,
            session_url=session.url,
            customer_id=at(session, "customer"),
            expires_at=expires_at,
        )
    if not noted:
        raise StripeUnavailable(f"order {order.id} has another session already")
    return Started(
        order_id=order.id,
        session_id=session.id,
        checkout_url=session.url or "",
        expires_at=expires_at,
    )


async def _listed(shop: Shop, order: Order) -> Any | None:
    made_s = int(order.created_at.timestamp())
    params: dict[str, Any] = {
        "created": {"gte": made_s - 3600, "lte": made_s + int(SESSIONS_LIVE.total_seconds())}
    }
    if order.customer_id is not None:
        params["customer"] = order.customer_id
    async for session in listed(shop.stripe.v1.checkout.sessions.list_async, params):
        if at(session, "client_reference_id") == order.id:
            return session
    return None


async def _close(shop: Shop, order: Order, failure: str) -> None:
    async with shop.ledger.database.connection() as connection:
        await orders.move(connection, order.id, "canceled", of=("created",), failure=failure)


async def _usual_currency(shop: Shop) -> str:
    async with shop.ledger.database.connection() as connection:
        offers = await catalogue.for_sale(connection, shop.prices(), livemode=shop.livemode)
    return next((currency for offer in offers for currency in offer.prices), USUAL_CURRENCY)


def _now(shop: Shop) -> datetime:
    return datetime.fromtimestamp(shop.clock.now_ms() / 1000, UTC)
