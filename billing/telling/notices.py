"""
Notices: what people are to be told, kept in the transaction that made it true.

A notice is an outbox row with two ends, mail to the account and a signed webhook to the
operator's own system; `billing.telling.delivery` sees to both. What the payload of a kind holds:

* purchase            order_id, package (its title), credits, credit_type, paid_minor, currency;
                      receipt_url, invoice_url, invoice_pdf where there are any
* refund              order_id, refunded_minor (now, not in all), currency, credits (taken back),
                      credit_type
* payment_failed      order_id or subscription_id, package, amount_minor, currency, reason (a
                      sentence), retry_url
* low_balance         credit_type, available, threshold
* top_up_paused       package, amount_minor, currency, reason (a sentence), retry_url
* subscription_ended  subscription_id, package, ended_at (ISO 8601)
* dispute             order_id, dispute_id, amount_minor, currency, status, reason
* alert               alert (its kind), subject, detail; to the operator only

Credits are smallest units of the credit type, which is given by name; money is in minor units.
A mail leaves out the lines for which the payload has nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from ledger.database import Connection, Queries

Kind: TypeAlias = Literal[
    "purchase",
    "refund",
    "payment_failed",
    "low_balance",
    "top_up_paused",
    "subscription_ended",
    "dispute",
    "alert",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SQL = Queries("notices", package="billing")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something told. account_id: None where only the operator is told."""

    id: int
    kind: Kind
    account_id: int | None
    key: str
    payload: Mapping[str, Any]
    created_at: datetime


async def tell(
    connection: Connection,
    kind: Kind,
    *,
    account_id: int | None,
    key: str,
    payload: Mapping[str, Any],
) -> bool:
    """
    Have something told, if the transaction that `connection` is in commits.

    Args:
        connection: Inside the caller's transaction.
        kind: What happened.
        account_id: Whose; None tells the operator only.
        key: What it is about, like an object's id: of one kind the same is told once.
        payload: As listed above for the kind.

    Returns:
        False if it was told before; nothing changed then.

    """
    ends = ["webhook"] if account_id is None else ["mail", "webhook"]
    made = await connection.fetch(_SQL.tell, kind, account_id, key, dict(payload), ends)
    return bool(made)


async def of_account(connection: Connection, account_id: int, limit: int = 50) -> list[Notice]:
    """Return what an account was told, the newest first."""
    return [Notice(**row) for row in await connection.fetch(_SQL.of_account, account_id, limit)]
