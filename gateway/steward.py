"""
The steward's process.

While it is elected, it posts and sweeps for all gateways; always, it looks at the price
file of its own gateway and answers admins.

Run as `python -P -m gateway.steward` by `serve`, once per gateway.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from config import PriceFileError, PriceList, PriceWatch, Settings, read_price_file
from gateway.admin import admin_app
from gateway.head_book import HeadBook
from gateway.ledger_metrics import ledger_exposition
from gateway.metrics import exposition
from gateway.operations.jobs import Jobs
from gateway.parent import Parent, log_to_stderr
from gateway.price_feed import InForce, PriceFeed
from gateway.price_file import PriceFile
from gateway.prices import LivePrices
from gateway.publishing import FilePlace
from gateway.selling import selling
from gateway.selling_metrics import selling_exposition
from gateway.server import serve_app
from gateway.worker import ledger_options, settings_of, spare_the_collector
from ledger import admins, gateways
from ledger.errors import LedgerError
from ledger.facts import MAX_AMOUNT
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.ports import Clock, SystemClock
from ledger.steward import Job

WINDOW_CEILINGS = 1_000
"""The default window, in requests of the largest ceiling, or ten seconds of the last hour's peak
if that is more: what a double fault may cost, at most."""

HEADS_S = 3_600.0
"""How often history is made fast; what is younger than the last head is only chained."""

LAST_POSTING_S = 10.0
"""How long the last facts may take. What stays in the journal is posted by the next steward."""

_log = logging.getLogger(__name__)


async def work(parent: Parent) -> None:
    """Publish the prices, then post, sweep, watch and answer admins until told to stop."""
    settings = settings_of(parent.orders)
    clock = SystemClock()
    ledger = await Ledger.open(ledger_options(settings), "steward")
    try:
        await let_root_in(ledger, settings)
        file = await published(ledger, settings, parent.orders["gateway"], clock)
        feed = PriceFeed(ledger.database, settings.environ, clock)

        first = await feed.first()
        prices = LivePrices(first.list, first.version, first.type_numbers)

        async def take(new: InForce) -> None:
            prices.swap(new.list, new.version, new.type_numbers)
            ledger.poster.prompt = any(route.strict for route in new.list.routes)
            await ledger.windows.choose(windows_of(new), growing_of(new))

        await take(first)
        pages_url = parent.orders["pages_url"]
        async with selling(ledger, settings, lambda: prices.current, pages_url) as billing:
            book = HeadBook(settings)
            heads = Job("heads", HEADS_S, partial(book.add, ledger, clock))
            jobs = ledger.steward(more=[*billing.jobs(), heads])

            async def metrics() -> str:
                workers = exposition(Path(parent.orders["metrics"]), now_ms=clock.now_ms())
                stores = await ledger_exposition(ledger, jobs.failures)
                return workers + stores + await selling_exposition(billing, clock)

            long_work = Jobs(clock)
            app = admin_app(
                ledger=ledger,
                billing=billing,
                prices=lambda: prices.current,
                pages_url=pages_url,
                metrics=metrics,
                environ=settings.environ,
                price_file=FilePlace(settings.config, parent.orders["gateway"]),
                jobs=long_work,
                failures=lambda: jobs.failures,
            )
            spare_the_collector()
            async with long_work, running(jobs.run(), file.run(), feed.follow(take)):
                await serve_app(app, parent, socket_fd=parent.orders["socket"], http="httptools")
            await leave(ledger, parent.orders["gateway"])
    finally:
        await ledger.aclose()


async def let_root_in(ledger: Ledger, settings: Settings) -> None:
    """Make the token of the settings the one of the admin named root."""
    assert settings.admin_token is not None
    async with ledger.database.connection() as connection:
        await admins.put_root(connection, settings.admin_token.get_secret_value())


async def published(ledger: Ledger, settings: Settings, gateway_id: str, clock: Clock) -> PriceFile:
    """Publish the file as it is now; the workers start only when there are prices."""
    text = read_price_file(settings.config)
    file = PriceFile(
        ledger.database,
        PriceWatch(settings.config, clock, current=text),
        gateway_id=gateway_id,
        host=socket.gethostname(),
        environ=settings.environ,
        clock=clock,
    )
    await file.take(text)
    return file


def windows_of(prices: InForce) -> dict[int, int]:
    """Return credit type number -> how many of its units Redis may be ahead of Postgres."""
    return {number: window_of(prices.list, name) for name, number in prices.type_numbers.items()}


def growing_of(prices: InForce) -> set[int]:
    """Return the credit types whose window the file leaves to us: it follows the traffic."""
    chosen = prices.list.credit_types
    return {number for name, number in prices.type_numbers.items() if chosen[name].window is None}


def window_of(prices: PriceList, credit_type: str) -> int:
    """Return the window the file sets, or enough for many requests of the largest ceiling."""
    chosen = prices.credit_types[credit_type].window
    enough = WINDOW_CEILINGS * max(prices.largest_ceiling(credit_type), 1)
    return chosen or min(enough, MAX_AMOUNT)


@asynccontextmanager
async def running(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the jobs beside the block; they handle their own failures, so one that ends is a bug."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def leave(ledger: Ledger, gateway_id: str) -> None:
    """Post what the workers left in the journal, and take this gateway off the list."""
    try:
        async with asyncio.timeout(LAST_POSTING_S):
            await ledger.post_all()
            async with ledger.database.connection() as connection:
                await gateways.forget(connection, gateway_id)
    except OUTAGE as away:
        _log.warning("facts stay in the journal for the next steward: %s", away)


def main() -> None:
    """Do the work; a reason not to is one line, for the person who started `serve`."""
    parent = Parent()
    log_to_stderr("steward")
    try:
        uvloop.run(work(parent))
    except (LedgerError, PriceFileError) as error:
        sys.exit(f"farebox: steward: {error}")


if __name__ == "__main__":
    main()
