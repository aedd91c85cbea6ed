"""
Money back: refunds that we ask Stripe for.

Our own row comes first and is committed, so that no crash forgets what was asked; its id makes the
idempotency key. An answer that never came leaves the row `asking`, and `look_again` finds out what
became of it. Credits are taken back by `billing.reversing.reversals`, whoever asked for the refund.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.errors import (
    BillingError,
    NoSuchObject,
    NotRefundable,
    StateConflict,
    StripeRefused,
    StripeUnavailable,
    WrongPurchase,
)
from billing.ids import is_order_id
from billing.marks import marks
from billing.purchases import orders, payments
from billing.purchases.payments import Payment
from billing.reversing import asked_refunds, reversals
from billing.reversing.asked_refunds import Refund
from billing.reversing.reversal_plan import CAME_BACK, GONE
from billing.shop import Shop
from billing.stripe_door import at, ident, listed, translated
from ledger.database import Connection

log = logging.getLogger(__name__)

STRIPE_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
"""Those Stripe knows; any other reason is ours, and goes along as metadata."""

MAX_REASON_CHARACTERS = 500
"""Stripe's limit for a value of metadata."""

PATIENCE = timedelta(minutes=1)
"""How long an asking may still be under way; the SDK gives up well before."""

MOST_AT_ONCE = 100
"""Askings looked at in one pass."""


async def refund(
    shop: Shop,
    payment_of: str,
    amount_minor: int | None,
    *,
    reason: str = "",
    actor: str,
    reference: str | None = None,
) -> Refund:
    """
    Give money back, and take back the credits it paid for.

    Args:
        shop: Whose sale it was.
        payment_of: The order (ord_), or where it has several payments one of those: the id of
            its session, invoice, PaymentIntent or charge.
        amount_minor: In minor units of the payment's currency; None: all that is left.
        reason: For people; Stripe's own three are passed on as such.
        actor: Whose doing it is.
        reference: The asker's own name for this refund: a repeat is answered as the first was,
            and asks nothing. None: every call refunds anew.

    Returns:
        The refund. In state `asking` its outcome is unknown; `look_again` finds out.

    Raises:
        NoSuchObject: No such order or payment.
        NotRefundable: Nothing was paid, or more is asked for than is left.
        WrongPurchase: The amount is below 1, or the reason too long.
        StateConflict: An order with several payments; a reference used for another refund.
        StripeRefused: Stripe said no; nothing changed but our row, which says so.
        StripeUnavailable: Before anything was asked; nothing changed.

    """
    if amount_minor is not None and amount_minor < 1:
        raise WrongPurchase("amount_minor", "at least 1")
    if len(reason) > MAX_REASON_CHARACTERS:
        raise WrongPurchase("reason", f"at most {MAX_REASON_CHARACTERS} characters")
    async with shop.ledger.database.connection() as connection:
        payment = await _payment(connection, shop, payment_of)
    # Brings our copy of Stripe's refunds up to date: the dashboard's count against what is left.
    await reversals.reconcile(shop, payment.id)
    async with shop.ledger.database.transaction() as connection:
        asked, new = await asked_refunds.ask(
            connection,
            shop,
            payment.id,
            amount_minor,
            reason=reason,
            actor=actor,
            reference=reference,
        )
    return await _send(shop, payment, asked) if new else asked


async def look_again(shop: Shop) -> int:
    """
    Find out what became of refunds whose answer never came; how many of them are known now.

    Each is looked for at Stripe first: idempotency keys are forgotten after a day, and asking once
    more would then give the money back twice. One that fails does not stop the others.
    """
    made_before = datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC) - PATIENCE
    async with shop.ledger.database.connection() as connection:
        waiting = await asked_refunds.unanswered(
            connection, shop.livemode, made_before=made_before, limit=MOST_AT_ONCE
        )
    known = 0
    for asked in waiting:
        try:
            known += await _find_out(shop, asked)
        except BillingError as trouble:
            log.warning("refund %s: %s", asked.id, trouble)
    return known


