"""Selling, opened for a process of `serve`: at once by the steward, when asked by a worker."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from billing.billing import Billing
from config import PriceList, Settings
from gateway.link_secret import link_secret
from ledger.ledger import Ledger
from ledger.ports import SystemClock


async def open_billing(
    ledger: Ledger, settings: Settings, prices: Callable[[], PriceList], pages_url: str
) -> Billing:
    """Open what sells; without STRIPE_SECRET_KEY it has no shop. The caller closes it."""
    return await Billing.open(
        settings,
        ledger,
        prices=prices,
        pages_url=pages_url,
        link_secret=await link_secret(ledger),
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
    )


@asynccontextmanager
async def selling(
    ledger: Ledger, settings: Settings, prices: Callable[[], PriceList], pages_url: str
) -> AsyncIterator[Billing]:
    """Have it open for as long as the block runs."""
    billing = await open_billing(ledger, settings, prices, pages_url)
    try:
        yield billing
    finally:
        await billing.aclose()
