"""
PaymentIntents: the only proof of payment for an automatic top-up, and a mere link for all else.

Checkout and subscriptions make PaymentIntents too, and have their own lanes to give credits; here
theirs are only tied to their orders, and their failures noted.
"""

from typing import Any

from billing.errors import BillingError, Quarantined
from billing.ids import is_order_id
from billing.marks import is_ours
from billing.purchases import checkout, orders, payments
from billing.purchases.checkout import Purchase, Started
from billing.purchases.orders import Order, State
from billing.purchases.payments import Payment, PaymentDraft
from billing.purchases.session_reading import grants
from billing.reversing import reversals
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, moment, translated
from billing.telling import notices
from billing.topup import open_checkouts, topup_attempts
from billing.topup.declines import Failure, Pause, what_next
from billing.topup.topup_attempts import OPEN, Attempt
from ledger.database import Connection
from ledger.ids import account_text

TOPUP = "auto_topup"
"""Metadata `kind` of the intents that this lane owns."""

_UNDER_WAY = frozenset({"processing", "requires_capture", "requires_confirmation"})
NOT_PAID: tuple[State, ...] = (
    "created",
    "open",
    "awaiting_funds",
    "failed",
    "canceled",
    "quarantined",
)
"""Money that came makes up for any of these."""


async def settle(shop: Shop, object_id: str) -> Settled:
    """
    Give an order what its PaymentIntent (`pi_`) is due, as Stripe shows it now.

    A repeat, in any order and at the same time as others, gives nothing twice.

    Raises:
        Quarantined: It carries our mark and does not fit what we know.
        StripeRefused, StripeUnavailable: Stripe could not be asked; nothing changed.

    """
    with translated():
        intent = await shop.stripe.v1.payment_intents.retrieve_async(
            object_id, {"expand": ["latest_charge.balance_transaction"]}
        )
    order = await _order_of(shop, intent)
    if order is None:
        return Settled("ignored", "not ours")
    if order.kind != TOPUP:
        return await _link(shop, intent, order)
    if intent.status == "succeeded":
        return await _paid(shop, intent, order)
    if intent.status in _UNDER_WAY:
        return await _under_way(shop, intent, order)
    return await _refused(shop, intent, order)


async def _order_of(shop: Shop, intent: Any) -> Order | None:
    named = at(intent, "metadata.order_id")
    ours = is_ours(shop, intent) and isinstance(named, str) and is_order_id(named)
    async with shop.ledger.database.connection() as connection:
        if not ours:
            return await orders.of_payment_intent(connection, shop.livemode, intent.id)
        order = await orders.get(connection, named)
    if order is None:
        raise Quarantined(f"{intent.id} names order {named}, which is not there")
    if (at(intent, "metadata.account"), intent.livemode) != (
        account_text(order.account_id),
        order.livemode,
    ):
        raise Quarantined(f"{intent.id} is not of the account, or the mode, of order {order.id}")
    if (at(intent, "metadata.kind") == TOPUP) != (order.kind == TOPUP):
        raise Quarantined(f"{intent.id} is not of the kind of order {order.id}")
    return order


async def _link(shop: Shop, intent: Any, order: Order) -> Settled:
    """Tie the intent of a checkout to its order; the order stays open, the buyer may try again."""
    charge = at(intent, "latest_charge")
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, order.id)
        # A subscription has an intent for each invoice; its order is found through those.
        if order.kind == "checkout":
            await orders.link(connection, order.id, payment_intent_id=intent.id)
        failure = _failure(intent)
        if failure is not None and intent.status != "succeeded":
            await orders.failed_try(connection, order.id, str(failure))
        payment = await payments.of_payment_intent(connection, shop.livemode, intent.id)
        if payment is not None:
            await _fill(connection, payment, charge)
    if payment is not None and _went_back(charge):
        return await reversals.reconcile(shop, payment.id)
    return Settled("updated", f"the payment intent is {intent.status}", order.account_id)


async def _paid(shop: Shop, intent: Any, order: Order) -> Settled:
    due_minor = order.unit_minor * order.quantity
    if (intent.amount_received, intent.currency) != (due_minor, order.currency):
        raise Quarantined(
            f"{intent.id} took {intent.amount_received} {intent.currency}, "
            f"order {order.id} is {due_minor} {order.currency}"
        )
    charge = at(intent, "latest_charge")
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, order.id)
        attempt = await _attempt_of(connection, order)
        draft = _draft(intent, order)
        given = grants(draft, await topup_attempts.now(connection))
        fresh = await payments.book(connection, draft, given)
        payment = fresh or await payments.of_object(connection, shop.livemode, intent.id)
        if fresh is not None:
            await orders.link(connection, order.id, payment_intent_id=intent.id)
            await orders.move(connection, order.id, "paid", of=NOT_PAID)
            await topup_attempts.succeeded(connection, attempt, intent.id)
            await _tell(connection, fresh, order)
        elif payment is not None:
            await _fill(connection, payment, charge)
    await shop.push(order.account_id)
    if payment is not None and _went_back(charge):
        await reversals.reconcile(shop, payment.id)
    if fresh is None:
        return Settled("unchanged", "the top-up was booked before", order.account_id)
    return Settled("granted", "the top-up is paid", order.account_id)


