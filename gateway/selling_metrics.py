"""What Prometheus is told of selling, and what the operator is told of it at start-up."""

from billing import selling_metrics
from billing.billing import Billing, warnings_of
from billing.stripe_door import LIVE_KEYS
from config import Settings
from gateway.operations.now import utc_now
from ledger.outage import OUTAGE
from ledger.ports import Clock

NO_PUBLIC_URL = (
    "FAREBOX_PUBLIC_URL is not set: Stripe leads buyers back to an address of this machine, "
    "which nobody else can open"
)
PLAIN_PUBLIC_URL = (
    "FAREBOX_PUBLIC_URL is not https: links that let people buy travel where others can read them"
)


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


def selling_sentences(settings: Settings) -> list[str]:
    """Say at start-up how selling stands: its mode, a stand-in, and what does not work."""
    said = []
    key = settings.stripe_secret_key
    if key is not None:
        live = key.get_secret_value().startswith(LIVE_KEYS)
        said.append("selling for real money" if live else "selling in test mode: no money moves")
    if key is not None and settings.stripe_api_base:
        said.append(f"Stripe's stand-in at {settings.stripe_api_base} takes Stripe's place")
    elif key is not None and settings.public_url is None:
        said.append(NO_PUBLIC_URL)
    elif key is not None and not str(settings.public_url).startswith("https://"):
        said.append(PLAIN_PUBLIC_URL)
    return said + [sentence.rstrip(".") for sentence in warnings_of(settings)]
