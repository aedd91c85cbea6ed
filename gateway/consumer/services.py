"""What the consumer's routes stand on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from config import PriceList
from gateway.operations.desk import Desk
from gateway.operations.price_book import PriceBook
from ledger.ids import key_text
from ledger.ledger import Ledger
from ledger.ports import Clock


class Prices(Protocol):
    """What is in force in this worker; it may change between two requests."""

    @property
    def current(self) -> PriceList:
        """The price list."""

    @property
    def version(self) -> int:
        """Its number."""


class ForSale(Protocol):
    """A package, as billing describes it; amounts in smallest units, money in minor units."""

    @property
    def id(self) -> str:
        """Its name in the price file."""

    @property
    def name(self) -> str:
        """Shown to people."""

    @property
    def description(self) -> str:
        """Shown to people."""

    @property
    def credit_type(self) -> str:
        """What it gives."""

    @property
    def credits(self) -> int:
        """How much of it, for each one bought."""

    @property
    def scale(self) -> int:
        """Decimal places of the credit type."""

    @property
    def price(self) -> Mapping[str, int]:
        """By currency."""

    @property
    def interval(self) -> str | None:
        """Paid again this often; None: once."""

    @property
    def expires_s(self) -> int | None:
        """How long the credits live."""

    @property
    def quantity(self) -> tuple[int, int]:
        """The least and the most a buyer may choose."""


@dataclass(frozen=True, slots=True)
class Services:
    """
    What every handler is given.

    Attributes:
        packages: What is for sale under a price list; billing's, handed in by `gateway.app`.
        book: Earlier price lists, by which old charges are explained.
        public_url: Where consumers reach this gateway; empty: links are paths only.

    """

    ledger: Ledger
    prices: Prices
    packages: Callable[[PriceList], Sequence[ForSale]]
    book: PriceBook
    clock: Clock
    random_bytes: Callable[[int], bytes]
    public_url: str

    def desk(self, key: int) -> Desk:
        """Return a desk at which changes are made in the name of a key."""
        return Desk(self.ledger, key_text(key), self.random_bytes, self.pages_url)

    @property
    def prefix(self) -> str:
        """Where our own routes are."""
        return self.prices.current.prefix

    @property
    def pages_url(self) -> str:
        """Where the consumer's pages are."""
        return f"{self.public_url.rstrip('/')}{self.prefix}"
