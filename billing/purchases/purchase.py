"""What somebody asks to buy, and whether it can be bought like that. Computes only."""

from dataclasses import dataclass

from billing.errors import NotForSale, WrongPurchase
from billing.money import check_currency
from billing.packages.offers import Offer
from config import LARGEST_AMOUNT

LARGEST_MINOR = 999_999_999_999
"""Twelve digits: the most that Stripe takes in any currency; in most it takes eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """
    What somebody wants to buy.

    Attributes:
        currency: In lower case; None: the only one, or the first that the package names.
        save_card: Keep the card for automatic top-up, which Stripe's page tells the buyer.

    """

    package: str
    quantity: int = 1
    currency: str | None = None
    save_card: bool = False


def check(offer: Offer, purchase: Purchase) -> str:
    """
    Return the currency in which an offer can be bought as asked.

    Raises:
        NotForSale: It has no price in the currency.
        WrongPurchase: The quantity, or what it comes to, is out of bounds.

    """
    currency = _currency(offer, purchase.currency)
    least, most = offer.least_quantity, offer.most_quantity
    if not least <= purchase.quantity <= most:
        limits = f"{least} to {most}" if most > least else f"{least}, it cannot be chosen"
        raise WrongPurchase("quantity", limits)
    if offer.credits * purchase.quantity > LARGEST_AMOUNT:
        raise WrongPurchase("quantity", "that is more credits than an account can hold")
    if offer.prices[currency] * purchase.quantity > LARGEST_MINOR:
        raise WrongPurchase("quantity", "that is more money than Stripe takes at once")
    return currency


def _currency(offer: Offer, asked: str | None) -> str:
    if asked is None:
        return next(iter(offer.prices))
    currency = check_currency(asked)
    if currency not in offer.prices:
        raise NotForSale(f"package {offer.name} is sold in {', '.join(offer.prices)}")
    return currency
