"""billing/money.py: minor units are Stripe's, for people they are written by the currency."""

import pytest

from billing.errors import WrongPurchase
from billing.money import EXPONENTS, check_currency, exponent, money_text


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1000, "usd", "10.00 USD"),
        (5, "usd", "0.05 USD"),
        (0, "eur", "0.00 EUR"),
        (-1050, "eur", "-10.50 EUR"),
        (500, "jpy", "500 JPY"),
        (1250, "kwd", "1.250 KWD"),
        (500, "isk", "5.00 ISK"),
    ],
)
def test_money_is_written_with_its_currencys_decimals(minor: int, currency: str, text: str) -> None:
    assert money_text(minor, currency) == text


def test_currencies_without_a_minor_unit_are_those_stripe_lists() -> None:
    without = {currency for currency, places in EXPONENTS.items() if places == 0}

    listed = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
    assert " ".join(sorted(without)) == listed
    assert exponent("bhd") == 3
    assert exponent("huf") == exponent("twd") == exponent("isk") == 2


@pytest.mark.parametrize("text", ["", "us", "usdt", "u$d", "ÜSD"])
def test_what_is_not_three_letters_is_no_currency(text: str) -> None:
    with pytest.raises(WrongPurchase) as wrong:
        check_currency(text)
    assert wrong.value.field == "currency"


def test_a_currency_is_written_in_lower_case() -> None:
    assert check_currency("USD") == "usd"