async def _payment(connection: Connection, shop: Shop, name: str) -> Payment:
    if is_order_id(name):
        order = await orders.get(connection, name)
        if order is None or order.livemode != shop.livemode:
            raise NoSuchObject(f"no order {name}")
        found = await payments.of_order(connection, name)
        if not found:
            raise NotRefundable(f"order {name} is {order.state}: nothing was paid", left_minor=0)
        if len(found) > 1:
            ids = ", ".join(payment.object_id for payment in found)
            raise StateConflict(f"order {name} has several payments, name one of them: {ids}")
        return found[0]
    for look in (
        payments.of_object,
        payments.of_payment_intent,
        payments.of_charge,
        payments.of_invoice,
    ):
        payment = await look(connection, shop.livemode, name)
        if payment is not None:
            return payment
    raise NoSuchObject(f"no order or payment {name}")


async def _send(shop: Shop, payment: Payment, asked: Refund) -> Refund:
    """Ask Stripe, note the answer, and take the credits back at once."""
    try:
        stripe_id, status = await _give(shop, payment, asked)
    except StripeUnavailable as away:
        log.warning("refund %s has no answer yet: %s", asked.id, away)
        return asked
    except StripeRefused as refused:
        why = f"{refused.code or refused.status}: {refused}"
        await _answered(shop, asked, "refused", None, why)
        raise
    await _answered(shop, asked, status, stripe_id)
    try:
        await reversals.reconcile(shop, payment.id)
    except StripeUnavailable as away:
        log.warning("credits of refund %s are taken back with its event: %s", asked.id, away)
    async with shop.ledger.database.connection() as connection:
        return await asked_refunds.get(connection, asked.id) or asked


async def _give(shop: Shop, payment: Payment, asked: Refund) -> tuple[str | None, str]:
    """Return the id and status of Stripe's refund; every asking of one row sends the same."""
    metadata = {**marks(shop, payment.order_id, payment.account_id), "refund_id": asked.id}
    if asked.reason and asked.reason not in STRIPE_REASONS:
        metadata["reason"] = asked.reason
    options = {"idempotency_key": f"refund:{asked.id}"}
    if payment.source == "invoice":
        # A credit note, so that the invoice's tax is corrected with it; it makes the refund.
        params: dict[str, Any] = {
            "invoice": payment.object_id,
            "amount": asked.amount_minor,
            "refund_amount": asked.amount_minor,
            "metadata": metadata,
        }
        with translated():
            note = await shop.stripe.v1.credit_notes.create_async(params, options)
        return ident(at(note, "refunds.0.refund")), "pending"
    params = {"amount": asked.amount_minor, "metadata": metadata}
    if payment.payment_intent_id:
        params["payment_intent"] = payment.payment_intent_id
    else:
        params["charge"] = payment.charge_id
    if asked.reason in STRIPE_REASONS:
        params["reason"] = asked.reason
    with translated():
        given = await shop.stripe.v1.refunds.create_async(params, options)
    return str(given.id), at(given, "status") or "pending"


async def _find_out(shop: Shop, asked: Refund) -> bool:
    """Look for the refund at Stripe; ask once more, with the same key, only where there is none."""
    async with shop.ledger.database.connection() as connection:
        payment = await payments.get(connection, asked.payment_id)
    if payment is None:
        raise NoSuchObject(f"no payment {asked.payment_id}")
    if payment.source == "invoice":
        by_invoice = {"invoice": payment.object_id}
        async for note in listed(shop.stripe.v1.credit_notes.list_async, by_invoice):
            if at(note, "metadata.refund_id") == asked.id:
                await _answered(shop, asked, "pending", ident(at(note, "refunds.0.refund")))
    await reversals.reconcile(shop, payment.id)  # it knows our refunds by their metadata
    async with shop.ledger.database.connection() as connection:
        now = await asked_refunds.get(connection, asked.id)
    if now is not None and now.state != "asking":
        return True
    try:
        return (await _send(shop, payment, asked)).state != "asking"
    except StripeRefused:
        return True


async def _answered(
    shop: Shop, asked: Refund, status: str, stripe_id: str | None, failure: str | None = None
) -> None:
    state = status if status in GONE | CAME_BACK | {"refused"} else "pending"
    async with shop.ledger.database.connection() as connection:
        await asked_refunds.answer(connection, asked.id, state, stripe_id, failure)
