"""What the consumer's routes stand on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from billing.billing import Billing
from billing.shop import Shop
from config import PriceList
from gateway.operations.desk import Desk
from gateway.operations.price_book import PriceBook
from gateway.pages_host import pages_base
from gateway.problems import Problem, retry_after
from gateway.throttle import Throttle
from ledger.ids import key_text
from ledger.ledger import Ledger
from ledger.ports import Clock

if TYPE_CHECKING:
    from gateway.consumer.caller import KeyGate
    from gateway.pages.consumer.visitor import Visitor
    from gateway.pages.site import Site


class Prices(Protocol):
    """What is in force in this worker; it may change between two requests."""

    @property
    def current(self) -> PriceList:
        """The price list."""

    @property
    def version(self) -> int:
        """Its number."""


@dataclass(frozen=True, slots=True)
class Services:
    """
    What every handler is given.

    Attributes:
        billing: What sells; without Stripe it has no shop.
        book: Earlier price lists, by which old charges are explained.
        begun: Purchases that were begun, by account.
        looked: Looks at what became of purchases, by account, or by order where none is known.
        pay_at: Where forms may lead on to: Stripe's page, or its stand-in's.
        public_url: Where consumers reach this gateway; empty: links are paths only.
        gate: Knows callers by their keys.
        pages_host: A host for the pages alone; None: they share one with the backend.
        pages: The pages, which are made of all the others.

    """

    ledger: Ledger
    prices: Prices
    billing: Billing
    book: PriceBook
    clock: Clock
    random_bytes: Callable[[int], bytes]
    public_url: str
    begun: Throttle
    looked: Throttle
    gate: "KeyGate"
    pay_at: tuple[str, ...] = ()
    pages_host: str | None = None
    pages: "Site[Services, Visitor] | None" = None

    @property
    def site(self) -> "Site[Services, Visitor]":
        """The pages."""
        assert self.pages is not None, "only pages themselves are without"
        return self.pages

    def desk(self, key: int) -> Desk:
        """Return a desk at which changes are made in the name of a key."""
        return self.desk_of(key_text(key))

    def desk_of(self, actor: str) -> Desk:
        """Return a desk at which changes are made under a name."""
        return Desk(self.ledger, actor, self.random_bytes, self.pages_url)

    @property
    def shop(self) -> Shop:
        """What every part of selling is given; SellingNotConfigured where there is no Stripe."""
        return self.billing.need()

    def begin_purchase(self, account: int) -> None:
        """
        Count a purchase that begins: each is an order and a call to Stripe.

        Raises:
            Problem: 429 for an account that begins them too quickly.

        """
        _once_more(self.begun, str(account), "Too many purchases were begun; try again later.")

    def look(self, name: str) -> None:
        """
        Count a look at a purchase: each asks Stripe, which limits how often it is asked at all.

        Raises:
            Problem: 429 for who looks too often.

        """
        _once_more(self.looked, name, "The purchase was looked at too often; try again later.")

    @property
    def livemode(self) -> bool | None:
        """Whether money is real here; None where there is no Stripe."""
        return None if self.billing.shop is None else self.billing.shop.livemode

    @property
    def prefix(self) -> str:
        """Where our own routes are."""
        return self.prices.current.prefix

    @property
    def pages_url(self) -> str:
        """Where the consumer's pages are."""
        return f"{pages_base(self.public_url, self.pages_host)}{self.prefix}"


def _once_more(throttle: Throttle, name: str, refusal: str) -> None:
    wait_s = throttle.retry_after_s(name)
    if wait_s:
        raise Problem("rate-limited", refusal, headers=(retry_after(wait_s),))
    throttle.count(name)
