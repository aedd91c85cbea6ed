"""Refunds as Stripe shows them: every one of a payment, whoever asked for it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from billing.errors import Quarantined
from billing.marks import is_ours
from billing.money import money_text
from billing.purchases.payments import Payment
from billing.reversing.reversal_plan import CAME_BACK, GONE, RefundSeen
from billing.shop import Shop
from billing.stripe_door import at
from billing.telling import alerts
from ledger.database import Connection, Queries

_SQL = Queries("refunds", package="billing")


def seen(shop: Shop, refund: Any, payment: Payment) -> RefundSeen:
    """
    Read a refund of this payment.

    Raises:
        Quarantined: It is in another currency, so that no share of the payment can be told.

    """
    if refund.currency != payment.currency:
        raise Quarantined(f"{refund.id} is in {refund.currency}, not {payment.currency}")
    return RefundSeen(
        id=refund.id,
        amount_minor=refund.amount,
        currency=refund.currency,
        status=at(refund, "status") or "",
        failure=at(refund, "failure_reason"),
        created_at=datetime.fromtimestamp(refund.created, UTC),
        asked_as=at(refund, "metadata.refund_id") if is_ours(shop, refund) else None,
    )


async def follow(
    connection: Connection, payment: Payment, shown: Sequence[RefundSeen]
) -> list[RefundSeen]:
    """
    Keep what Stripe shows of a payment's refunds, also as the answer to our own askings.

    Args:
        connection: Inside a transaction that holds the payment's row.
        payment: Whose refunds these are, all of them.
        shown: As Stripe shows them now.

    Returns:
        Those that are new, or in another state than before.

    """
    rows = await connection.fetch(_SQL.of_payment, payment.id)
    before: dict[str, str] = {row["id"]: row["status"] for row in rows}
    for refund in shown:
        await connection.execute(
            _SQL.keep,
            payment.livemode,
            refund.id,
            payment.id,
            refund.amount_minor,
            refund.currency,
            refund.status,
            refund.failure,
            refund.created_at,
        )
        await connection.execute(
            _SQL.answer_asked,
            payment.id,
            refund.id,
            refund.asked_as,
            refund.status if refund.status in GONE | CAME_BACK else "pending",
            refund.failure,
        )
        await _warn(connection, refund, before.get(refund.id))
    return [refund for refund in shown if before.get(refund.id) != refund.status]


async def _warn(connection: Connection, refund: RefundSeen, before: str | None) -> None:
    """Have a person look where money did not reach the buyer, or nobody can say."""
    amount = money_text(refund.amount_minor, refund.currency)
    if refund.status in CAME_BACK and before in GONE:
        detail = f"{amount} did not reach the buyer: {refund.failure or refund.status}"
        await alerts.raise_alert(connection, "refund_failed", refund.id, detail)
    elif refund.status not in GONE | CAME_BACK and refund.status != before:
        detail = f"{amount}: status {refund.status!r} is unknown and counts as not refunded"
        await alerts.raise_alert(connection, "refund_status", refund.id, detail)