async def _under_way(shop: Shop, intent: Any, order: Order) -> Settled:
    """Keep the try open: a slow method has not said yes or no."""
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, order.id)
        attempt = await _attempt_of(connection, order)
        await topup_attempts.seen(connection, attempt, intent.id)
        await orders.link(connection, order.id, payment_intent_id=intent.id)
        await orders.move(connection, order.id, "awaiting_funds", of=("created", "open"))
    return Settled("waiting", f"the top-up is {intent.status}", order.account_id)


async def _refused(shop: Shop, intent: Any, order: Order) -> Settled:
    failure = _failure(intent) or Failure(code=str(intent.status))
    page = await _page(shop, order, failure)
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, order.id)
        attempt = await _attempt_of(connection, order)
        await orders.link(connection, order.id, payment_intent_id=intent.id)
        changed = await topup_attempts.failed(
            connection,
            attempt,
            order,
            failure,
            intent=intent.id,
            retry_url=page.checkout_url if page else None,
        )
    if not changed:
        if page is not None:  # somebody else was first, and has told of another one
            await open_checkouts.end(shop, page.session_id)
        return Settled("unchanged", "the top-up was over before", order.account_id)
    return Settled("closed", f"the top-up failed: {failure}", order.account_id)


async def _page(shop: Shop, order: Order, failure: Failure) -> Started | None:
    """Open a page at Stripe where the buyer can pay by hand, if the try ends in a pause."""
    async with shop.ledger.database.connection() as connection:
        attempt = await _attempt_of(connection, order)
        if attempt.state not in OPEN:
            return None
        declines = await topup_attempts.declines_so_far(connection, attempt)
    if not isinstance(what_next(failure, declines + 1), Pause):
        return None
    purchase = Purchase(
        package=order.package, quantity=order.quantity, currency=order.currency, save_card=True
    )
    try:
        return await checkout.start(shop, order.account_id, purchase)
    except BillingError:
        # The account's own pages sell the same; the notice must not wait for Stripe.
        return None


async def _attempt_of(connection: Connection, order: Order) -> Attempt:
    attempt = await topup_attempts.of_order(connection, order.id)
    if attempt is None:
        raise Quarantined(f"order {order.id} is an automatic top-up that was never tried")
    return attempt


def _failure(intent: Any) -> Failure | None:
    error = at(intent, "last_payment_error")
    if error is None:
        return None
    return Failure(
        code=at(error, "code") or "",
        decline_code=at(error, "decline_code") or "",
        advice_code=at(error, "advice_code") or "",
    )


def _went_back(charge: Any) -> bool:
    return bool(at(charge, "amount_refunded") or at(charge, "disputed"))


def _draft(intent: Any, order: Order) -> PaymentDraft:
    charge = at(intent, "latest_charge")
    return PaymentDraft(
        order=order,
        source="topup",
        object_id=intent.id,
        payment_intent_id=intent.id,
        charge_id=ident(charge),
        customer_id=ident(at(intent, "customer")),
        currency=intent.currency,
        quantity=order.quantity,
        subtotal_minor=intent.amount_received,
        paid_minor=intent.amount_received,
        fee_minor=at(charge, "balance_transaction.fee"),
        fee_currency=at(charge, "balance_transaction.currency"),
        receipt_url=at(charge, "receipt_url"),
        paid_at=moment(at(charge, "created") or intent.created) or order.created_at,
    )


async def _fill(connection: Connection, payment: Payment, charge: Any) -> None:
    if charge is not None and at(charge, "paid"):
        await payments.fill(
            connection,
            payment.id,
            charge_id=ident(charge),
            receipt_url=at(charge, "receipt_url"),
            fee_minor=at(charge, "balance_transaction.fee"),
            fee_currency=at(charge, "balance_transaction.currency"),
        )


async def _tell(connection: Connection, payment: Payment, order: Order) -> None:
    await notices.tell(
        connection,
        "purchase",
        account_id=order.account_id,
        key=payment.object_id,
        payload={
            "order_id": order.id,
            "package": order.offer.title,
            "credits": order.credits_each * order.quantity,
            "credit_type": order.offer.credit_type,
            "paid_minor": payment.paid_minor,
            "currency": payment.currency,
            "receipt_url": payment.receipt_url,
        },
    )
