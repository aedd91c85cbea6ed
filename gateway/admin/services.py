"""What the admin's routes stand on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from billing.billing import Billing
from billing.shop import Shop
from config import PriceList
from gateway.operations.desk import Desk
from gateway.operations.jobs import Jobs
from gateway.operations.price_book import PriceBook
from gateway.publishing import FilePlace
from ledger.ledger import Ledger
from ledger.ports import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """
    What every handler is given.

    Attributes:
        billing: What sells; without Stripe it has no shop.
        prices: The price list in force.
        pages_url: Where consumers find their pages.
        metrics: Prometheus text over all workers, and of the ledger.
        environ: What `${NAME}` in a price text may name when it is checked.
        book: Earlier price lists, by which old charges are explained.
        price_file: This gateway's, where prices that are published are written.
        jobs: Long work of this process.
        failures: Jobs of the steward that failed when they last ran, and why.

    """

    ledger: Ledger
    billing: Billing
    prices: Callable[[], PriceList]
    pages_url: str
    metrics: Callable[[], Awaitable[str]]
    environ: Mapping[str, str]
    book: PriceBook
    clock: Clock
    random_bytes: Callable[[int], bytes]
    jobs: Jobs
    failures: Callable[[], Mapping[str, str]] = dict
    price_file: FilePlace | None = None

    def desk(self, admin: str) -> Desk:
        """Return a desk at which changes are made in an admin's name."""
        return Desk(self.ledger, admin, self.random_bytes, self.pages_url)

    @property
    def shop(self) -> Shop:
        """What every part of selling is given; SellingNotConfigured where there is no Stripe."""
        return self.billing.need()

    @property
    def livemode(self) -> bool | None:
        """Whether money is real here; None where there is no Stripe."""
        return None if self.billing.shop is None else self.billing.shop.livemode
