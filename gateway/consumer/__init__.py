"""The routes under `/farebox`: what an API consumer sees and does about its own account."""

import secrets
from dataclasses import replace
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from billing.billing import Billing
from config import Settings
from gateway.consumer.caller import KeyGate
from gateway.consumer.services import Prices, Services
from gateway.consumer.table import TABLE
from gateway.operations.price_book import PriceBook
from gateway.pages.consumer.table import PAGES, consumer_site, refuse_page
from gateway.routes import control_app
from gateway.throttle import Throttle
from ledger.ledger import Ledger
from ledger.ports import Clock, SystemClock

__all__ = ["consumer_app"]


CHECKOUT = "https://checkout.stripe.com"
PORTAL = "https://billing.stripe.com"

PURCHASES_PER_MINUTE = 30
"""Of one account in one worker, begun and not necessarily paid; a person needs a few."""

LOOKS_PER_MINUTE = 120
"""At purchases, of one account in one worker; a page that looks again by itself needs 20."""


def pay_at(settings: Settings) -> tuple[str, ...]:
    """Return where Stripe's pages are: its own, or a stand-in's."""
    return (settings.stripe_api_base,) if settings.stripe_api_base else (CHECKOUT, PORTAL)


def consumer_app(
    *,
    ledger: Ledger,
    prices: Prices,
    settings: Settings,
    billing: Billing,
    clock: Clock | None = None,
) -> ASGIApp:
    """Build the consumer's routes; the caller hands over only paths below the list's prefix."""
    clock = clock or SystemClock()
    gate = KeyGate(ledger, prices, clock)
    services = Services(
        ledger=ledger,
        prices=prices,
        billing=billing,
        book=PriceBook(settings.environ),
        clock=clock,
        random_bytes=secrets.token_bytes,
        public_url=settings.public_url or "",
        begun=Throttle(PURCHASES_PER_MINUTE, clock=clock),
        looked=Throttle(LOOKS_PER_MINUTE, clock=clock),
        gate=gate,
        pay_at=pay_at(settings),
        pages_host=settings.pages_host,
    )
    site = consumer_site(services)
    routes = control_app(
        TABLE,
        replace(services, pages=site),
        gate,
        prefix=lambda: prices.current.prefix,
        pages=site.routes(PAGES),
        refuse_page=partial(refuse_page, site),
    )

    async def below_the_prefix(scope: Scope, receive: Receive, send: Send) -> None:
        # The prefix is the price file's, so it may change while we run.
        await routes({**scope, "root_path": prices.current.prefix}, receive, send)

    return below_the_prefix
