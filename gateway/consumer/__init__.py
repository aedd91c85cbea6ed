"""The routes under `/farebox`: what an API consumer sees and does about its own account."""

import secrets
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from config import PriceList, Settings
from gateway.consumer.caller import KeyGate
from gateway.consumer.services import ForSale, Prices, Services
from gateway.consumer.table import TABLE
from gateway.operations.price_book import PriceBook
from gateway.routes import control_app
from ledger.ledger import Ledger
from ledger.ports import Clock, SystemClock

__all__ = ["consumer_app"]


def consumer_app(
    *,
    ledger: Ledger,
    prices: Prices,
    settings: Settings,
    packages: Callable[[PriceList], Sequence[ForSale]],
    clock: Clock | None = None,
) -> ASGIApp:
    """
    Build the consumer's routes; the caller hands over only paths below the price list's prefix.

    `packages` is billing's `packages_for_sale`, handed in because only `gateway.app` knows
    billing.
    """
    clock = clock or SystemClock()
    services = Services(
        ledger=ledger,
        prices=prices,
        packages=packages,
        book=PriceBook(settings.environ),
        clock=clock,
        random_bytes=secrets.token_bytes,
        public_url=settings.public_url or "",
    )
    routes = control_app(
        TABLE, services, KeyGate(ledger, prices, clock), prefix=lambda: prices.current.prefix
    )

    async def below_the_prefix(scope: Scope, receive: Receive, send: Send) -> None:
        # The prefix is the price file's, so it may change while we run.
        await routes({**scope, "root_path": prices.current.prefix}, receive, send)

    return below_the_prefix
