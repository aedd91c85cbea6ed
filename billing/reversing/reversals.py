"""
Reversals: credits follow the money that went back.

`reconcile` looks at all refunds and disputes a payment has at Stripe, decides where its credits
should stand (`billing.reversing.reversal_plan`) and books the difference. Whoever calls it, how
often, in which order: the last call ends at what Stripe shows. Credits that were spent already
leave debt.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from billing.errors import NoSuchObject
from billing.money import money_text
from billing.purchases import payments
from billing.purchases.payments import LATE_CREDITS_LIVE, Payment, PaymentGrant
from billing.reversing import disputes, refunds
from billing.reversing.disputes import DisputeSeen
from billing.reversing.fraud_signs import settle_review, settle_warning
from billing.reversing.payment_lookup import payment_of
from billing.reversing.reversal_plan import Given, Move, Plan, RefundSeen, decide
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, listed, translated
from billing.telling import notices
from ledger import controls, grants
from ledger.controls import Clawback, Grant
from ledger.database import Connection, Queries

__all__ = [
    "reconcile",
    "settle_charge",
    "settle_dispute",
    "settle_refund",
    "settle_review",
    "settle_warning",
]

CONTROL_SOURCE = "reversal"

_SQL = Queries("reversals", package="billing")


async def settle_charge(shop: Shop, object_id: str) -> Settled:
    """
    Bring the payment of a charge to where Stripe shows it, and complete what we know of it.

    Raises:
        Quarantined: It carries our mark and leads to nothing we know.
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    with translated():
        charge = await shop.stripe.v1.charges.retrieve_async(
            object_id, params={"expand": ["balance_transaction"]}
        )
    payment = await payment_of(shop, ident(at(charge, "payment_intent")), object_id)
    if isinstance(payment, Settled):
        return payment
    if charge.paid:
        async with shop.ledger.database.connection() as connection:
            await payments.fill(
                connection,
                payment.id,
                charge_id=object_id,
                receipt_url=at(charge, "receipt_url"),
                fee_minor=at(charge, "balance_transaction.fee"),
                fee_currency=at(charge, "balance_transaction.currency"),
            )
    return await reconcile(shop, payment.id)


async def settle_refund(shop: Shop, object_id: str) -> Settled:
    """Bring the payment of a refund to where Stripe shows it; raises as `settle_charge`."""
    with translated():
        refund = await shop.stripe.v1.refunds.retrieve_async(object_id)
    return await _settle_about(shop, refund)


async def settle_dispute(shop: Shop, object_id: str) -> Settled:
    """Bring the payment of a dispute to where Stripe shows it; raises as `settle_charge`."""
    with translated():
        dispute = await shop.stripe.v1.disputes.retrieve_async(object_id)
    return await _settle_about(shop, dispute)


async def reconcile(shop: Shop, payment_id: int) -> Settled:
    """
    Bring a payment's credits to where its refunds and disputes at Stripe say they should be.

    The payment's row is locked before Stripe is asked: of two at once, the later asks later, and a
    list that grew old while waiting can never win.

    Raises:
        NoSuchObject: There is no such payment.
        Quarantined: A refund cannot be compared with what was paid.
        StripeRefused, StripeUnavailable: Stripe could not be asked; nothing changed.

    """
    async with shop.ledger.database.transaction() as connection:
        payment = await payments.lock(connection, payment_id)
        if payment is None:
            raise NoSuchObject(f"no payment {payment_id}")
        shown, contested = await _at_stripe(shop, payment)
        grants = await payments.grants_of(connection, payment_id)
        plan = decide(
            payment.paid_minor,
            [Given(each.grant_id, each.credits, each.clawed, each.steps) for each in grants],
            shown,
            [dispute.withdrawn_minor for dispute in contested],
        )
        freezes = shop.prices().selling.freeze_on_dispute
        froze = await disputes.follow(connection, payment, contested, freezes=freezes)
        fresh = await refunds.follow(connection, payment, shown)
        stood = await connection.fetchval(
            _SQL.stand, payment_id, plan.refunded_minor, plan.disputed_minor, plan.reversed_minor
        )
        for move in plan.moves:
            grant = next(each for each in grants if each.grant_id == move.grant_id)
            await _move(connection, payment, grant, move, plan)
        await _tell(connection, payment, grants, fresh, plan)
    if froze or plan.moves:
        await shop.push(payment.account_id)
    if plan.moves:
        taken = sum(move.take for move in plan.moves)
        words = f"{taken} smallest units taken back" if taken > 0 else f"{-taken} given again"
        return Settled("reversed", f"{payment.order_id}: {words}", payment.account_id)
    changed = froze or stood or fresh
    return Settled("updated" if changed else "unchanged", payment.order_id, payment.account_id)


