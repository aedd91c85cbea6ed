"""
Our own askings for money back, each a row that is committed before Stripe is asked.

Stripe's list of refunds decides about credits; these rows say what we wanted, and what came of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.errors import NoSuchObject, NotRefundable, StateConflict
from billing.ids import new_id
from billing.money import money_text
from billing.purchases import payments
from billing.shop import Shop
from billing.stripe_door import Livemode
from ledger import audit
from ledger.database import Connection, Queries

State = Literal[
    "asking", "pending", "requires_action", "succeeded", "failed", "canceled", "refused"
]

_SQL = Queries("asked_refunds", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """
    Money we asked Stripe to give back, in minor units of the payment's currency.

    Attributes:
        state: asking: no answer yet; refused: Stripe said no; else Stripe's own word.
        stripe_id: re_ or pyr_, once known.
        failure: Why it was refused or failed.
        reference: The asker's own name for it.

    """

    id: str
    payment_id: int
    amount_minor: int
    state: State
    stripe_id: str | None
    reason: str
    failure: str | None
    actor: str
    reference: str | None
    created_at: datetime
    updated_at: datetime


async def get(connection: Connection, refund_id: str) -> Refund | None:
    """Return a refund of ours."""
    row = await connection.fetchrow(_SQL.get, refund_id)
    return None if row is None else Refund(**row)


async def of_payment(connection: Connection, payment_id: int) -> list[Refund]:
    """List what was asked back of a payment, oldest first."""
    return [Refund(**row) for row in await connection.fetch(_SQL.of_payment, payment_id)]


async def ask(
    connection: Connection,
    shop: Shop,
    payment_id: int,
    amount_minor: int | None,
    *,
    reason: str,
    actor: str,
    reference: str | None,
) -> tuple[Refund, bool]:
    """
    Write down what Stripe is about to be asked for, if that much is left of the payment.

    Args:
        connection: Inside a transaction.
        shop: Where new ids come from.
        payment_id: Of which payment.
        amount_minor: None: all that is left.
        reason: For people.
        actor: Whose doing it is.
        reference: The asker's own name for it; a repeat finds the first.

    Returns:
        The row, and whether it is new: only then Stripe is to be asked.

    Raises:
        NoSuchObject, NotRefundable, StateConflict: As `billing.reversing.money_back.refund`.

    """
    payment = await payments.lock(connection, payment_id)
    if payment is None:
        raise NoSuchObject(f"no payment {payment_id}")
    if reference is not None:
        row = await connection.fetchrow(_SQL.of_reference, reference)
        if row is not None:
            before = Refund(**row)
            if before.payment_id != payment_id or amount_minor not in {None, before.amount_minor}:
                raise StateConflict(f"reference {reference} was used for another refund")
            return before, False
    asking = await connection.fetchval(_SQL.asking, payment_id)
    left = max(0, payment.paid_minor - payment.refunded_minor - payment.disputed_minor - asking)
    amount = left if amount_minor is None else amount_minor
    if not 1 <= amount <= left:
        raise NotRefundable(
            f"{money_text(left, payment.currency)} of this payment can be refunded",
            left_minor=left,
        )
    row = await connection.fetchrow(
        _SQL.ask,
        new_id("rfd", shop.random_bytes),
        payment_id,
        amount,
        reason,
        actor,
        reference,
    )
    if row is None:  # taken a moment ago, for another payment
        raise StateConflict(f"reference {reference} was used for another refund")
    asked = Refund(**row)
    detail = {
        "refund": asked.id,
        "amount_minor": amount,
        "currency": payment.currency,
        "reason": reason,
        "reference": reference,
    }
    await audit.write(connection, actor, "refund", payment.order_id, detail)
    return asked, True


async def answer(
    connection: Connection, refund_id: str, state: str, stripe_id: str | None, failure: str | None
) -> None:
    """Note Stripe's answer to an asking; one that an event brought first stays."""
    await connection.execute(_SQL.answer, refund_id, state, stripe_id, failure)


async def unanswered(
    connection: Connection, livemode: Livemode, *, made_before: datetime, limit: int
) -> list[Refund]:
    """List askings whose outcome is unknown, oldest first."""
    rows = await connection.fetch(_SQL.unanswered, livemode, made_before, limit)
    return [Refund(**row) for row in rows]
