"""
A request worker: one process, one event loop, one ledger connection, the public socket.

Run as `python -P -m gateway.worker` by `serve`; several share one socket and know nothing
of each other.
"""

import asyncio
import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from config import PriceFileError, Settings
from gateway.app import App
from gateway.link_secret import link_secret
from gateway.open_files import make_room
from gateway.parent import DRAIN_LIMIT_S, Parent, log_to_stderr
from gateway.price_feed import InForce, PriceFeed
from gateway.prices import LivePrices
from gateway.server import serve_app
from ledger.errors import LedgerError
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import SystemClock

if TYPE_CHECKING:
    from billing.billing import Billing

POSTGRES_CONNECTIONS = 80
"""Of one gateway, over all its processes: Postgres takes 100 unless somebody raises that."""

MOST_CONNECTIONS = 10
FEWEST_CONNECTIONS = 2
"""Per process. Requests rarely ask Postgres: only for accounts that Redis does not know yet."""


COLLECT_EVERY = 10_000
"""Objects, where Python's default is 700: a request leaves hardly any cycles behind."""


async def work(parent: Parent) -> None:
    """Open the ledger, learn the prices, serve until told to stop, flush what is unsettled."""
    settings = settings_of(parent.orders)
    make_room(settings.connections)
    clock = SystemClock()
    ledger = await Ledger.open(ledger_options(settings), "worker")
    try:
        feed = PriceFeed(ledger.database, settings.environ, clock)
        first = await feed.first()
        prices = LivePrices(first.list, first.version, first.type_numbers)

        async def take(new: InForce) -> None:
            prices.swap(new.list, new.version, new.type_numbers)

        async def open_billing() -> "Billing":
            # Together with our own routes, and not before: see gateway.control.
            from gateway import selling  # noqa: PLC0415

            pages_url = parent.orders["pages_url"]
            return await selling.open_billing(ledger, settings, lambda: prices.current, pages_url)

        app = App(
            ledger=ledger,
            open_billing=open_billing,
            prices=prices,
            settings=settings,
            link_secret=await link_secret(ledger),
            write_log=write_log,
            metrics_folder=Path(parent.orders["metrics"]),
            clock=clock,
        )
        following = asyncio.create_task(feed.follow(take), name="follow prices")
        spare_the_collector()
        await serve_app(app, parent, socket_fd=parent.orders["socket"], http=app.protocol())
        following.cancel()
    finally:
        await ledger.aclose(DRAIN_LIMIT_S)


def spare_the_collector() -> None:
    """
    Keep what was made at the start out of every garbage collection to come.

    Modules and tables are some hundred thousand objects that never go; looking at them again and
    again cost a tenth of every request and stopped all of them for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def settings_of(orders: Mapping[str, Any]) -> Settings:
    """Read the settings as `serve` read them, with what it found out since."""
    environ = {**Settings.from_environment().environ, **orders["variables"]}
    return Settings.from_environment(environ, **orders["settings"])


def ledger_options(settings: Settings) -> LedgerOptions:
    """Say where the stores are; `serve` has filled in the embedded ones."""
    assert settings.postgres_url is not None
    assert settings.redis_url is not None
    each = POSTGRES_CONNECTIONS // (settings.workers + 1)
    return LedgerOptions(
        postgres_url=settings.postgres_url,
        redis_url=settings.redis_url,
        postgres_connections=max(FEWEST_CONNECTIONS, min(each, MOST_CONNECTIONS)),
        keep_months=settings.retention_months,
    )


def write_log(lines: bytes) -> None:
    """Write the access log's lines to standard output."""
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def main() -> None:
    """Do the work; a reason not to is one line, for the person who started `serve`."""
    parent = Parent()
    log_to_stderr(f"worker {parent.orders['number']}")
    try:
        uvloop.run(work(parent))
    except (LedgerError, PriceFileError) as error:
        sys.exit(f"farebox: worker {parent.orders['number']}: {error}")


if __name__ == "__main__":
    main()