async def _settle_about(shop: Shop, thing: Any) -> Settled:
    """Reconcile the payment that a refund or dispute names."""
    payment = await payment_of(shop, ident(at(thing, "payment_intent")), ident(at(thing, "charge")))
    return payment if isinstance(payment, Settled) else await reconcile(shop, payment.id)


async def _at_stripe(shop: Shop, payment: Payment) -> tuple[list[RefundSeen], list[DisputeSeen]]:
    """Ask for all refunds and disputes of a payment; lists, since a charge shows only some."""
    v1 = shop.stripe.v1
    shown: list[RefundSeen] = []
    contested: list[DisputeSeen] = []
    for by in await _filters(shop, payment):
        shown += [
            refunds.seen(shop, one, payment) async for one in listed(v1.refunds.list_async, by)
        ]
        contested += [
            disputes.seen(one, payment) async for one in listed(v1.disputes.list_async, by)
        ]
    return shown, contested


async def _filters(shop: Shop, payment: Payment) -> list[dict[str, str]]:
    """Return what to list by; an invoice may have been paid in several parts."""
    intents = {payment.payment_intent_id}
    if payment.source == "invoice":
        by_invoice = {"invoice": payment.object_id}
        async for part in listed(shop.stripe.v1.invoice_payments.list_async, by_invoice):
            intents.add(ident(at(part, "payment.payment_intent")))
    found = [{"payment_intent": intent} for intent in sorted(filter(None, intents))]
    if not found and payment.charge_id:
        found = [{"charge": payment.charge_id}]
    return found


async def _move(
    connection: Connection, payment: Payment, grant: PaymentGrant, move: Move, plan: Plan
) -> None:
    """Book one move; its name is the payment's, the grant's and the step's, so it happens once."""
    gone = money_text(plan.reversed_minor, payment.currency) if plan.reversed_minor else "nothing"
    why = f"{gone} of order {payment.order_id} went back"
    control: Clawback | Grant
    if move.take > 0:
        control = Clawback(
            grant.credit_type_id,
            move.take,
            grant_id=grant.grant_id,
            description=f"Taken back: {why}",
            metadata={"order": payment.order_id},
        )
    else:
        control = Grant(
            grant.credit_type_id,
            -move.take,
            kind="purchase",
            expires_at=await _life(connection, payment, grant),
            description=f"Given again: {why}",
            metadata={"order": payment.order_id},
            routes=(await grants.get(connection, grant.grant_id)).routes or (),
        )
    source_id = f"{payment.id}:{grant.grant_id}:{move.step}"
    await controls.add(connection, payment.account_id, control, CONTROL_SOURCE, source_id, "stripe")
    await connection.execute(_SQL.count_move, grant.grant_id, move.take, move.step)


async def _life(connection: Connection, payment: Payment, grant: PaymentGrant) -> datetime | None:
    """
    Return when credits that are given again end: with those they were part of.

    If that is past they live once more as long: they could not be used while they were taken.
    """
    now: datetime = await connection.fetchval(_SQL.now)
    if grant.expires_at is None or grant.expires_at > now:
        return grant.expires_at
    lasts = grant.expires_at - payment.paid_at
    return now + (lasts if lasts > timedelta(0) else LATE_CREDITS_LIVE)


async def _tell(
    connection: Connection,
    payment: Payment,
    grants: Sequence[PaymentGrant],
    fresh: Sequence[RefundSeen],
    plan: Plan,
) -> None:
    """Tell the account of refunds that are new, together, since their credits move together."""
    news = [refund for refund in fresh if refund.counts]
    if not news or not grants:
        return
    takes = {move.grant_id: move.take for move in plan.moves}
    credit_type = grants[0].credit_type_id
    payload = {
        "order_id": payment.order_id,
        "refunded_minor": sum(refund.amount_minor for refund in news),
        "currency": payment.currency,
        "credits": sum(
            max(0, takes.get(grant.grant_id, 0))
            for grant in grants
            if grant.credit_type_id == credit_type
        ),
        "credit_type": await connection.fetchval(_SQL.credit_type_name, credit_type),
    }
    newest = max(news, key=lambda refund: (refund.created_at, refund.id))
    await notices.tell(
        connection, "refund", account_id=payment.account_id, key=newest.id, payload=payload
    )
