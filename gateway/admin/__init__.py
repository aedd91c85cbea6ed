"""The admin listener: all the command line does, as routes for named admins, and metrics."""

import secrets
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp

from billing.billing import Billing
from config import PriceList
from gateway.admin.caller import TokenGate
from gateway.admin.lazy_pages import BesidePages
from gateway.admin.services import Services
from gateway.admin.table import TABLE
from gateway.operations.jobs import Jobs
from gateway.operations.price_book import PriceBook
from gateway.publishing import FilePlace
from gateway.routes import control_app
from ledger.ledger import Ledger
from ledger.ports import Clock, SystemClock

__all__ = ["admin_app"]

PREFIX = "/farebox"
"""Where the types of problems lie; they are described on the public listener."""


def admin_app(
    *,
    ledger: Ledger,
    billing: Billing,
    prices: Callable[[], PriceList],
    pages_url: str,
    metrics: Callable[[], Awaitable[str]],
    environ: Mapping[str, str],
    clock: Clock | None = None,
    price_file: FilePlace | None = None,
    jobs: Jobs | None = None,
    failures: Callable[[], Mapping[str, str]] = dict,
) -> ASGIApp:
    """
    Build the admin listener: the API, and the pages for people beside it.

    `pages_url` is where consumers find their pages, like `https://api.example.com/farebox`.
    `metrics` returns Prometheus text over all workers. `environ` is what `${NAME}` in a
    price text may name when it is checked. `price_file` is where prices are written when an admin
    publishes them. `jobs` is for long work, whose end is then the caller's to see to; `failures`
    says which jobs of the steward failed last.
    """
    clock = clock or SystemClock()
    services = Services(
        ledger=ledger,
        billing=billing,
        prices=prices,
        pages_url=pages_url,
        metrics=metrics,
        environ=environ,
        book=PriceBook(environ),
        clock=clock,
        random_bytes=secrets.token_bytes,
        jobs=jobs or Jobs(clock),
        failures=failures,
        price_file=price_file,
    )
    api = control_app(TABLE, services, TokenGate(ledger), prefix=lambda: PREFIX)
    return BesidePages(api, services)
