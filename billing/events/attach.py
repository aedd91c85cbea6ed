"""
Giving a purchase to an account by hand: a paid Checkout session that leads to no order of ours.

It may come from a payment link made in Stripe's dashboard, or its order was lost with a database.
A person says whose it is and which package it was; everything else is checked as for any session,
so that no more is granted than was paid for.
"""

from functools import partial
from typing import Any

from billing import settling
from billing.errors import StateConflict
from billing.events import inbox
from billing.ids import is_order_id, new_id
from billing.packages import catalogue
from billing.purchases import orders, session_reading
from billing.purchases.orders import Order
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, listed, moment, translated
from ledger import accounts, audit
from ledger.database import Connection, Queries
from ledger.ids import account_text

_SQL = Queries("attach", package="billing")


async def attach(shop: Shop, item_id: int, account_id: int, package: str, *, actor: str) -> Settled:
    """
    Make an order for the session that an event is about, and settle it. A repeat settles again.

    Args:
        shop: Everything that selling stands on.
        item_id: The event in the inbox.
        account_id: Whose the purchase is.
        package: One that is for sale, at the price that was paid.
        actor: The admin.

    Raises:
        NoSuchObject: There is no such event.
        StateConflict: It is not about a session for a single purchase, or somebody has it already.
        NotForSale: There is no such package, or not in the session's currency.
        Quarantined: What was paid is not the package's price; nothing changed.
        NotFound: There is no such account.
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    async with shop.ledger.database.connection() as connection:
        item = await inbox.show(connection, item_id)
    if item.object_type != "checkout.session":
        raise StateConflict(f"event {item_id} is about a {item.object_type}, not about a session")
    with translated():
        session = await shop.stripe.v1.checkout.sessions.retrieve_async(item.object_id)
    lines = shop.stripe.v1.checkout.sessions.line_items
    bought = [line async for line in listed(partial(lines.list_async, item.object_id))]
    if at(session, "mode") != "payment":
        raise StateConflict(f"{item.object_id} is not a single purchase")
    async with shop.ledger.database.transaction() as connection:
        # Held until the transaction ends, so that two admins cannot give it to two accounts.
        await connection.execute(_SQL.one_at_a_time, item.object_id)
        order = await orders.of_session(connection, shop.livemode, item.object_id)
        if order is None:
            order = await _order(shop, connection, session, account_id, package)
            # Before anything is committed: a wrong package must not stand in the right one's way.
            session_reading.check(order, session, bought)
            detail = {"account": account_text(account_id), "package": package, "order": order.id}
            await audit.write(connection, actor, "inbox.attach", item.object_id, detail)
    if (order.account_id, order.package) != (account_id, package):
        raise StateConflict(f"{item.object_id} belongs to {account_text(order.account_id)} already")
    settled = await settling.settle(shop, item.object_type, item.object_id)
    async with shop.ledger.database.transaction() as connection:
        await inbox.settled_since(connection, item.object_id, actor=actor)
    return settled


async def _order(
    shop: Shop, connection: Connection, session: Any, account_id: int, package: str
) -> Order:
    await accounts.get(connection, account_id)
    offer = await catalogue.offer(shop, connection, package)
    order = await orders.create(
        connection,
        order_id=await _order_id(shop, connection, session),
        account_id=account_id,
        livemode=shop.livemode,
        kind="checkout",
        offer=offer,
        currency=at(session, "currency"),
        quantity=offer.least_quantity,
    )
    await orders.opened(
        connection,
        order.id,
        session_id=session.id,
        session_url=at(session, "url"),
        customer_id=ident(at(session, "customer")),
        expires_at=moment(at(session, "expires_at")),
    )
    return order


async def _order_id(shop: Shop, connection: Connection, session: Any) -> str:
    """Return the name of the order that was lost, which the session still bears, or a new one."""
    named = at(session, "client_reference_id")
    lost = isinstance(named, str) and is_order_id(named)
    if lost and await orders.get(connection, named) is None:
        return str(named)
    return new_id("ord", shop.random_bytes)
