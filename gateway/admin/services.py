"""What the admin's routes stand on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.operations.desk import Desk
from gateway.operations.price_book import PriceBook
from ledger.ledger import Ledger
from ledger.ports import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """
    What every handler is given.

    Attributes:
        pages_url: Where consumers find their pages.
        metrics: Prometheus text over all workers, and of the ledger.
        environ: What `${NAME}` in a price text may name when it is checked.
        book: Earlier price lists, by which old charges are explained.

    """

    ledger: Ledger
    pages_url: str
    metrics: Callable[[], Awaitable[str]]
    environ: Mapping[str, str]
    book: PriceBook
    clock: Clock
    random_bytes: Callable[[int], bytes]

    def desk(self, admin: str) -> Desk:
        """Return a desk at which changes are made in an admin's name."""
        return Desk(self.ledger, admin, self.random_bytes, self.pages_url)
