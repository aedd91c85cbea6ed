"""What to hold, and how the shard is asked for it."""

from typing import NamedTuple

from ledger.claims import Claim, There
from ledger.lines import SCOPE_CALL, Rate, hold_line


class HoldOrder(NamedTuple):
    """
    What to hold.

    ceiling: smallest units of the credit type, the most this request may cost.
    version, rule: the price that was in force, kept with the charge.
    lifetime_ms: after this without a renewal the hold expires; blocks that run longer are
        renewed by themselves.
    rate: (interval_us, burst_us) of the key's limit, see `ledger.lines.Rate`.
    limits: the others that are counted, see `ledger.limits.limits_block`.
    plan: number of the plan that it was priced by; None where prices do not depend on plans.
    detail: JSON for the record of the charge, at most 1,024 bytes.
    route: its name, by which credits that are limited to some routes are found.
    claim: the Idempotency-Key that no other hold may have, and what Postgres has of it.
    """

    account: int
    key: int
    credit_type: int
    ceiling: int
    version: int
    rule: int
    lifetime_ms: int
    scope: int = SCOPE_CALL
    rate: tuple[int, int] = (0, 0)
    detail: bytes = b""
    limits: bytes = b""
    route: str = ""
    plan: int | None = None
    claim: tuple[Claim, There] | None = None


def line_of(
    order: HoldOrder,
    hold_id: bytes,
    deadline_ms: int,
    *,
    reaches: bytes = b"",
    claim: bytes = b"",
    only_check: bool = False,
) -> bytes:
    """Return the line that asks for an order."""
    return hold_line(
        hold_id,
        account=order.account,
        key=order.key,
        credit_type=order.credit_type,
        ceiling=order.ceiling,
        version=order.version,
        rule=order.rule,
        deadline_ms=deadline_ms,
        scope=order.scope,
        rate=Rate(*order.rate),
        limits=order.limits,
        reaches=reaches,
        plan=order.plan,
        claim=claim,
        detail=order.detail,
        only_check=only_check,
    )
