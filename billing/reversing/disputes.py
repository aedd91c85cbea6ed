"""
Disputes: what each has withdrawn, whether it is open, and what that means for the account's calls.

A dispute's money is read from its balance transactions, never from its status: an inquiry withdraws
nothing, and a lost one may have been reinstated by an appeal. Its status only says whether it is
open, and thereby, by the operator's policy, whether the account is frozen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.purchases.payments import Payment
from billing.stripe_door import at, moment
from billing.telling import alerts, notices
from ledger import controls
from ledger.database import Connection, Queries

OPEN = frozenset(
    {
        "appeal_needs_response",
        "appeal_under_review",
        "needs_response",
        "under_review",
        "warning_needs_response",
        "warning_under_review",
    }
)
CLOSED = frozenset({"lost", "prevented", "warning_closed", "won"})

FREEZE_SOURCE = "dispute"
"""Names our own freezes in the control log: what a person froze, only a person thaws."""

_SQL = Queries("disputes", package="billing")


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """A dispute as Stripe shows it now. withdrawn_minor: net, in the payment's currency."""

    id: str
    amount_minor: int
    currency: str
    withdrawn_minor: int
    status: str
    reason: str
    due_by: datetime | None
    created_at: datetime | None


def seen(dispute: Any, payment: Payment) -> DisputeSeen:
    """Read a dispute of this payment."""
    withdrawn = withdrawn_minor(
        dispute.amount, dispute.currency, at(dispute, "balance_transactions") or []
    )
    if withdrawn and dispute.currency != payment.currency:
        # Amounts of two currencies cannot be compared; while it is withdrawn, all of it is.
        withdrawn = payment.paid_minor
    return DisputeSeen(
        id=dispute.id,
        amount_minor=dispute.amount,
        currency=dispute.currency,
        withdrawn_minor=withdrawn,
        status=dispute.status,
        reason=dispute.reason or "",
        # Stripe writes 0 where no answer is possible.
        due_by=moment(at(dispute, "evidence_details.due_by") or None),
        created_at=moment(dispute.created),
    )


def withdrawn_minor(amount_minor: int, currency: str, transactions: Sequence[Any]) -> int:
    """
    Return what a dispute's balance transactions come to: taken, less given back, at least 0.

    Their `amount` is without Stripe's dispute fee, and in the currency our balance is kept in. If
    that is not the dispute's, a rate stands between each of them and the dispute, and another one
    on another day: then they are counted, and what was taken is the amount of the dispute.
    """
    moved = [(at(one, "amount"), at(one, "currency")) for one in transactions]
    if all(of == currency for _, of in moved):
        total: int = sum(amount for amount, _ in moved)
        return max(0, -total)
    taken = sum(amount < 0 for amount, _ in moved)
    returned = sum(amount > 0 for amount, _ in moved)
    return amount_minor if taken > returned else 0


async def follow(
    connection: Connection, payment: Payment, shown: Sequence[DisputeSeen], *, freezes: bool
) -> bool:
    """
    Keep what Stripe shows of a payment's disputes, and freeze or thaw the account.

    Frozen when a dispute opens; not again while it stays open, since an admin may have thawed.
    Thawed when the account's last open one closes, unless somebody else froze it since. A repeat
    with the same news changes nothing.

    Args:
        connection: Inside a transaction that holds the payment's row.
        payment: Whose disputes these are, all of them.
        shown: As Stripe shows them now.
        freezes: The policy: whether an open dispute freezes.

    Returns:
        Whether a control was ordered, which has to be pushed.

    """
    if not shown:
        return False
    # Two payments of one account must not each see the other's dispute as it was before: the
    # account's row is locked first, and everything is read behind that lock.
    before = await controls.last_freeze(connection, payment.account_id)
    stored = {row["id"]: row for row in await connection.fetch(_SQL.of_payment, payment.id)}
    opened: list[str] = []
    closed: list[str] = []
    for one in shown:
        was = stored.get(one.id)
        was_open = was is not None and was["open"]
        # An unknown status is kept for a person to see and leaves the dispute as open as it was.
        is_open = was_open if one.status not in OPEN | CLOSED else one.status in OPEN
        await _keep(connection, payment, one, is_open=is_open)
        if is_open != was_open:
            (opened if is_open else closed).append(one.id)
        if was is None or was["status"] != one.status:
            await _tell(connection, payment, one)
    ours = before is not None and before.frozen and before.source == FREEZE_SOURCE
    if opened and freezes and not (before is not None and before.frozen):
        await _order(connection, payment, opened[0], frozen=True)
        return True
    if closed and ours and not await _any_open(connection, payment):
        await _order(connection, payment, closed[0], frozen=False)
        return True
    return False


async def _keep(
    connection: Connection, payment: Payment, one: DisputeSeen, *, is_open: bool
) -> None:
    await connection.execute(
        _SQL.keep,
        payment.livemode,
        one.id,
        payment.id,
        payment.account_id,
        one.amount_minor,
        one.currency,
        one.withdrawn_minor,
        one.status,
        one.reason,
        is_open,
        one.due_by,
        one.created_at,
    )


async def _any_open(connection: Connection, payment: Payment) -> bool:
    return bool(await connection.fetchval(_SQL.any_open, payment.livemode, payment.account_id))


async def _order(
    connection: Connection, payment: Payment, dispute_id: str, *, frozen: bool
) -> None:
    times = await connection.fetchval(_SQL.count_freeze, payment.livemode, dispute_id)
    await controls.add(
        connection,
        payment.account_id,
        controls.Freeze(frozen),
        FREEZE_SOURCE,
        f"{dispute_id}:{times}",
        "stripe",
    )


async def _tell(connection: Connection, payment: Payment, one: DisputeSeen) -> None:
    """Tell the operator of each status once; an unknown one is an alert besides."""
    payload = {
        "order_id": payment.order_id,
        "dispute_id": one.id,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
        "status": one.status,
        "reason": one.reason,
    }
    key = f"{one.id}:{one.status}"
    await notices.tell(connection, "dispute", account_id=None, key=key, payload=payload)
    if one.status not in OPEN | CLOSED:
        detail = f"status {one.status!r} is unknown: only its money was followed"
        await alerts.raise_alert(connection, "dispute_status", one.id, detail)
