"""How amounts, money and times stand in a page."""

from datetime import UTC, date, datetime

from markupsafe import Markup

from billing.money import money_text
from config import format_amount

MINUS = "−"  # noqa: RUF001 - as wide as a digit
MISSING = "–"  # noqa: RUF001 - a dash for what there is not


def amount(units: int | None, scale: int) -> str:
    """Write smallest units as decimal text with thousands set apart, like 1,250.00."""
    return MISSING if units is None else _grouped(format_amount(units, scale))


def money(minor: int | None, currency: str) -> str:
    """Write minor units of a currency, like 1,234.50 USD."""
    return MISSING if minor is None else _grouped(money_text(minor, currency))


def count(number: int | None) -> str:
    """Write a whole number with thousands set apart."""
    return MISSING if number is None else f"{number:,}"


def moment(at: datetime | None) -> str:
    """Show a time in UTC; the script shows it in the reader's own zone."""
    if at is None:
        return MISSING
    utc = at.astimezone(UTC)
    text = utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(utc.strftime("%Y-%m-%dT%H:%M:%SZ"), text)


def day(on: date | None) -> str:
    """Show a day, of the calendar in UTC."""
    return MISSING if on is None else Markup('<span class="day">{}</span>').format(on.isoformat())


def plural(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its word: 1 call, 2 calls."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def pair(word: str) -> tuple[str, str]:
    """Return a choice whose value is its word."""
    return word, word


FILTERS = {
    "amount": amount,
    "money": money,
    "count": count,
    "moment": moment,
    "day": day,
    "pair": pair,
    "plural": plural,
}


def _grouped(text: str) -> str:
    number, space, unit = text.partition(" ")
    sign = MINUS if number.startswith("-") else ""
    whole, point, decimals = number.lstrip("-").partition(".")
    return f"{sign}{int(whole):,}{point}{decimals}{space}{unit}"
