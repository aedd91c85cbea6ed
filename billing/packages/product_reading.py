"""Reading a Stripe product and its prices as an offer: strictly, or not at all."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from billing.money import exponent
from billing.packages.offers import Offer, problem_of_routes
from billing.stripe_door import at, ident
from config import LARGEST_AMOUNT, PriceList, parse_amount

CREDIT_NAMES = ("credits", "credit_amount", "credits_amount")
"""Metadata that says how many credits a product gives: what people have called it so far."""

MAX_NAMES = 50
MAX_TEXT = 500
DAY_MS = 24 * 3600 * 1000


class Unsellable(Exception):
    """The product does not say clearly what it gives or costs; the sentence says why."""


def read_product(name: str, product: Any, prices: Sequence[Any], list_: PriceList) -> Offer:
    """
    Return what a product offers.

    Args:
        name: Of the package.
        product: As Stripe shows it.
        prices: Its active prices.
        list_: For the credit types.

    Raises:
        Unsellable: Metadata that is missing, unreadable or disagrees, or a price we cannot
            charge. It is not sold then.

    """
    said = _metadata(product)
    credit_type = _credit_type(said, list_)
    scale = list_.credit_types[credit_type].scale
    kind = _default_price(product, prices)
    minor, ids = _prices(kind, prices)
    return Offer(
        name=name,
        title=str(at(product, "name") or name)[:MAX_TEXT],
        description=str(at(product, "description") or "")[:MAX_TEXT],
        credit_type=credit_type,
        credits=_credits(said, scale),
        scale=scale,
        prices=minor,
        stripe_prices=ids,
        interval=at(kind, "recurring.interval"),
        interval_count=at(kind, "recurring.interval_count") or 1,
        expires_ms=_days(said, "expires_days"),
        tax=at(product, "tax_code.id") or at(product, "tax_code") or said.get("tax"),
        trial_days=at(kind, "recurring.trial_period_days"),
        trial_credits=_optional_credits(said, "trial_credits", scale),
        plan_tier=said.get("plan_tier", "")[:MAX_TEXT],
        feature_flags=_names(said, "feature_flags"),
        routes=_routes(said, list_),
        metadata=said,
        source="stripe",
    )


def _metadata(product: Any) -> dict[str, str]:
    metadata = at(product, "metadata")
    said = metadata.to_dict() if hasattr(metadata, "to_dict") else dict(metadata or {})
    return {str(key): str(value) for key, value in said.items()}


def _credit_type(said: Mapping[str, str], list_: PriceList) -> str:
    wish = said.get("credit_type")
    if wish is None and len(list_.credit_types) == 1:
        return next(iter(list_.credit_types))
    if wish is None:
        raise Unsellable(f"its metadata need `credit_type`: one of {', '.join(list_.credit_types)}")
    if wish not in list_.credit_types:
        raise Unsellable(
            f"`credit_type` is {wish!r}, which the price file does not have "
            f"(it has {', '.join(list_.credit_types)})"
        )
    return wish


def _credits(said: Mapping[str, str], scale: int) -> int:
    wishes = {name: said[name] for name in CREDIT_NAMES if name in said}
    if not wishes:
        raise Unsellable("its metadata name no `credits`")
    read = {name: _amount(name, text, scale) for name, text in wishes.items()}
    if len(set(read.values())) > 1:
        raise Unsellable(f"its metadata disagree: {', '.join(wishes)} say different amounts")
    return next(iter(read.values()))


def _optional_credits(said: Mapping[str, str], name: str, scale: int) -> int | None:
    return _amount(name, said[name], scale) if name in said else None


def _amount(name: str, text: str, scale: int) -> int:
    try:
        amount = parse_amount(text.strip(), scale)
    except ValueError as wrong:
        raise Unsellable(f"`{name}` is {text!r}: {wrong}") from wrong
    if not 1 <= amount <= LARGEST_AMOUNT:
        raise Unsellable(f"`{name}` must be more than 0")
    return amount


def _days(said: Mapping[str, str], name: str) -> int | None:
    if name not in said:
        return None
    text = said[name].strip()
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 36_500):
        raise Unsellable(f"`{name}` is {text!r}: it must be a number of days, 1 to 36500")
    return int(text) * DAY_MS


def _routes(said: Mapping[str, str], list_: PriceList) -> tuple[str, ...]:
    routes = _names(said, "routes")
    wrong = problem_of_routes(routes, list_)
    if wrong is not None:
        raise Unsellable(f"`routes`: {wrong}")
    return routes


def _names(said: Mapping[str, str], what: str) -> tuple[str, ...]:
    """Read a JSON list of texts, or names with commas between."""
    text = said.get(what, "")
    words: Any = text.split(",")
    if text.strip().startswith("["):
        try:
            words = json.loads(text)
        except ValueError as wrong:
            raise Unsellable(f"`{what}` is not a JSON list") from wrong
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Unsellable(f"`{what}` must be a list of names")
    names = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if len(names) > MAX_NAMES:
        raise Unsellable(f"`{what}` has more than {MAX_NAMES} names")
    return names


def _default_price(product: Any, prices: Sequence[Any]) -> Any:
    wish = ident(at(product, "default_price"))
    for price in prices:
        if at(price, "id") == wish:
            return price
    if wish is None and len(prices) == 1:
        return prices[0]
    raise Unsellable("it needs a default price that is active")


def _prices(kind: Any, prices: Sequence[Any]) -> tuple[dict[str, int], dict[str, str]]:
    """Take the default price, and of each other currency the newest of the same kind."""
    minor, ids = {}, {}
    others = [price for price in prices if at(price, "id") != at(kind, "id")]
    for price in (kind, *sorted(others, key=lambda other: -int(at(other, "created") or 0))):
        currency = at(price, "currency")
        if currency in minor or _rhythm(price) != _rhythm(kind):
            continue
        minor[currency] = _unit_minor(price)
        ids[currency] = at(price, "id")
    return minor, ids


def _rhythm(price: Any) -> tuple[Any, Any]:
    return at(price, "recurring.interval"), at(price, "recurring.interval_count")


def _unit_minor(price: Any) -> int:
    which = at(price, "id")
    unit = at(price, "unit_amount")
    if at(price, "billing_scheme") != "per_unit" or at(price, "custom_unit_amount") is not None:
        raise Unsellable(f"price {which} is not a fixed price for each one")
    if at(price, "recurring.usage_type") == "metered" or at(price, "transform_quantity"):
        raise Unsellable(f"price {which} is metered, or sold by the dozen")
    if not isinstance(unit, int) or isinstance(unit, bool) or unit < 0:
        raise Unsellable(f"price {which} is not in whole minor units")
    exponent(at(price, "currency"))
    return unit
