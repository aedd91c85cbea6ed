"""What Prometheus is told of selling."""

from billing import selling_metrics
from billing.billing import Billing
from gateway.operations.now import utc_now
from ledger.outage import OUTAGE
from ledger.ports import Clock


async def selling_exposition(billing: Billing, clock: Clock) -> str:
    """Return selling's metrics in Prometheus' text format; nothing without Stripe or Postgres."""
    shop = billing.shop
    if shop is None:
        return ""
    try:
        return await selling_metrics.exposition(
            shop.ledger.database, livemode=shop.livemode, now=utc_now(clock)
        )
    except OUTAGE:
        return ""  # farebox_ledger_up says that it is away
