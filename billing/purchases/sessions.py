"""
Settling a Checkout session: whoever asks, however often, its order ends as Stripe shows it.

The session is fetched and compared with its order; what is due is booked under the order's row
lock in one transaction. A payment gives its credits once, because the session's id is their key.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from billing.customer import cards
from billing.errors import (
    NoSuchObject,
    Quarantined,
    StateConflict,
    StripeRefused,
    StripeUnavailable,
)
from billing.ids import is_order_id
from billing.invoicing import invoices
from billing.marks import MARK, is_ours
from billing.purchases import orders, payments
from billing.purchases import session_reading as reading
from billing.purchases.orders import Order
from billing.purchases.session_booking import Case, book, put_aside
from billing.reversing import reversals
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, listed, moment, translated

log = logging.getLogger(__name__)


async def settle(shop: Shop, object_id: str) -> Settled:
    """
    Bring the order of a session to where the session is.

    Raises:
        Quarantined: The session does not fit its order, or there is none though we made it.
        StripeRefused, StripeUnavailable: Stripe could not be asked; ask again.

    """
    return await _settle(shop, object_id, approved_by=None)


async def approve(shop: Shop, order_id: str, actor: str) -> Settled:
    """
    Give the credits of an order that was completed without payment, as a person decided.

    Raises:
        NoSuchObject: There is no such order.
        StateConflict: It is not in review.
        Quarantined, StripeRefused, StripeUnavailable: As `settle`.

    """
    async with shop.ledger.database.connection() as connection:
        order = await orders.get(connection, order_id)
    if order is None:
        raise NoSuchObject(f"there is no order {order_id}")
    if order.state != "review" or order.session_id is None:
        raise StateConflict(f"order {order_id} is {order.state}, not in review")
    return await _settle(shop, order.session_id, approved_by=actor)


async def _settle(shop: Shop, object_id: str, *, approved_by: str | None) -> Settled:
    with translated():
        session = await shop.stripe.v1.checkout.sessions.retrieve_async(
            object_id, params={"expand": list(reading.EXPAND)}
        )
    if at(session, "mode") == "setup":
        return await _settle_setup(shop, session)
    order = await _order_of(shop, session)
    if order is None:
        return Settled("ignored", "a session of something else")
    lines = await _lines(shop, session)
    try:
        async with shop.ledger.database.transaction() as connection:
            locked = await orders.lock(connection, order.id) or order
            case = Case(
                shop=shop, order=locked, session=session, lines=lines, approved_by=approved_by
            )
            settled = await book(connection, case)
    except Quarantined as odd:
        async with shop.ledger.database.transaction() as connection:
            await put_aside(connection, order, str(odd))
        raise
    if settled.outcome in ("granted", "updated", "unchanged"):
        # Also what somebody else has booked a moment ago: who is told of credits can use them.
        await shop.push(order.account_id)
    return await _follow(shop, order, session, settled)


async def _order_of(shop: Shop, session: Any) -> Order | None:
    """Return the session's order; it becomes the order's session if the answer had been lost."""
    session_id = at(session, "id")
    async with shop.ledger.database.connection() as connection:
        order = await orders.of_session(connection, shop.livemode, session_id)
        if order is not None:
            return order
        if not is_ours(shop, session):
            return None
        named = at(session, "client_reference_id") or at(session, "metadata.order_id") or ""
        order = await orders.get(connection, named) if is_order_id(named) else None
        if order is None:
            raise Quarantined(f"session {session_id} names order {named!r}, which is not here")
        # Whoever uses a payment link chooses its client_reference_id; metadata only we can write.
        marked = (at(session, f"metadata.{MARK}"), at(session, "metadata.order_id"))
        if marked != (shop.installation, order.id) or not await orders.opened(
            connection,
            order.id,
            session_id=session_id,
            session_url=at(session, "url"),
            customer_id=ident(at(session, "customer")),
            expires_at=moment(at(session, "expires_at")),
        ):
            raise Quarantined(f"session {session_id} is not the one made for order {order.id}")
        return await orders.get(connection, order.id)


async def _lines(shop: Shop, session: Any) -> Sequence[Any]:
    if not at(session, "line_items.has_more"):
        return at(session, "line_items.data") or []
    lines = shop.stripe.v1.checkout.sessions.line_items
    return [line async for line in listed(partial(lines.list_async, at(session, "id")))]


async def _follow(shop: Shop, order: Order, session: Any, settled: Settled) -> Settled:
    """See to what hangs on the session and has a settling of its own."""
    if order.kind == "subscription":
        invoice = ident(at(session, "invoice"))
        if at(session, "status") != "complete" or invoice is None:
            return settled
        paid = await invoices.settle(shop, invoice)
        return paid if paid.outcome == "granted" else settled
    card = ident(at(session, "payment_intent.payment_method"))
    if order.save_card and card is not None:
        try:
            await cards.settle(shop, card)
        except (StripeRefused, StripeUnavailable) as away:
            # An event of the card's own tells of it again; the purchase is done.
            log.warning("the card of order %s is noted later: %s", order.id, away)
    if reading.is_reversed(session):
        async with shop.ledger.database.connection() as connection:
            known = await payments.of_object(connection, shop.livemode, at(session, "id"))
        if known is not None:
            after = await reversals.reconcile(shop, known.id)
            return after if settled.outcome == "unchanged" else settled
    return settled


async def _settle_setup(shop: Shop, session: Any) -> Settled:
    """Settle the card of a session that only saves one: the card has what there is to know."""
    intent = ident(at(session, "setup_intent"))
    if not is_ours(shop, session) or intent is None:
        return Settled("ignored", "a session of something else")
    return await cards.settle_setup_intent(shop, intent)
