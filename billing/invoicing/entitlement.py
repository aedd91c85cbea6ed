"""What an account's subscriptions entitle to beside credits: a plan, and features."""

from typing import Final

from ledger import plans
from ledger.database import Connection, Queries
from ledger.plans import OnPlan

ENTITLING: Final = ("active", "trialing", "past_due")
"""Stripe's states in which one counts; while one is past due, Stripe tries to get the money."""

_SQL = Queries("subscriptions", package="billing")


async def follow(connection: Connection, account_id: int, *, livemode: bool) -> int | None:
    """
    Put an account on what its subscriptions say now, in the transaction that wrote them.

    Of several that name a plan the one made last counts; features are those of all. Where none
    counts any more, the account's own plan does again.

    Returns:
        The number of the control, which is to be pushed; None where nothing was to change.

    """
    # Two subscriptions of one account may change at once: who comes later has to see both.
    await plans.lock(connection, account_id)
    rows = await connection.fetch(_SQL.entitling, account_id, livemode, list(ENTITLING))
    tiers = [name for row in rows if (name := _plain(row["plan_tier"]))]
    features = {_plain(flag) for row in rows for flag in row["feature_flags"]}
    on = OnPlan(tiers[0] if tiers else "", tuple(sorted(features - {""})))
    return await plans.subscribe(connection, account_id, on, actor="stripe")


def _plain(text: str) -> str:
    """Return a product's text as a plan can have it: whoever writes metadata is not asked again."""
    return "".join(one for one in text if one.isprintable()).strip()[:200]
