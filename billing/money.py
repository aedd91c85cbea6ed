"""
Money: whole numbers of a currency's minor unit, as Stripe counts them.

The lists are Stripe's (docs.stripe.com/currencies), where they differ from ISO 4217: ISK is counted
in hundredths that have to be 00, and currencies with three decimals need a 0 at the end.
"""

import re
from types import MappingProxyType

from billing.errors import WrongPurchase

EXPONENTS = MappingProxyType(
    dict.fromkeys(
        "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split(),  # noqa: SIM905 - a list to read and compare
        0,
    )
    | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3)
)
"""Decimal places of the currencies that do not have two."""

USUAL_EXPONENT = 2

_CODE = re.compile(r"[a-z]{3}", re.ASCII)


def exponent(currency: str) -> int:
    """Return how many decimal places a currency's minor unit stands for."""
    return EXPONENTS.get(currency, USUAL_EXPONENT)


def money_text(minor: int, currency: str) -> str:
    """Return an amount for people, like `10.00 USD`, `500 JPY` or `-1.250 KWD`."""
    places = exponent(currency)
    sign, whole = ("-" if minor < 0 else ""), abs(minor)
    digits = str(whole).rjust(places + 1, "0")
    shown = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"{sign}{shown} {currency.upper()}"


def check_currency(currency: str) -> str:
    """
    Return the currency in lower case, as Stripe writes it.

    Raises:
        WrongPurchase: It is not three letters.

    """
    lower = currency.lower()
    if not _CODE.fullmatch(lower):
        raise WrongPurchase("currency", "three letters, like usd")
    return lower
