"""Prices of packages as people write them: `10.00 usd, 9 eur`."""

import re
from collections.abc import Mapping

from billing.money import check_currency, exponent
from config import format_amount
from ledger.errors import InvalidInput


def money_of(text: str) -> dict[str, int]:
    """
    Read prices like `10.00 usd, 9 eur` as minor units by currency.

    Raises:
        InvalidInput: They are not written so.

    """
    found: dict[str, int] = {}
    for part in filter(None, re.split(r"[,;\n]+", text)):
        read = re.fullmatch(r"\s*([0-9]{1,9})(?:\.([0-9]{1,3}))?\s*([A-Za-z]{3})\s*", part)
        if read is None:
            raise InvalidInput("price", "write it like 10.00 usd, several with commas between")
        whole, decimals, name = read[1], read[2] or "", check_currency(read[3])
        if len(decimals) > exponent(name):
            raise InvalidInput("price", f"{name} has {exponent(name)} decimals")
        if name in found:
            raise InvalidInput("price", f"names {name} twice; give each once")
        found[name] = int(whole + decimals.ljust(exponent(name), "0"))
    if not found:
        raise InvalidInput("price", "give at least one, like 10.00 usd")
    return found


def money_words(prices: Mapping[str, int]) -> str:
    """Write prices as `money_of` reads them."""
    return ", ".join(
        f"{format_amount(minor, exponent(name))} {name}" for name, minor in prices.items()
    )
