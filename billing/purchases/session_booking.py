"""
What a session comes to, decided and booked under its order's row lock.

The session was fetched before the lock was there, so it may be older than what was booked
meanwhile. Every step therefore only goes forward: a payment that is booked stays booked, and no
state is left for one that comes before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.purchases import come_back, orders, payments
from billing.purchases import session_reading as reading
from billing.purchases.orders import Order, State
from billing.purchases.payments import PaymentDraft
from billing.shop import Outcome, Settled, Shop
from billing.stripe_door import at, ident
from billing.telling import alerts, notices
from ledger import audit
from ledger.database import Connection

NOT_PAID: tuple[State, ...] = (
    "created",
    "open",
    "awaiting_funds",
    "review",
    "failed",
    "expired",
    "canceled",
    "quarantined",
)
"""Money that came makes up for any other state: none of them may swallow it."""

UNDECIDED: tuple[State, ...] = ("created", "open", "quarantined")
"""States that say nothing yet about whether money comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A session as Stripe showed it, with all its lines, and the order it was made for.

    Attributes:
        approved_by: The person who gives the credits away although nothing was paid.

    """

    shop: Shop
    order: Order
    session: Any
    lines: Sequence[Any]
    approved_by: str | None = None

    def settled(self, outcome: Outcome, detail: str) -> Settled:
        """Return what became of it."""
        return Settled(outcome, detail, self.order.account_id)


async def book(connection: Connection, case: Case) -> Settled:
    """
    Bring the order to where the session is, in a transaction that holds the order's lock.

    Raises:
        Quarantined: The session does not fit its order; the transaction has to be undone.

    """
    order, session = case.order, case.session
    status = at(session, "status")
    if status == "open":
        return case.settled("waiting", "the buyer has not finished")
    if status == "expired":
        moved = await orders.move(connection, order.id, "expired", of=("created", "open"))
        return case.settled("closed" if moved else "unchanged", "the session expired")
    bought = reading.check(order, session, case.lines)
    await orders.link(
        connection,
        order.id,
        payment_intent_id=ident(at(session, "payment_intent")),
        subscription_id=ident(at(session, "subscription")),
        customer_id=ident(at(session, "customer")),
        email=at(session, "customer_details.email"),
    )
    if at(session, "payment_status") == "unpaid":
        return await _unpaid(connection, case)
    if order.kind == "subscription":
        # Its invoices give the credits, one period after the other.
        moved = await orders.move(connection, order.id, "paid", of=NOT_PAID)
        return case.settled("updated" if moved else "unchanged", "the subscription began")
    free = at(session, "payment_status") == "no_payment_required"
    given = order.offer.allow_free or case.approved_by is not None or order.state == "paid"
    if free and not given:
        return await _review(connection, case)
    return await _paid(connection, case, reading.payment(order, session, bought))


async def put_aside(connection: Connection, order: Order, problem: str) -> None:
    """Leave an order to a person, in a transaction of its own; what is paid stays paid."""
    await orders.move(connection, order.id, "quarantined", of=NOT_PAID, problem=problem)
    await alerts.raise_alert(connection, "quarantined", order.id, problem)


async def _paid(connection: Connection, case: Case, draft: PaymentDraft) -> Settled:
    order, actor = case.order, case.approved_by or "stripe"
    now = datetime.fromtimestamp(case.shop.clock.now_ms() / 1000, UTC)
    grants = reading.grants(draft, now)
    payment = await payments.book(connection, draft, grants, actor=actor)
    await orders.move(connection, order.id, "paid", of=NOT_PAID)
    if payment is None:
        new = await _complete(connection, draft)
        return case.settled("updated" if new else "unchanged", "paid, and booked before")
    total = sum(grant.credits for grant in grants)
    await notices.tell(
        connection,
        "purchase",
        account_id=order.account_id,
        key=draft.object_id,
        payload={
            "order_id": order.id,
            "package": order.offer.title,
            "credits": total,
            "credit_type": order.offer.credit_type,
            "paid_minor": draft.paid_minor,
            "currency": draft.currency,
            "receipt_url": draft.receipt_url,
            "invoice_url": draft.invoice_url,
            "invoice_pdf": draft.invoice_pdf,
        },
    )
    for kind in ("quarantined", "review"):
        await alerts.resolve_about(connection, kind, order.id, actor=actor)
    if case.approved_by is not None:
        detail = {"session": draft.object_id, "credits": total}
        await audit.write(connection, actor, "order.approve", order.id, detail)
    return case.settled("granted", f"{order.package} was paid: {total} {order.offer.credit_type}")


async def _complete(connection: Connection, draft: PaymentDraft) -> bool:
    """Add to a payment booked before what Stripe did not know then, like its own fee."""
    known = await payments.of_object(connection, draft.order.livemode, draft.object_id)
    return known is not None and await payments.fill(
        connection,
        known.id,
        charge_id=draft.charge_id,
        invoice_id=draft.invoice_id,
        receipt_url=draft.receipt_url,
        invoice_url=draft.invoice_url,
        invoice_pdf=draft.invoice_pdf,
        fee_minor=draft.fee_minor,
        fee_currency=draft.fee_currency,
    )


async def _unpaid(connection: Connection, case: Case) -> Settled:
    """Note that the money of a slow method is under way, or that it will not come."""
    order, failure = case.order, reading.failure(case.session)
    if failure is None:
        if await orders.move(connection, order.id, "awaiting_funds", of=UNDECIDED):
            return case.settled("waiting", "the money is under way")
        return case.settled("unchanged", f"the order is {order.state}")
    before: tuple[State, ...] = (*UNDECIDED, "awaiting_funds")
    if not await orders.move(connection, order.id, "failed", of=before, failure=failure):
        return case.settled("unchanged", f"the order is {order.state}")
    shop = case.shop
    token = come_back.sign(order.id, order.created_at, secret=shop.link_secret)
    said = at(case.session, "payment_intent.last_payment_error.message")
    await notices.tell(
        connection,
        "payment_failed",
        account_id=order.account_id,
        key=order.id,
        payload={
            "order_id": order.id,
            "package": order.offer.title,
            "amount_minor": at(case.session, "amount_total") or 0,
            "currency": order.currency,
            "reason": said or "The payment did not arrive.",
            "retry_url": f"{shop.pages_url}/bought?order={token}",
        },
    )
    return case.settled("closed", f"the payment failed: {failure}")


async def _review(connection: Connection, case: Case) -> Settled:
    said = "completed without payment, and the package is not given away"
    order = case.order
    if await orders.move(connection, order.id, "review", of=UNDECIDED, problem=said):
        await alerts.raise_alert(connection, "review", order.id, f"order {order.id}: {said}")
    return case.settled("waiting", said)
